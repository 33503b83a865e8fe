"""Encode: a variant's vectors of one corpus."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import params
from stages.collections import canonical
from stages.core import code, costs, fingerprint, scratch, space, threads
from stages.core.errors import UserError
from stages.core.files import link, publish
from stages.models import caps, encoding, model_folder, precision
from stages.params.report import Index
from stages.retrieval import bm25, runs, trec

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CAPS = Path("caps.json")
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.argument("corpus")
@click.option("--model", type=folder, required=True, help="the variant's models, one for each seed run")
@click.option("--collection", type=folder, required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of indexes, one for each seed run")
def main(variant: str, corpus: str, model: Path, collection: Path, out: Path) -> None:
    """Encode the passages and queries of CORPUS with every seed run of VARIANT.

    Writes, for each seed run, docs.npy (one vector a passage, row number = document number, of unit length where the
    model's similarity is cosine), topics/<split>.npy, caps.json, how many texts the model did not read whole, and
    computed.json, the precision that it computed in; for BM25 its inverted index; for a published run its rankings.
    After a kill the next run goes on from the last whole shard.
    """
    study = params.load()
    threads.limit(study.threads)
    index = study.index
    with ExitStack() as stack, publish(out) as draft:
        finished = []
        for seed_run in model_folder.seed_runs(model):
            target = draft / seed_run.name
            target.mkdir(parents=True)
            description = model_folder.describe(seed_run)
            match description.architecture:
                case "lexical":
                    texts = pq.read_table(collection / "docs.parquet", columns=["text"])["text"].to_pylist()
                    language = canonical.language(collection)
                    bm25.build(texts, target / "bm25", description.k1, description.b, language)
                case "published-run" if description.corpus == corpus:
                    run = _published(variant, next(seed_run.glob("run.*")), collection, description.split)
                    runs.write([run], target / f"{description.split}.parquet")
                case "published-run":
                    (target / "empty").touch()
                case _:
                    index = index.model_copy(update={"precision": precision.chosen(index.precision)})
                    work = stack.enter_context(scratch.workspace("encode", _key(seed_run, collection, index)))
                    made = _encode(f"{variant}.{corpus}.{seed_run.name}", seed_run, collection, work, index)
                    finished += [(work / path, target / path) for path in made]
        for path, target in finished:
            link(path, target)


def _published(variant: str, path: Path, collection: Path, split: str) -> pa.Table:
    """A published run; prints what it has in common with the corpus. Raises UserError where that is nothing."""
    run = trec.read(path)
    queries = canonical.topics(collection, split)["query_id"].combine_chunks()
    try:
        click.echo(f"{variant}: {trec.overlap(run, canonical.doc_ids(collection), queries)}")
    except UserError as error:
        raise UserError(f"{variant} on {collection.name} {split}: {error}")
    return run


def _encode(name: str, model: Path, collection: Path, work: Path, index: Index) -> list[Path]:
    """Encode a collection in a workspace that survives a kill; returns the paths of the vectors in it."""
    clock = costs.Clock()
    encoder = encoding.load_encoder(model)
    try:
        caps.cut(encoder, *canonical.caps(collection))
    except UserError as error:
        raise UserError(f"corpora.{collection.name}.{error}")
    figures = {"load_seconds": clock.lap()}
    _require_space(encoder, collection, work, index)
    made, read = [], {}
    for source in _sources(collection):
        path = source.relative_to(collection).with_suffix(".npy")
        (work / path).parent.mkdir(exist_ok=True)
        role = "query" if source.parent.name == "topics" else "document"
        rows, cut = _encode_file(encoder, source, work / path, index, f"{name} {path.stem}", role)
        figures[f"{path.stem}_per_second"] = rows / clock.lap()
        made.append(path)
        read[path.stem] = {"texts": rows, "cut": cut, "tokens": caps.of(encoder, role)}
    costs.record("encode", name, **figures)
    with publish(work / CAPS) as draft:
        draft.write_text(json.dumps(read, indent=1) + "\n")
    precision.record(index.precision, work)
    return [*made, CAPS, Path(precision.NAME)]


def _require_space(encoder: SentenceTransformer, collection: Path, work: Path, index: Index) -> None:
    """Raise UserError where the disk has no room for the vectors; a file that a killed run began has its room."""
    rows = {path.relative_to(collection): pq.read_metadata(path).num_rows for path in _sources(collection)}
    begun = {path for path in rows for kind in (".npy", ".part") if (work / path).with_suffix(kind).exists()}
    width = (encoder.get_embedding_dimension() or 0) * np.dtype(index.dtype).itemsize
    size = width * sum(number for path, number in rows.items() if path not in begun)
    smaller = "say index.dtype float16" if index.dtype == "float32" else ""
    space.require(work, size, f"the vectors of {collection.name}", smaller)


def _sources(collection: Path) -> list[Path]:
    return [collection / "docs.parquet", *sorted((collection / "topics").glob("*.parquet"))]


def _key(model: Path, collection: Path, index: Index) -> str:
    """What half-written vectors belong to: model, texts, settings, and the code and libraries that made them."""
    texts = [fingerprint.of_file(path) for path in _sources(collection)]
    made_by = [code.fingerprint("stages.encode"), encoding.versions()]
    cut = canonical.caps(collection)
    return fingerprint.of_values(fingerprint.of_folder(model), texts, list(cut), index.model_dump(), made_by)


def _encode_file(
    encoder: SentenceTransformer, source: Path, target: Path, index: Index, label: str, role: str
) -> tuple[int, int]:
    """Encode the texts of one parquet file, queries or passages as `role` says; returns how many, and how many cut."""
    from tqdm import tqdm

    file = pq.ParquetFile(source, memory_map=True)
    rows = file.metadata.num_rows
    shards = (batch["text"].to_pylist() for batch in file.iter_batches(index.block, columns=["text"]))
    with tqdm(total=rows, desc=label, unit="text", mininterval=2) as bar:
        cut = encoding.encode_to_file(
            encoder, shards, rows, target, index.dtype, index.batch_tokens, index.precision, bar.update, role
        )
    return rows, cut


if __name__ == "__main__":
    main()
