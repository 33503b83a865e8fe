"""Encode: one row's vectors of one corpus."""
import json
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages import params
from stages.core import costs
from stages.core import fingerprint
from stages.core import scratch
from stages.models import encoding
from stages.models import model_folder
from stages.models import towers
from stages.retrieval import bm25
from stages.retrieval import runs
from stages.core.files import link, publish


@click.command()
@click.argument("variant")
@click.argument("corpus")
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True, help="the row's models")
@click.option("--collection", type=click.Path(exists=True, path_type=Path), required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of indexes, one a trained copy")
def main(row: str, corpus: str, model: Path, collection: Path, out: Path) -> None:
    """Encode the passages and queries of CORPUS with every trained copy of ROW.

    Writes, for each copy, docs.npy (one unit vector a passage, row number = document number) and topics/<split>.npy;
    for BM25 its inverted index; for a published run its rows. Work that was killed goes on where it stopped.
    """
    index = params.load().index
    with ExitStack() as stack, publish(out) as draft:
        finished = []
        for copy in model_folder.seed_runs(model):
            home = draft / copy.name
            home.mkdir(parents=True)
            match model_folder.describe(copy):
                case {"architecture": "lexical", "k1": k1, "b": b}:
                    texts = pq.read_table(collection / "docs.parquet", columns=["text"])["text"].to_pylist()
                    bm25.build(texts, home / "bm25", k1, b)
                case {"architecture": "run", "corpus": judged, "split": split}:
                    if judged == corpus:
                        runs.write([runs.from_trec(next(copy.glob("run.*")))], home / f"{split}.parquet")
                    else:
                        (home / "empty").touch()
                case _:
                    work = stack.enter_context(scratch.workspace("encode", _key(copy, collection, index)))
                    finished += _encode_copy(f"{row}.{corpus}.{copy.name}", copy, collection, work, home, index)
        for made, target in finished:
            link(made, target)


def _encode_copy(name: str, copy: Path, collection: Path, work: Path, home: Path, index) -> list[tuple[Path, Path]]:
    """Encode with one model in a workspace that survives a kill; returns where each file lies and where it belongs."""
    clock = costs.Clock()
    model = encoding.load_encoder(copy, _tokens(collection))
    figures = {"load_seconds": clock.lap()}
    made = []
    for path in _sources(collection):
        target = path.relative_to(collection).with_suffix(".npy")
        (work / target).parent.mkdir(exist_ok=True)
        role = "query" if path.parent.name == "topics" else "document"
        rows = _encode_file(model, path, work / target, index, f"{name} {target.stem}", role)
        figures[f"{target.stem}_per_second"] = rows / clock.lap()
        made.append((work / target, home / target))
    costs.record("encode", name, **figures)
    return made


def _sources(collection: Path) -> list[Path]:
    return [collection / "docs.parquet", *sorted((collection / "topics").glob("*.parquet"))]


def _tokens(collection: Path) -> int | None:
    """The corpus's own cap on tokens, if its row has one."""
    return json.loads((collection / "docs.json").read_text())["tokens"]


def _key(copy: Path, collection: Path, index) -> str:
    """What half-written vectors belong to: model, texts, settings, and the code and libraries that made them."""
    texts = [fingerprint.of_file(path) for path in _sources(collection)]
    made_by = [*(fingerprint.of_file(Path(module.__file__)) for module in (encoding, towers)),
               *(metadata.version(name) for name in ("torch", "transformers", "sentence-transformers"))]
    return fingerprint.of_values(fingerprint.of_folder(copy), texts, _tokens(collection), index.model_dump(), made_by)


def _encode_file(model, path: Path, target: Path, index, label: str, role: str) -> int:
    """Encode the texts of one parquet file, queries or passages as `role` says; returns how many there are."""
    from tqdm import tqdm
    file = pq.ParquetFile(path, memory_map=True)
    rows = file.metadata.num_rows
    shards = (batch["text"].to_pylist() for batch in file.iter_batches(index.block, columns=["text"]))
    with tqdm(total=rows, desc=label, unit="text", mininterval=2) as bar:
        encoding.encode_to_file(model, shards, rows, target, index.dtype, index.batch_tokens, index.precision,
                                bar.update, role)
    return rows


if __name__ == "__main__":
    main()
