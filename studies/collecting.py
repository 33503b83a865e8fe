"""What a finished run of the study's stages left in its folder, in the small form that is committed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError
from stages.params import Study

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

CORPUS = "in_domain"  # what every part of a controlled study calls its collection


def require(*paths: Path) -> None:
    """UserError for the first of a run's files or folders that is not there."""
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: is not there; run dvc repro first")


def header(part: str, folder: Path, commit: str | None = None) -> dict[str, Any]:
    """The part, the commit that ran it (the folder's own where none is named), and what it ran on."""
    commit = commit or subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()
    versions = {name: metadata.version(name) for name in ("torch", "sentence-transformers", "transformers", "peft")}
    threads = os.environ.get("OMP_NUM_THREADS")
    return {"part": part, "commit": commit, "machine": platform.machine(), "threads": threads, "versions": versions}


def per_query(folder: Path, study: Study) -> pa.Table:
    """A table of every variant's per-query values with their clusters."""
    from stages.evaluation import per_query

    table = per_query.read(folder / per_query.TABLE)
    return table.select(["variant", "seed_run", "split", "query_id", *study.measures, "cluster"])


def losses(seed_run: dict[str, Any]) -> dict[str, Any]:
    """A seed run's steps, its loss at both ends (means of eight steps), and RR@10 on validation by step."""
    logged = [entry["loss"] for entry in seed_run["log"] if "loss" in entry]
    return {
        "steps": seed_run["steps"],
        "trainable": seed_run["trainable"],
        "first_loss": round(sum(logged[:8]) / len(logged[:8]), 6),
        "last_loss": round(sum(logged[-8:]) / len(logged[-8:]), 6),
        "validation": {entry["step"]: entry["RR@10"] for entry in seed_run["log"] if "RR@10" in entry},
    }


def write(out: Path, part: str, training: dict[str, Any], values: pa.Table) -> None:
    """OUT/<part>.parquet (per-query values) and OUT/<part>.json, as analysis/study_runs.py reads them."""
    import pyarrow.parquet as pq

    from stages.core.files import publish

    with publish(out / f"{part}.parquet") as draft:
        pq.write_table(values, draft, compression="zstd", compression_level=19)
    with publish(out / f"{part}.json") as draft:
        draft.write_text(json.dumps(training, indent=1) + "\n")


def variants(folder: Path, study: Study) -> dict[str, dict[str, Any]]:
    """Variant -> its names and settings, and for each seed run what `_seed_run` says."""
    import numpy as np

    bases = {block.checkpoint: name for name, block in study.retrievers.items() if block.triplets == "none"}
    variants = {}
    for variant, block in study.retrievers.items():
        if study.checkpoints[block.checkpoint].architecture != "symmetric":
            continue
        base, recipe = bases[block.checkpoint], study.recipes[block.recipe]
        entry: dict[str, Any] = {**block.model_dump(), "base": base, "seed_runs": {}}
        if recipe:
            before = np.load(folder / f"data/indexes/{base}/{CORPUS}/pretrained/docs.npy", mmap_mode="r")
            entry |= {
                "tuning": study.tunings[block.tuning].model_dump(),
                "loss": recipe.loss.model_dump(),
                "normalize": recipe.normalize,
                "batch": recipe.batch,
            }
            for log in json.loads((folder / f"reports/training/{variant}.json").read_text())["seed_runs"]:
                entry["seed_runs"][f"seed-{log['seed']}"] = _seed_run(folder, study, variant, log, before)
        variants[variant] = entry
    return variants


def _seed_run(folder: Path, study: Study, variant: str, log: dict[str, Any], before: np.ndarray) -> dict[str, Any]:
    """A seed run's training, its triplets' sha256, its drift from its base checkpoint, and its vector space.

    cosine_to_base is the mean cosine of a passage's vector to the same passage's under the base checkpoint, `before`.
    """
    import numpy as np

    from stages.core import fingerprint

    name = f"seed-{log['seed']}"
    after = np.load(folder / f"data/indexes/{variant}/{CORPUS}/{name}/docs.npy", mmap_mode="r")
    triplets = folder / f"data/triplets/{study.retrievers[variant].triplets}/{name}.parquet"
    return {
        **losses(log),
        "triplets": fingerprint.of_file(triplets),
        "cosine_to_base": round(float((before * after).sum(1).mean()), 6),
        "geometry": _geometry(folder, study, f"{variant}/{CORPUS}/{name}", before, after),
    }


def _geometry(folder: Path, study: Study, index: str, before: np.ndarray, after: np.ndarray) -> dict[str, float | None]:
    """A vector space on one sample of passages, and on the judged pairs of the split in domain."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from stages.analysis import geometry

    corpus, split, settings = folder / "data/corpora" / CORPUS, study.report.in_domain.split, study.diagnose
    rel = study.corpora[CORPUS].judged[split].rel
    docs = pq.read_table(corpus / "docs.parquet", columns=["doc_id"])["doc_id"]
    topics = pq.read_table(corpus / f"topics/{split}.parquet", columns=["query_id"])["query_id"]
    qrels = pq.read_table(corpus / f"qrels/{split}.parquet", filters=[("grade", ">=", rel)])
    queries, passages = (
        pc.index_in(qrels[name], value_set=ids.combine_chunks()).to_numpy()
        for name, ids in (("query_id", topics), ("doc_id", docs))
    )
    sample = np.random.default_rng(settings.seed).choice(len(docs), min(settings.passages, len(docs)), replace=False)
    vectors = np.load(folder / f"data/indexes/{index}/topics/{split}.npy")
    figures = geometry.figures(after[sample], before[sample], vectors[queries], after[passages], settings.neighbours)
    return {name: None if value is None else round(value, 6) for name, value in figures.items()}
