"""What a finished run of the study's stages left in its folder, in the small form that is committed."""
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

CORPUS = "in_domain"  # what every part of a controlled study calls its collection


def header(part: str, folder: Path, commit: str | None = None) -> dict:
    """The part, the commit that ran it (the folder's own where none is named), and what it ran on."""
    commit = commit or subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()
    versions = {name: metadata.version(name) for name in ("torch", "sentence-transformers", "transformers", "peft")}
    return {"part": part, "commit": commit, "machine": platform.machine(), "threads": os.environ.get("OMP_NUM_THREADS"),
            "versions": versions}


def per_query(folder: Path, study):
    """A table of every row's per-query values with their clusters."""
    from stages.evaluation import per_query
    table = per_query.read(folder / per_query.TABLE)
    return table.select(["variant", "seed_run", "split", "query_id", *study.measures, "cluster"])


def losses(copy: dict) -> dict:
    """A trained copy's steps, its loss at both ends (means of eight steps), RR@10 of the validation sample by step."""
    logged = [entry["loss"] for entry in copy["log"] if "loss" in entry]
    return {"steps": copy["steps"], "trainable": copy["trainable"],
            "first_loss": round(sum(logged[:8]) / len(logged[:8]), 6),
            "last_loss": round(sum(logged[-8:]) / len(logged[-8:]), 6),
            "watched": {entry["step"]: entry["RR@10"] for entry in copy["log"] if "RR@10" in entry}}


def cells(folder: Path, study) -> dict:
    """Row -> its names and settings, and for each copy its training, its triplets' sha256 and its drift from its start.

    cosine_to_base is the mean cosine of a passage's vector to the same passage's under the untouched start.
    """
    import numpy as np

    from stages.core import fingerprint
    indexes = folder / "data/indexes"
    starts = {names.checkpoint: row for row, names in study.retrievers.items() if names.triplets == "none"}
    found = {}
    for row, names in study.retrievers.items():
        if study.checkpoints[names.checkpoint].architecture != "symmetric":
            continue
        tune, fit = study.tunings[names.tuning], study.recipes[names.recipe]
        cell = {**names.model_dump(), "base": starts[names.checkpoint], "seed_runs": {}}
        if fit:
            before = np.load(indexes / starts[names.checkpoint] / CORPUS / "untrained/docs.npy", mmap_mode="r")
            cell |= {"tuning": tune.model_dump(), "loss": fit.loss.model_dump(), "normalize": fit.normalize,
                     "batch": fit.batch}
            for copy in json.loads((folder / f"reports/training/{row}.json").read_text())["seed_runs"]:
                name = f"seed-{copy['seed']}"
                after = np.load(indexes / row / CORPUS / name / "docs.npy", mmap_mode="r")
                lesson = folder / f"data/triplets/{names.triplets}/{name}.parquet"
                cell["seed_runs"][name] = {**losses(copy), "triplets": fingerprint.of_file(lesson),
                                        "cosine_to_base": round(float((before * after).sum(1).mean()), 6),
                                        "geometry": _geometry(folder, study, row, name, before, after)}
        found[row] = cell
    return found


def _geometry(folder: Path, study, row: str, copy: str, before, after) -> dict:
    """The space of one copy on one sample of passages, and on the judged pairs of the primary split."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from stages.analysis import geometry
    home, spot, settings = folder / "data/corpora" / CORPUS, study.report.in_domain, study.diagnose
    rel = study.corpora[CORPUS].judged[spot.split].rel
    docs = pq.read_table(home / "docs.parquet", columns=["doc_id"])["doc_id"]
    topics = pq.read_table(home / f"topics/{spot.split}.parquet", columns=["query_id"])["query_id"]
    qrels = pq.read_table(home / f"qrels/{spot.split}.parquet", filters=[("grade", ">=", rel)])
    asked, answers = (pc.index_in(qrels[name], value_set=ids.combine_chunks()).to_numpy()
                      for name, ids in (("query_id", topics), ("doc_id", docs)))
    sample = np.random.default_rng(settings.seed).choice(len(docs), min(settings.passages, len(docs)), replace=False)
    queries = np.load(folder / f"data/indexes/{row}/{CORPUS}/{copy}/topics/{spot.split}.npy")
    found = geometry.figures(after[sample], before[sample], queries[asked], after[answers], settings.neighbours)
    return {name: round(value, 6) for name, value in found.items()}
