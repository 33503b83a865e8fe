"""A sample of a variant's run with its texts: what an exported model has to score in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.collections import canonical
from stages.collections.canonical import Caps
from stages.core.errors import UserError
from stages.models import precision
from stages.params import Study
from stages.retrieval import runs

DATA = Path("data")
QUERIES, DEPTH = 16, 10


@dataclass(frozen=True)
class Sample:
    """Queries of a judged split with the passages that a run ranks highest, `texts` and `scores` a list a query.

    `computed_in` is the precision of the run, `caps` where the collection's texts are cut.
    """

    where: str
    queries: Sequence[str]
    texts: Sequence[Sequence[str]]
    scores: Sequence[Sequence[float]]
    computed_in: str
    caps: Caps


def of_variant(study: Study, variant: str, seed_run: str) -> Sample:
    """What is compared: of the collection in domain, or of the first that the variant has a run on."""
    judged = [(corpus, split) for corpus, block in study.corpora.items() for split in block.judged]
    target = study.report.in_domain.corpus, study.report.in_domain.split
    for corpus, split in sorted(judged, key=lambda each: each != target):
        run, collection = DATA / "runs" / variant / corpus / seed_run / f"{split}.parquet", DATA / "corpora" / corpus
        if run.is_file() and (collection / "docs.parquet").is_file():
            depth = study.rerank.depth if variant in study.rerankers else DEPTH
            return _sample(run, collection, split, _computed_in(variant, corpus, seed_run), depth)
    runs_of = DATA / "runs" / variant
    raise UserError(
        f"{runs_of}: no run of {seed_run} is here with its collection, so that nothing can be compared; run dvc pull "
        f"{runs_of} data/corpora or dvc repro"
    )


def _sample(run: Path, collection: Path, split: str, computed_in: str | None, depth: int = DEPTH) -> Sample:
    """QUERIES of a run's queries at equal distances, and the first passages of each, with their texts.

    run: the parquet file of a seed run. Raises UserError for a run that ranks nothing.
    """
    ranked = runs.first(pa.concat_tables(list(runs.read(run))), min(DEPTH, depth))
    known = ranked["query_id"].unique().to_pylist()
    if not known:
        raise UserError(f"{run}: ranks nothing, so that nothing can be compared")
    chosen = [known[at] for at in sorted({at * len(known) // QUERIES for at in range(QUERIES)})]
    ranked = ranked.filter(pc.is_in(ranked["query_id"], pa.array(chosen))).to_pylist()
    topics = canonical.topics(collection, split)
    asked = dict(zip(topics["query_id"].to_pylist(), topics["text"].to_pylist(), strict=True))
    wanted = pa.array(sorted({row["doc_id"] for row in ranked}))
    docs = pq.read_table(collection / "docs.parquet", filters=pc.field("doc_id").isin(wanted))
    texts = dict(zip(docs["doc_id"].to_pylist(), docs["text"].to_pylist(), strict=True))
    rows = {query: [row for row in ranked if row["query_id"] == query] for query in chosen}
    return Sample(
        f"{collection.name} {split}",
        [asked[query] for query in chosen],
        [[texts[row["doc_id"]] for row in rows[query]] for query in chosen],
        [[row["score"] for row in rows[query]] for query in chosen],
        computed_in or "bfloat16",
        canonical.caps(collection),
    )


def _computed_in(variant: str, corpus: str, seed_run: str) -> str | None:
    """What a variant's run was computed in; None where the vectors that it came from are not here."""
    return precision.recorded(DATA / "runs" / variant) or precision.recorded(
        DATA / "indexes" / variant / corpus / seed_run
    )
