"""Models that were trained on raw vectors, ranked by the quantity that their loss saw: the distance of raw vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from studies.collecting import CORPUS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from sentence_transformers import SentenceTransformer

    from stages.params import Study

RAW = ("raw5", "raw02")


def per_query(folder: Path, study: Study) -> Iterator[pa.Table]:
    """Per-query values of `<variant>/euclidean`, a table for each seed run and split; none without both variants."""
    import pyarrow.parquet as pq

    from stages.models import encoding

    docs = pq.read_table(folder / "data/corpora" / CORPUS / "docs.parquet")
    for variant in RAW if set(RAW) <= study.retrievers.keys() else ():
        for seed_run in sorted(path for path in (folder / "data/models" / variant).iterdir() if path.is_dir()):
            model = encoding.load_encoder(seed_run)
            passages = _raw(model, docs["text"].to_pylist(), study.index.precision)
            for split in study.corpora[CORPUS].judged:
                names = {"variant": f"{variant}/euclidean", "seed_run": seed_run.name, "split": split}
                yield _ranked(folder, study, model, docs["doc_id"], passages, names)


def _ranked(
    folder: Path,
    study: Study,
    model: SentenceTransformer,
    doc_ids: pa.ChunkedArray,
    passages: np.ndarray,
    names: dict[str, str],
) -> pa.Table:
    """The values of one split, ranked by Euclidean distance; names are the columns that say which."""
    import faiss
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stages.evaluation import measures
    from stages.retrieval import runs

    corpus, split = folder / "data/corpora" / CORPUS, names["split"]
    topics = pq.read_table(corpus / f"topics/{split}.parquet").to_pydict()
    queries = _raw(model, topics["text"], study.index.precision)
    depth = min(study.search.depth, len(passages))
    squares, top = faiss.knn(queries, passages, depth, metric=faiss.METRIC_L2)
    run = runs.table(topics["query_id"], doc_ids.combine_chunks(), -squares, top)
    qrels = pq.read_table(corpus / f"qrels/{split}.parquet")
    values = measures.per_query([run], qrels, study.measures, study.corpora[CORPUS].judged[split].rel)
    clusters = dict(zip(topics["query_id"], topics["cluster"], strict=True))
    ids = list(values[study.measures[0]])
    return pa.table(
        {
            **{key: [value] * len(ids) for key, value in names.items()},
            "query_id": ids,
            **{name: [values[name][query] for query in ids] for name in study.measures},
            "cluster": [clusters[query] for query in ids],
        }
    )


def _raw(model: SentenceTransformer, texts: list[str], precision: str) -> np.ndarray:
    """Vectors before any normalisation, float32 (texts, dimension), in the order given."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    from stages.models import encoding

    body = [part for part in model if not isinstance(part, Normalize)]
    raw = SentenceTransformer(modules=body, device=str(model.device)).eval()
    with encoding.autocast(model, precision):
        return raw.encode(texts, prompt="", show_progress_bar=False)
