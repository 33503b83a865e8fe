"""Triplets: what a row learns from, drawn once per seed, and the sample on which its training is watched."""
import hashlib
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import params
from stages.negatives import draw
from stages.core.errors import UserError
from stages.core.files import publish


@click.command()
@click.argument("block")
@click.option("--collection", type=click.Path(exists=True, path_type=Path), required=True, help="the corpus")
@click.option("--pool", type=click.Path(exists=True, path_type=Path), required=True,
              help="what negatives come from: a pool, released triples, or the corpus itself")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the block's folder")
def main(block: str, collection: Path, pool: Path, out: Path) -> None:
    """Draw BLOCK's triplets: a training query, a passage relevant to it, and one or more that are not known to be.

    Writes seed-<n>.parquet for each seed, with ids, texts and the rank each negative was drawn at (negative, rank,
    negative_2, rank_2 and so on), what a pool scored them where they come from one, and
    watch/{queries,passages}.parquet, the same validation sample for every seed. A passage that is relevant to the
    query, or to any judged or validation query of the corpus unless the block says allow_judged, is never a negative.
    """
    study = params.load()
    row = study.triplets[block]
    with publish(out) as draft:
        draft.mkdir()
        if not row.size:
            return
        forbidden = _forbidden(collection, study.corpora[row.corpus].judged, row.allow_judged)
        for seed in study.seeds:
            drawn, left_out = _draw(row, collection, pool, forbidden, seed)
            lost = f", {left_out} pairs left out by its margins" if _has_margin(row) else ""
            if len(drawn) < row.size / 2:
                asked = "an allowed negative" if row.negatives_per_query == 1 else f"{row.negatives_per_query} allowed negatives"
                raise UserError(f"triplets.{block}: only {len(drawn)} of {row.size} triplets found {asked}{lost}; "
                              f"widen its ranks or draw from another pool")
            pq.write_table(_with_texts(drawn, collection, row.negatives_per_query), draft / f"seed-{seed}.parquet", compression="zstd")
            ranks = [drawn[name] for name in draw.numbered("rank", row.negatives_per_query)]
            click.echo(f"{block}: seed {seed}, {len(drawn)} triplets, {len(drawn['query_id'].unique())} queries, "
                       f"negatives at ranks {min(pc.min(column).as_py() for column in ranks)}-"
                       f"{max(pc.max(column).as_py() for column in ranks)}{lost}")
        if (collection / "topics" / "validation.parquet").exists():
            _watch(collection, study.validation_curve.queries, study.validation_curve.passages, draft / "watch")


def _draw(row, collection: Path, pool: Path, forbidden: draw.Forbidden, seed: int) -> tuple[pa.Table, int]:
    """A block's pairs and negatives for one seed, and how many pairs its margins left out."""
    if pool.name == "docpairs.parquet":
        return draw.released(pool, row.size, forbidden, seed), 0
    chosen = draw.pairs(pq.read_table(collection / "qrels" / "train.parquet"), row.size, seed)
    if row.ranks:
        return draw.from_pool(chosen, pool, row, forbidden, seed)
    doc_ids = pq.read_table(collection / "docs.parquet", columns=["doc_id"])["doc_id"].combine_chunks()
    return draw.uniform(chosen, doc_ids, forbidden, seed, row.negatives_per_query), 0


def _has_margin(row) -> bool:
    return row.absolute_margin is not None or row.relative_margin is not None


def _with_texts(drawn: pa.Table, collection: Path, each: int) -> pa.Table:
    ids = {"positive": drawn["positive_id"]}
    for name, column in zip(draw.numbered("negative", each), draw.numbered("negative_id", each)):
        ids[name] = drawn[column]
    texts = _texts(collection / "docs.parquet", *ids.values())
    queries = pq.read_table(collection / "topics" / "train.parquet").to_pydict()
    asked = dict(zip(queries["query_id"], queries["text"]))
    drawn = drawn.append_column("anchor", _lookup(asked, drawn["query_id"]))
    for name, column in ids.items():
        drawn = drawn.append_column(name, _lookup(texts, column))
    return drawn


def _forbidden(collection: Path, judged: list[str], allow_judged: bool) -> draw.Forbidden:
    known = [pq.read_table(path) for path in sorted((collection / "qrels").glob("*.parquet"))]
    known = pa.concat_tables(table.filter(pc.greater_equal(table["grade"], 1)) for table in known)
    watched = [split for split in ["validation"] if (collection / "qrels" / f"{split}.parquet").exists()]
    looked_at = [pq.read_table(collection / "qrels" / f"{split}.parquet") for split in [*judged, *watched]]
    relevant = [table.filter(pc.greater_equal(table["grade"], 1))["doc_id"].combine_chunks() for table in looked_at]
    passages = pa.array([], pa.string()) if allow_judged or not relevant else pa.concat_arrays(relevant).unique()
    return draw.Forbidden(known, passages)


def _watch(collection: Path, queries: int, passages: int, out: Path) -> None:
    """The validation sample: some queries, what is relevant to them, and passages beside; chosen by hash, not seed."""
    topics = pq.read_table(collection / "topics" / "validation.parquet", columns=["query_id", "text"])
    qrels = pq.read_table(collection / "qrels" / "validation.parquet")
    qrels = qrels.filter(pc.greater_equal(qrels["grade"], 1))
    topics = topics.filter(pc.is_in(topics["query_id"], value_set=qrels["query_id"]))
    topics = _first_by_hash(topics, "query_id", queries)
    qrels = qrels.filter(pc.is_in(qrels["query_id"], value_set=topics["query_id"]))
    doc_ids = pq.read_table(collection / "docs.parquet", columns=["doc_id"])
    beside = doc_ids.filter(pc.invert(pc.is_in(doc_ids["doc_id"], value_set=qrels["doc_id"])))
    fill = max(0, passages - len(qrels["doc_id"].unique()))
    beside = beside.take(pa.array(np.random.default_rng(0).permutation(len(beside))[:fill]))
    chosen = pa.concat_arrays([qrels["doc_id"].unique(), beside["doc_id"].combine_chunks()])
    texts = _texts(collection / "docs.parquet", chosen)
    relevant = {}
    for query, passage in zip(qrels["query_id"].to_pylist(), qrels["doc_id"].to_pylist()):
        relevant.setdefault(query, []).append(passage)
    out.mkdir()
    pq.write_table(topics.append_column("relevant", pa.array([relevant[q] for q in topics["query_id"].to_pylist()])),
                   out / "queries.parquet")
    pq.write_table(pa.table({"doc_id": chosen, "text": _lookup(texts, chosen)}), out / "passages.parquet")


def _first_by_hash(table: pa.Table, column: str, count: int) -> pa.Table:
    keys = [hashlib.sha256(value.encode()).hexdigest() for value in table[column].to_pylist()]
    return table.take(pa.array(np.argsort(keys, kind="stable")[:count]))


def _texts(docs: Path, *wanted: pa.ChunkedArray) -> dict[str, str]:
    """doc_id -> text of the wanted passages, read in batches so that the corpus is never in memory."""
    ids = pa.array(sorted(set().union(*(column.to_pylist() for column in wanted))), pa.string())
    found = {}
    for batch in pq.ParquetFile(docs, memory_map=True).iter_batches(100_000):
        hit = batch.filter(pc.is_in(batch["doc_id"], value_set=ids))
        found.update(zip(hit["doc_id"].to_pylist(), hit["text"].to_pylist()))
    return found


def _lookup(texts: dict[str, str], ids: pa.ChunkedArray) -> pa.Array:
    return pa.array([texts[key] for key in ids.to_pylist()], pa.string())


if __name__ == "__main__":
    main()
