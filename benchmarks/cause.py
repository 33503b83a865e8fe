"""The cause study: every part of papers/cause run through the study's own stages, each in a clone of its own.

`python -m benchmarks.cause run` runs all parts, a thread or more each, and goes on where it was stopped: DVC keeps what
is finished. What it found is committed under reports/cause, where `dvc repro cause` judges it.
"""
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import click

PARTS = ("home", "home-lora", "msmarco", "medquad")
WORK = Path(".scratch/cause")
FOUND = Path("reports/cause")
CORPUS = "home"  # what every part calls its collection
RAW = ("raw5", "raw02")  # the rows whose loss saw the distance of raw vectors


@click.group()
def main() -> None:
    """Why did fine-tuning fall? Controlled contrasts, as rows of the study's own grammar."""


@main.command()
@click.argument("part", type=click.Choice(PARTS))
def params(part: str) -> None:
    """Print PART's params.yaml: papers/cause/common.yaml with the part's own blocks."""
    click.echo(_params(part), nl=False)


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(min=1),
              help="parts that run at once; the cores are shared among them")
@click.option("--collections", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="folder with msmarco-mini and medquad; without it those parts are left out")
@click.option("--seeds", help="other seeds, such as 1,2,3; what they find goes to reports/cause-1-2-3")
def run(parts: tuple[str, ...], jobs: int, collections: Path | None, seeds: str | None) -> None:
    """Run PARTS (all by default) from the committed code and write what they found to reports/cause."""
    if seeds and not all(seed.isdecimal() for seed in seeds.split(",")):
        raise SystemExit(f"--seeds {seeds}: give whole numbers with commas between them, such as 1,2,3")
    chosen = [part for part in parts or PARTS if collections or part.startswith("home")]
    for part in (part for part in parts or PARTS if part not in chosen):
        click.echo(f"{part}: left out; it needs --collections, a folder with {part}'s texts")
    with ThreadPoolExecutor(jobs) as pool:
        failed = [part for part, ok in zip(chosen, pool.map(lambda part: _run(part, jobs, collections, seeds), chosen))
                  if not ok]
    if failed:
        raise SystemExit(f"{', '.join(failed)}: stopped; see {WORK}/<part>.log, then run the same command again")


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def collect(part: str, folder: Path, out: Path) -> None:
    """Read what a run of PART left in FOLDER and write OUT/<part>.parquet (per query) and OUT/<part>.json."""
    from ruamel.yaml import YAML

    from stages.lib.params import parse
    from stages.lib.publish import publish
    study = parse(YAML(typ="safe").load(_params(part)))
    with publish(out / f"{part}.parquet") as draft:
        _per_query(folder, study, draft)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()
    versions = {name: metadata.version(name) for name in ("torch", "sentence-transformers", "transformers", "peft")}
    with publish(out / f"{part}.json") as draft:
        draft.write_text(json.dumps({"part": part, "commit": commit, "machine": platform.machine(),
                                     "threads": os.environ.get("OMP_NUM_THREADS"), "versions": versions,
                                     "cells": _cells(folder, study)}, indent=1) + "\n")


def _params(part: str, seeds: str | None = None, root: Path = Path()) -> str:
    """The text of a part's params.yaml; a block of the part takes the place of the common one."""
    import io

    from ruamel.yaml import YAML
    yaml = YAML()
    blocks = yaml.load((root / "papers/cause/common.yaml").read_text())
    for name, block in yaml.load((root / f"papers/cause/{part}.yaml").read_text()).items():
        blocks[name] = block
    if seeds:
        blocks["seeds"] = [int(seed) for seed in seeds.split(",")]
    text = io.StringIO()
    yaml.dump(blocks, text)
    return text.getvalue()


def _run(part: str, jobs: int, collections: Path | None, seeds: str | None) -> bool:
    """One part in its own clone of the commit; True if it ended well.

    Parts so do not wait for each other's DVC lock. A clone that is there already goes on with the commit that it was
    made from.
    """
    name = part if not seeds else f"{part}.{seeds.replace(',', '-')}"
    folder = WORK / name
    if not folder.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "-q", ".", folder], check=True)
        subprocess.run("git rm -rq --cached dvc.lock reports && rm -rf dvc.lock reports", shell=True, cwd=folder,
                       check=True)
        subprocess.run(["dvc", "config", "--local", "cache.type", "reflink,hardlink,copy"], cwd=folder, check=True)
        if collections:
            (folder / "collections").symlink_to(collections.resolve())
    (folder / "params.yaml").write_text(_params(part, seeds, folder))
    threads = str(max(1, os.cpu_count() // jobs))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "DVC_NO_ANALYTICS": "1"}
    start = time.time()
    click.echo(f"{name}: begins; tail -f {folder}.log")
    with open(f"{folder}.log", "a") as log:
        done = subprocess.run(["dvc", "repro", "evaluate"], cwd=folder, env=environment, stdout=log, stderr=log)
        if done.returncode == 0:
            out = FOUND if not seeds else FOUND.with_name(f"{FOUND.name}-{seeds.replace(',', '-')}")
            done = subprocess.run([sys.executable, "-m", "benchmarks.cause", "collect", part, folder, out],
                                  env=environment, stdout=log, stderr=log)
    click.echo(f"{name}: {'done' if done.returncode == 0 else 'stopped'} after {(time.time() - start) / 60:.0f} min")
    return done.returncode == 0


def _per_query(folder: Path, study, draft: Path) -> None:
    """Per-query values with their clusters; the rows that learned raw vectors once more under `<row>/euclidean`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stages.lib import revisions
    table = revisions.table(path=folder / revisions.QUERIES)
    table = table.select(["row", "copy", "split", "query_id", *study.measures, "cluster"])
    pq.write_table(pa.concat_tables([table, *_by_distance(folder, study)]), draft, compression="zstd",
                   compression_level=19)


def _by_distance(folder: Path, study) -> list:
    """The raw models ranked by Euclidean distance of their raw vectors, the quantity that their loss saw."""
    import faiss
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stages.lib import encoding, measuring, runs
    home = folder / "data/corpora" / CORPUS
    docs = pq.read_table(home / "docs.parquet")
    found = []
    for row in RAW if set(RAW) <= study.retrievers.keys() else ():
        for copy in sorted(path for path in (folder / "data/models" / row).iterdir() if path.is_dir()):
            model = encoding.load_encoder(copy)
            passages = _raw(model, docs["text"].to_pylist(), study.index.precision)
            for split, rules in study.corpora[CORPUS].judged.items():
                topics = pq.read_table(home / f"topics/{split}.parquet").to_pydict()
                queries = _raw(model, topics["text"], study.index.precision)
                depth = min(study.search.depth, len(passages))
                squares, top = faiss.knn(queries, passages, depth, metric=faiss.METRIC_L2)
                run = runs.table(topics["query_id"], docs["doc_id"].combine_chunks(), -squares, top)
                qrels = pq.read_table(home / f"qrels/{split}.parquet")
                values = measuring.per_query([run], qrels, study.measures, rules.rel)
                clusters = dict(zip(topics["query_id"], topics["cluster"]))
                ids = list(values[study.measures[0]])
                same = {"row": f"{row}/euclidean", "copy": copy.name, "split": split}
                found.append(pa.table({**{key: [value] * len(ids) for key, value in same.items()}, "query_id": ids,
                                       **{name: [values[name][i] for i in ids] for name in study.measures},
                                       "cluster": [clusters[i] for i in ids]}))
    return found


def _raw(model, texts: list[str], precision: str):
    """Vectors before any normalisation, float32 (texts, dimension), in the order given."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    from stages.lib import encoding
    body = [part for part in model if not isinstance(part, Normalize)]
    raw = SentenceTransformer(modules=body, device=str(model.device)).eval()
    with encoding.autocast(model, precision):
        return raw.encode(texts, prompt="", show_progress_bar=False)


def _cells(folder: Path, study) -> dict:
    """Row -> its names and settings, and for each copy its training, its triplets' sha256 and its drift from its start.

    Losses are means of eight steps; watched is RR@10 of the validation sample by step. cosine_to_base is
    the mean cosine of a passage's vector to the same passage's under the untouched start.
    """
    import numpy as np

    from stages.lib import fingerprint
    indexes = folder / "data/indexes"
    starts = {names.start: row for row, names in study.retrievers.items() if names.triplets == "none"}
    cells = {}
    for row, names in study.retrievers.items():
        if study.checkpoints[names.start].shape != "symmetric":
            continue
        tune, fit = study.tunes[names.tune], study.fits[names.fit]
        cell = {**names.model_dump(), "base": starts[names.start], "copies": {}}
        if fit:
            before = np.load(indexes / starts[names.start] / CORPUS / "untrained/docs.npy", mmap_mode="r")
            cell |= {"tune": tune.model_dump(), "loss": fit.loss.model_dump(), "normalize": fit.normalize,
                     "batch": fit.batch}
            for copy in json.loads((folder / f"reports/training/{row}.json").read_text())["copies"]:
                name = f"seed-{copy['seed']}"
                after = np.load(indexes / row / CORPUS / name / "docs.npy", mmap_mode="r")
                lesson = folder / f"data/triplets/{names.triplets}/{name}.parquet"
                losses = [entry["loss"] for entry in copy["log"] if "loss" in entry]
                cell["copies"][name] = {"steps": copy["steps"], "trainable": copy["trainable"],
                                        "first_loss": round(sum(losses[:8]) / 8, 6),
                                        "last_loss": round(sum(losses[-8:]) / 8, 6),
                                        "watched": {entry["step"]: entry["RR@10"] for entry in copy["log"]
                                                    if "RR@10" in entry},
                                        "triplets": fingerprint.of_file(lesson),
                                        "cosine_to_base": round(float((before * after).sum(1).mean()), 6),
                                        "geometry": _geometry(folder, study, row, name, before, after)}
        cells[row] = cell
    return cells


def _geometry(folder: Path, study, row: str, copy: str, before, after) -> dict:
    """The space of one copy on one sample of passages, and on the judged pairs of the primary split."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from stages.lib import geometry
    home, spot, settings = folder / "data/corpora" / CORPUS, study.report.primary, study.diagnose
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


if __name__ == "__main__":
    main()
