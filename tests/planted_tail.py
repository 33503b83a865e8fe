"""A study of 3 test queries and 6 passages, as it is before anything is measured, and all verbs from there on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import audit, diagnose, differences, evaluate, examples, export, page, project, report, transfer, visualize
from stages.analysis import cause
from stages.analysis.vectors import unit
from stages.ledger import checked
from stages.ledger.checked import CheckedLedger
from stages.retrieval import dense, runs
from tests import plants

PASSAGES, QUERIES, DRAWN = 6, 3, 4
DOCS = [f"d{at}" for at in range(PASSAGES)]
TRAINED = ("full-hard", "lora-hard")


def write(folder: Path, model: Path, **blocks: Any) -> None:
    """Corpora, vectors, runs, models, triplets and training logs of BM25, the base and two trained variants.

    The run of BM25 has no lines. The corpus `training` is trained on and judges nothing.
    """
    known = plants.blocks()
    target = {"corpus": "in_domain", "split": "test", "measure": "RR@10"}
    training = {"source": "beir:x", "train": "train", "judged": {}}
    drawn = {"corpus": "training", "from": "corpora/training", "size": DRAWN}
    study = {
        "corpora": {"in_domain": {"source": "beir:x", "judged": {"test": {}}}, "training": training},
        "checkpoints": {name: known["checkpoints"][name] for name in ("bm25", "minilm")},
        "pools": {},
        "triplets": {"none": {**drawn, "size": 0}, "hard": drawn},
        "recipes": {
            name: {**(known["recipes"][name] or {}), "batch": 4} if name != "none" else {}
            for name in ("none", "printed")
        },
        "retrievers": {name: known["retrievers"][name] for name in ("bm25", "base", *TRAINED)},
        "interpolations": {},
        "fusions": {},
        "rerankers": {},
        "report": {**known["report"], "in_domain": target, "out_of_domain": None, "pairs": [list(TRAINED)]},
        "umap": {**known["umap"], "pairs": 8},
    }
    plants.write_params(folder, **{**study, **blocks})
    rng = np.random.default_rng(7)
    for corpus, split in (("in_domain", "test"), ("training", "train")):
        _corpus(folder / "data/corpora" / corpus, split)
        for variant in ("base", *TRAINED):
            seed_run = "pretrained" if variant == "base" else "seed-13"
            index = folder / "data/indexes" / variant / corpus / seed_run
            (index / "topics").mkdir(parents=True)
            vectors = unit(rng.normal(size=(PASSAGES + QUERIES, 8))).astype(np.float32)
            np.save(index / "docs.npy", vectors[:PASSAGES])
            np.save(index / f"topics/{split}.npy", vectors[PASSAGES:])
            if corpus == "in_domain":
                ranked = dense.top_k(vectors[PASSAGES:], vectors[:PASSAGES], 6, 1000)
                write_run(folder, variant, seed_run, *ranked)
                (folder / "data/models" / variant).mkdir(parents=True)
                (folder / "data/models" / variant / seed_run).symlink_to(model)
        (folder / "data/indexes/bm25" / corpus / "pretrained/bm25").mkdir(parents=True)
    write_run(folder, "bm25", "pretrained", np.zeros((QUERIES, 1), np.float32), np.full((QUERIES, 1), -1))
    _training(folder)


def write_run(folder: Path, variant: str, seed_run: str, scores: np.ndarray, rows: np.ndarray) -> None:
    """A run of the test queries; a row number of -1 is no passage."""
    path = folder / "data/runs" / variant / "in_domain" / seed_run / "test.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write([runs.table([f"q{at}" for at in range(QUERIES)], pa.array(DOCS), scores, rows)], path)


def _corpus(folder: Path, split: str) -> None:
    plants.write_corpus(folder, PASSAGES, QUERIES, split)
    sizes = {"queries": QUERIES, "judgments": QUERIES, "clusters": 2}
    sizes |= {"relevant_per_query": 1.0, "words_per_query": 4.0}
    card = {"origin": {"x": "1"}, "documents": PASSAGES, "splits": {split: sizes}, "words_per_passage": 3.0}
    card |= {"dropped": {}, "noted": {}, "fingerprint": "9" * 64}
    (folder / "card.json").write_text(json.dumps(card))


def _training(folder: Path) -> None:
    """The triplets, and logs of one step without validation."""
    rows = [(f"q{at % QUERIES}", f"d{at % QUERIES}", f"d{at % QUERIES + 3}", 0, "a", "b", "c") for at in range(DRAWN)]
    names = ["query_id", "positive_id", "negative_id", "rank", "anchor", "positive", "negative"]
    (folder / "data/triplets/hard").mkdir(parents=True)
    pq.write_table(pa.table(list(zip(*rows)), names), folder / "data/triplets/hard/seed-13.parquet")
    (folder / "reports/training").mkdir(parents=True)
    trained = {"seed": 13, "steps": 1, "trainable": 1, "total": 2, "tensors": 2, "changed": 1}
    for variant in ("bm25", "base", *TRAINED):
        seed_runs = [{**trained, "log": [{"step": 1, "loss": 0.2}]}] if variant in TRAINED else []
        stored = {"variant": variant, "seed_runs": seed_runs}
        (folder / f"reports/training/{variant}.json").write_text(json.dumps(stored))
    (folder / "reports/costs.json").write_text("[]")
    (folder / "reports/cause.json").write_text(cause.as_json(cause.Studied({}, {}, 0.05)))
    (folder / "reports/claims.json").write_text(checked.as_json(CheckedLedger(papers={}, claims=[], findings=[])))


def measure() -> None:
    """All verbs after search, in the working directory, as dvc.yaml calls them."""
    data = {name: f"--{name}=data/{name}" for name in ("runs", "corpora", "indexes", "models", "triplets")}
    made = {
        name: f"--{name}=reports/{name}.json"
        for name in ("results", "pairs", "projection", "diagnosis", "transfer", "negatives", "costs", "cause", "claims")
    }
    table, training = "--queries=reports/queries.parquet", "--training=reports/training"
    plants.succeeds(
        evaluate.main,
        data["runs"],
        data["corpora"],
        table,
        made["results"],
        made["pairs"],
        "--metrics=reports/metrics.json",
    )
    points = "--points=data/projection.parquet"
    plants.succeeds(project.main, data["indexes"], data["corpora"], points, "--out=reports/projection.json")
    plants.succeeds(visualize.main, training, made["results"], made["projection"], points, "--out=reports/figures")
    plants.succeeds(
        diagnose.main,
        *(data[name] for name in ("indexes", "runs", "models", "corpora")),
        table,
        "--out=reports/diagnosis.json",
    )
    plants.succeeds(
        audit.main,
        data["triplets"],
        data["corpora"],
        data["indexes"],
        "--out=reports/negatives.json",
        "--picture=reports/negatives.png",
    )
    plants.succeeds(
        differences.main, table, data["corpora"], "--page=reports/differences.md", "--texts=data/differences.md"
    )
    plants.succeeds(
        examples.main,
        table,
        made["results"],
        data["runs"],
        data["corpora"],
        "--out=reports/examples.json",
        "--texts=data/examples.md",
    )
    plants.succeeds(
        transfer.main,
        table,
        data["corpora"],
        "--out=reports/transfer.json",
        "--page=reports/transfer.md",
        "--picture=reports/transfer.png",
    )
    read = ("results", "pairs", "projection", "negatives", "diagnosis", "transfer", "costs")
    plants.succeeds(
        report.main,
        *(made[name] for name in read),
        "--examples=reports/examples.json",
        training,
        data["corpora"],
        "--out=reports/report.md",
        "--table=reports/table.md",
        "--answer=reports/answer.json",
        "--costs-page=reports/costs.md",
    )
    plants.succeeds(
        page.main,
        *(made[name] for name in (*read, "cause", "claims") if name != "projection"),
        "--examples=reports/examples.json",
        training,
        data["corpora"],
        data["models"],
        data["runs"],
        "--lock=dvc.lock",
        "--out=reports/index.html",
    )
    for variant in ("bm25", *TRAINED):
        plants.succeeds(export.main, "run", variant, "in_domain", "test", "--out", f"exported/{variant}.trec")
    plants.succeeds(export.main, "qrels", "in_domain", "test", "--out=exported/qrels")
    plants.succeeds(export.main, "table", "--format=latex")
