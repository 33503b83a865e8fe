"""What every row is looked at through on one split of one corpus: its judged pairs, a sample of passages, its run."""
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from stages.retrieval import runs


class Corpus(NamedTuple):
    """What every row is looked at through. relevant: judged query -> document numbers; sample: document numbers."""
    queries: dict[str, int]
    doc_ids: pa.Array
    relevant: dict[str, list[int]]
    sample: np.ndarray
    texts: list[str]
    tokens: int | None


def corpus(home: Path, split: str, rel: int, settings) -> Corpus:
    """Read a corpus's folder: pairs of grade >= rel, and settings.passages passages drawn with settings.seed.

    The texts are those of the first settings.norms of them; tokens is the corpus's own cap, or None.
    """
    query_ids = pq.read_table(home / "topics" / f"{split}.parquet", columns=["query_id"])["query_id"].to_pylist()
    doc_ids = pq.read_table(home / "docs.parquet", columns=["doc_id"])["doc_id"].combine_chunks()
    qrels = pq.read_table(home / "qrels" / f"{split}.parquet")
    passages = pc.index_in(qrels["doc_id"], value_set=doc_ids).to_pylist()
    relevant: dict[str, list[int]] = {}
    for query, passage, grade in zip(qrels["query_id"].to_pylist(), passages, qrels["grade"].to_pylist()):
        relevant.setdefault(query, []).extend([passage] if grade >= rel and passage is not None else [])
    size = min(settings.passages, len(doc_ids))
    drawn = np.random.default_rng(settings.seed).choice(len(doc_ids), size, replace=False)
    texts = ds.dataset(home / "docs.parquet").take(pa.array(drawn[:settings.norms]), columns=["text"])["text"]
    tokens = json.loads((home / "docs.json").read_text())["tokens"]
    queries = {query: row for row, query in enumerate(query_ids)}
    return Corpus(queries, doc_ids, relevant, drawn, texts.to_pylist(), tokens)


def rankings(run: Path, corpus: Corpus) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """For each judged query of the run: its id, and its document numbers, scores and what is relevant, best first."""
    found = []
    for part in runs.read(run):
        ids, scores = part["query_id"].to_numpy(), part["score"].to_numpy()
        rows = pc.fill_null(pc.index_in(part["doc_id"], value_set=corpus.doc_ids), -1).to_numpy()
        ends = [*np.flatnonzero(ids[1:] != ids[:-1]) + 1, len(ids)]
        for start, end in zip([0, *ends], ends):
            if ids[start] in corpus.relevant:
                relevant = np.isin(rows[start:end], corpus.relevant[ids[start]])
                found.append((ids[start], rows[start:end], scores[start:end], relevant))
    return found
