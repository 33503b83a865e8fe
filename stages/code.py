"""Code: for every stage a fingerprint of what its code computes and of the settings it reads."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import click

from stages import params
from stages.collections import readers
from stages.core import code, fingerprint, graph
from stages.core.files import publish
from stages.models import architectures, local_files
from stages.params.models import RERANKING, SEARCHING
from stages.params.triplets import Scored
from stages.training import losses, reranker, tuning


@click.command()
@click.option(
    "--pipeline", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="dvc.yaml"
)
@click.option(
    "--watched",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="the folder of own collections",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="folder of fingerprints, one for each stage"
)
def main(pipeline: Path, watched: Path, out: Path) -> None:
    """Write for every stage what it depends on besides its inputs: its code, without words, and its settings, whole.

    Every other stage depends on its own file. So a reworded error, a comment or a new check runs this stage again and
    no other, and a default value that changes in the code makes stale what reads it. For a corpus or a checkpoint that
    is made of files of this machine it holds their sha256 too. DVC runs this stage when a file in `watched` changes; of
    one that is elsewhere one line says that DVC does not watch it.
    """
    from ruamel.yaml import YAML

    study = params.load()
    stages, blocks = (YAML(typ="safe").load(path.read_text()) for path in (pipeline, Path("params.yaml")))
    settings = study.model_dump(mode="json", by_alias=True)
    settings |= settings["tunings"]
    hashes, of_file = cache(code.hashes), cache(fingerprint.of_file)  # many stages run the same code on the same base
    with publish(out) as draft:
        for instance in graph.instances(stages, blocks):
            read = {key: graph.value(settings, key) for key in instance.settings}
            content = {"code": hashes(instance.module, *kinds(study, instance)), "settings": read}
            if files := local(study, instance):
                content["files"] = {name: of_file(path) for name, path in files.items()}
                if line := _unwatched(instance, files.values(), watched):
                    click.echo(line)
            path = draft / instance.code
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=1) + "\n")


def local(study: params.Study, instance: graph.Instance) -> dict[str, Path]:
    """The files outside the pipeline that an instance reads on this machine, by name: of a corpus or a checkpoint."""
    if instance.stage == "download":
        return readers.files(study.corpora[instance.key])
    return local_files.of(study.checkpoints[instance.key]) if instance.stage == "checkpoint" else {}


def _unwatched(instance: graph.Instance, files: Iterable[Path], watched: Path) -> str | None:
    """What to do after a change of files that are not all in the watched folder."""
    # DVC follows a link to a file, and none to a folder
    outside = [path for path in files if not path.parent.resolve().is_relative_to(watched.resolve())]
    if not outside:
        return None
    folder = min((path.parent for path in outside), key=lambda path: len(path.parts))
    folder = folder.resolve() if folder.absolute().is_relative_to(watched.absolute()) else folder
    table, what = ("corpora", "the collection") if instance.stage == "download" else ("checkpoints", "it")
    return (
        f"{table}.{instance.key}: DVC does not watch {folder}; after a change there run dvc repro -f "
        f"{instance.stage}@{instance.key}, or move {what} into {watched}/"
    )


def kinds(study: params.Study, instance: graph.Instance) -> list[str]:
    """The modules that an instance loads by the kinds that it names: reader, loss, tuning, architecture."""
    if instance.stage == "download":
        return [readers.module(study.corpora[instance.key])]
    if instance.stage == "checkpoint":
        architecture = study.checkpoints[instance.key].architecture
        return [architectures.module(architecture)] if architecture in SEARCHING + RERANKING else []
    if instance.stage == "score":
        return _teachers(study, study.scored[instance.key])
    if instance.stage not in ("train", "tune", "train-tuned", "train-reranker", "rerank"):
        return []
    variant = {**study.trained, **study.rerankers}[instance.key]
    architecture = study.checkpoints[variant.checkpoint].architecture
    named = [architectures.module(architecture)] if instance.stage in ("train-reranker", "rerank") else []
    recipe = study.recipes[variant.recipe]
    if instance.stage == "rerank" or recipe is None:
        return named
    if instance.stage == "train-reranker":
        named.append(reranker.module(architecture))
    return [*named, losses.module(recipe.loss.kind), tuning.module(study.tunings[variant.tuning].kind)]


def _teachers(study: params.Study, block: Scored) -> list[str]:
    """The module of the architecture that scores; none where a file does."""
    if block.teacher_kind == "file":
        return []
    named = block.teacher_name
    name = study.rerankers[named].checkpoint if block.teacher_kind == "models" else named
    return [architectures.module(study.checkpoints[name].architecture)]


if __name__ == "__main__":
    main()
