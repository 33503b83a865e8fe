"""Rerank: the first stage's top passages, reranked by a variant's cross-encoders or late interaction."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import click

from stages import params
from stages.collections import canonical
from stages.collections.canonical import Caps
from stages.core import code, costs, fingerprint, on_ray, scratch, threads
from stages.core.errors import UserError
from stages.core.files import link, publish
from stages.models import architectures, encoding, model_folder, precision
from stages.params.report import Rerank
from stages.params.scale import Encoding
from stages.retrieval import reranking
from stages.retrieval.reranking import Inputs, Score

KEYS = "keys.json"
Work = Callable[[Path], int]  # a block's path -> how many pairs were scored
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--model", type=folder, required=True, help="the variant's models, one for each seed run")
@click.option("--first-stage", type=folder, required=True, help="runs of the first stage, one folder a corpus")
@click.option("--corpora", type=folder, required=True, help="the corpora")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="runs, one folder a corpus and seed run")
def main(variant: str, model: Path, first_stage: Path, corpora: Path, out: Path) -> None:
    """Rerank the first stage's top passages for the judged splits of every corpus with every seed run of VARIANT.

    The model sees query and passage, and neither rank nor score of the first stage. Passages with equal scores are
    ranked by id, the higher one first, as everywhere. What the first stage ranks below the reranked passages follows
    them in its order; where it ranks nothing the run has no lines. An earlier output's runs whose model, inputs,
    settings and code are the same (keys.json) are taken over, and blocks that a killed run finished are not scored
    again.
    """
    study = params.load()
    threads.limit(study.threads)
    settings = study.rerank.model_copy(update={"precision": precision.chosen(study.rerank.precision)})
    splits = [(corpus, split) for corpus, block in study.corpora.items() for split in block.judged]
    earlier = json.loads((out / KEYS).read_text()) if (out / KEYS).is_file() else {}
    keys: dict[str, str] = {}
    scored, seconds = 0, 0.0
    with ExitStack() as stack, publish(out) as draft:
        draft.mkdir()
        for seed_run in model_folder.seed_runs(model):
            wanted = dict(_wanted(variant, seed_run.name, splits, first_stage, corpora))
            keys |= _keys(variant, seed_run, wanted, settings)
            kept = [path for path in wanted if earlier.get(path, "") == _seal(keys[path], out / path)]
            for path in kept:
                link(out / path, draft / path)
            if len(kept) == len(wanted):
                continue
            load: Callable[[Caps], Score] = partial(_scorer, seed_run, settings, study.threads)
            if study.scale.encoding.engine == "local":
                load = cache(load)
            for path in sorted(wanted.keys() - kept):
                work = stack.enter_context(scratch.workspace("rerank", keys[path]))
                clock = costs.Clock()
                cut = canonical.caps(wanted[path].docs.parent)
                blocks = (wanted[path], settings, work, reranking.PAIRS)
                make = partial(reranking.worker, *blocks, partial(load, cut))
                missing, pairs = reranking.missing(*blocks)
                scored += _score(f"{variant} {path}", make, missing, pairs, study.scale.encoding)
                seconds += clock.seconds()
                reranking.write_run(work, draft / path)
        seals = {path: _seal(key, draft / path) for path, key in keys.items() if (draft / path).is_file()}
        (draft / KEYS).write_text(json.dumps(seals, indent=1) + "\n")
        precision.record(settings.precision, draft)
    if scored:
        costs.record("rerank", variant, pairs_per_second=scored / seconds, pairs=scored, seconds=seconds)


def _score(name: str, make: Callable[..., Work], missing: dict[Path, int], total: int, engine: Encoding) -> int:
    """Score the missing blocks by what `scale.encoding` says; returns how many pairs they have, of `total` in all."""
    from tqdm import tqdm

    count = sum(missing.values())
    if not missing:
        return 0
    with tqdm(total=total, initial=total - count, desc=name, unit="pair", mininterval=2) as bar:
        if engine.engine == "local":
            score = make(tick=bar.update)
            for path in missing:
                score(path)
        else:
            for _, pairs in on_ray.each(make, list(missing), on_ray.Cluster.of(engine)):
                bar.update(pairs)
    return count


def _wanted(
    variant: str, seed_run: str, splits: list[tuple[str, str]], first_stage: Path, corpora: Path
) -> Iterator[tuple[str, Inputs]]:
    """The path of each run that a seed run is to make, within the output, and what it is made from."""
    for corpus, split in splits:
        run = _first_stage_run(first_stage / corpus, seed_run) / f"{split}.parquet"
        if run.is_file():
            collection = corpora / corpus
            inputs = Inputs(run, collection / "docs.parquet", collection / "topics" / f"{split}.parquet")
            yield f"{corpus}/{seed_run}/{split}.parquet", inputs
        else:
            click.echo(f"{variant} {seed_run} {corpus} {split}: skipped, the first stage has no run {run}")


def _first_stage_run(folder: Path, seed_run: str) -> Path:
    """The first stage's seed run of the same name, or its only one; a folder that is not there where it has none."""
    names = [path.name for path in model_folder.seed_runs(folder)] if folder.is_dir() else []
    if seed_run in names or not names:
        return folder / seed_run
    if len(names) > 1:
        raise UserError(
            f"{folder}: has seed runs {', '.join(names)} and none called '{seed_run}'; train both variants with the "
            f"same seeds, or rerank a variant with one seed run"
        )
    return folder / names[0]


def _keys(variant: str, model: Path, wanted: dict[str, Inputs], settings: Rerank) -> dict[str, str]:
    """Path -> what a run and its blocks belong to: model, files, settings, and the code and libraries that scored."""
    module = architectures.module(model_folder.describe(model).architecture)
    made_by = [
        variant,
        fingerprint.of_folder(model),
        settings.model_dump(),
        code.fingerprint("stages.rerank", module),
        encoding.versions(),
    ]
    return {
        path: fingerprint.of_values(
            path, made_by, list(canonical.caps(inputs.docs.parent)), *map(fingerprint.of_file, inputs.files)
        )
        for path, inputs in wanted.items()
    }


def _seal(key: str, run: Path) -> str | None:
    """A fingerprint of a run's bytes and of what it belongs to; None where there is no such file."""
    return fingerprint.of_values(key, fingerprint.of_file(run)) if run.is_file() else None


def _scorer(model: Path, settings: Rerank, count: int | None, cut: Caps) -> Score:
    """What scores pairs by the model of a folder, on a collection that is cut there.

    Raises UserError for a cross-encoder without a trained head, and for longer texts than the model can read.
    """
    threads.limit(count)
    module = architectures.load_module(model_folder.describe(model).architecture)
    loaded = module.load(model)
    module.cut(loaded, *cut)
    return lambda queries, passages, tick: module.score(
        loaded, queries, passages, settings.batch_tokens, settings.precision, tick
    )


if __name__ == "__main__":
    main()
