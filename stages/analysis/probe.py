"""What every variant is measured through on one split of one corpus: judged pairs, a sample of passages, its run."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from stages.analysis.numerical_checks import Ranking
from stages.collections import canonical
from stages.models import settings
from stages.params.report import Diagnose
from stages.retrieval import runs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, eq=False)
class Probe:
    """queries: query -> its row number; relevant: judged query -> document numbers; sample: document numbers (n,).

    texts are those of the first passages of the sample, caps is where the corpus cuts its texts.
    """

    queries: dict[str, int]
    doc_ids: pa.Array
    relevant: dict[str, list[int]]
    sample: np.ndarray
    texts: list[str]
    caps: canonical.Caps

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers (m,) of queries, and document numbers (m,) of the passages that are relevant to them."""
        pairs = [(self.queries[query], passage) for query, own in self.relevant.items() for passage in own]
        queries, passages = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return queries, passages


@dataclass(frozen=True, eq=False)
class JudgedRanking:
    """A judged query of a run: its passages' document numbers (n,), -1 for one not in the corpus, and their ranking."""

    query: str
    passages: np.ndarray
    ranking: Ranking


def read(folder: Path, split: str, rel: int, settings: Diagnose) -> Probe:
    """Read a corpus's folder: pairs of grade >= rel, and settings.passages passages drawn with settings.seed.

    The texts are those of the first settings.norms of them.
    """
    query_ids, doc_ids = canonical.topics(folder, split)["query_id"].to_pylist(), canonical.doc_ids(folder)
    qrels = canonical.qrels(folder, split)
    passages = pc.index_in(qrels["doc_id"], value_set=doc_ids).to_pylist()
    relevant: dict[str, list[int]] = {}
    for query, passage, grade in zip(qrels["query_id"].to_pylist(), passages, qrels["grade"].to_pylist(), strict=True):
        relevant.setdefault(query, []).extend([passage] if grade >= rel and passage is not None else [])
    size = min(settings.passages, len(doc_ids))
    sample = np.random.default_rng(settings.seed).choice(len(doc_ids), size, replace=False)
    texts = ds.dataset(folder / "docs.parquet").take(pa.array(sample[: settings.norms]), columns=["text"])["text"]
    queries = {query: row for row, query in enumerate(query_ids)}
    return Probe(queries, doc_ids, relevant, sample, texts.to_pylist(), canonical.caps(folder))


def rankings(run: Path, probe: Probe) -> list[JudgedRanking]:
    """Each judged query of a run, in the run's order; none of a run without lines."""
    judged = []
    for part in runs.read(run):
        ids, scores = part["query_id"].to_numpy(), part["score"].to_numpy()
        rows = pc.fill_null(pc.index_in(part["doc_id"], value_set=probe.doc_ids), -1).to_numpy()
        edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1), len(ids)]
        for start, end in pairwise(edges if len(ids) else []):
            if ids[start] in probe.relevant:
                relevant = np.isin(rows[start:end], probe.relevant[ids[start]])
                judged.append(JudgedRanking(ids[start], rows[start:end], Ranking(scores[start:end], relevant)))
    return judged


def raw_vectors(model: "SentenceTransformer", texts: list[str]) -> np.ndarray:
    """A SentenceTransformer's vectors of passages before any Normalize makes them unit, float32 (texts, dimension)."""
    from sentence_transformers.sentence_transformer.modules import Normalize

    raw = settings.rebuilt(model, [part for part in model if not isinstance(part, Normalize)])
    return raw.encode_document(texts, show_progress_bar=False)
