"""The whole study in small: a tiny model on a tiny collection, run once through DVC as a user runs it."""

import fcntl
import re
import shutil
from pathlib import Path

from ruamel.yaml import YAML

from tests.conftest import ROOT, copy_of_project, run

TRAIN = (
    "python -m stages.train full-hard --checkpoint data/checkpoints/minilm --triplets data/triplets/hard "
    "--out {out} --log {out}.json"
)
FIRST = ("check", "code")


def params(collection: Path, model: Path) -> dict:
    blocks = YAML().load((ROOT / "tests" / "study.yaml").read_text())
    blocks["corpora"] = {
        "things": {"source": f"beir:{collection}", "train": "train", "validation": 4, "judged": {"dev": {}, "test": {}}}
    }
    blocks["checkpoints"]["minilm"] = {"architecture": "symmetric", "source": f"folder:{model}", "tokens": 32}
    del blocks["checkpoints"]["towers"]
    for name, architecture in (("late", "late-interaction"), ("cross", "cross-encoder")):
        blocks["checkpoints"][name] = {"architecture": architecture, "source": f"folder:{model}", "tokens": 32}
    for block in [*blocks["pools"].values(), *blocks["triplets"].values()]:
        block["corpus"] = "things"
    blocks["triplets"] = {
        name: {**blocks["triplets"][name], "size": min(48, blocks["triplets"][name]["size"])}
        for name in ("none", "random", "hard")
    }
    blocks["triplets"]["none"]["from"] = "corpora/things"
    blocks["triplets"]["hard"]["ranks"] = [11, 60]
    blocks["scored"] = {"judged": {"triplets": "random", "teacher": "data/checkpoints/late"}}
    blocks["mixes"] = {"both": {"first": "judged", "second": "hard", "share": 0.75, "size": 24}}
    for recipe in ("printed", "coded", "in-batch", "contrastive", "pointwise"):
        blocks["recipes"][recipe]["batch"] = 4
    blocks["retrievers"] = {name: blocks["retrievers"][name] for name in ("bm25", "base", "full-hard")}
    blocks["retrievers"]["lora-random"] = {
        "checkpoint": "minilm",
        "tuning": "lora",
        "triplets": "random",
        "recipe": "printed",
    }
    mix = {"checkpoint": "minilm", "trained": "full-hard", "triplets": "hard", "alphas": [0.5]}
    blocks["interpolations"] = {"mix": mix}
    blocks["fusions"] = {
        "hybrid": {"kind": "weighted", "of": ["bm25", "base"]},
        "hybrid-hard": {"kind": "rrf", "of": ["bm25", "base", "full-hard"], "k": 60},
    }
    blocks["rerankers"] = {
        "late": {**blocks["rerankers"]["late-random"], "first_stage": "mix"},
        "cross-lion": {**blocks["rerankers"]["cross-lion"], "triplets": "random"},
    }
    blocks["recipes"]["pointwise"]["epochs"] = 1
    blocks["rerank"] |= {"depth": 10, "queries": 6}
    target = {"corpus": "things", "split": "test", "measure": "RR@10"}
    blocks["report"] = {
        **blocks["report"],
        "base": "base",
        "in_domain": target,
        "out_of_domain": None,
        "pairs": [["cross-lion", "bm25"]],
    }
    blocks["validation_curve"] = {"queries": 4, "passages": 30, "every": 2, "early": []}
    blocks["umap"] |= {"corpus": "things", "split": "test", "pairs": 8}
    return blocks


def built(base: Path, collection: Path, model: Path) -> Path:
    """A folder with the study in whole/, and in evaluated/ as it was before the stages after evaluate ran.

    The first of several processes that ask for a base makes it, the others wait.
    """
    folder = base / "studies"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _build(folder, collection, model)
            (folder / "done").touch()
    return folder


def _build(folder: Path, collection: Path, model: Path) -> None:
    for name in ("whole", "evaluated"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "whole").mkdir()
    whole = copy_of_project(folder / "whole")
    with open(whole / "params.yaml", "w") as handle:
        YAML().dump(params(collection, model), handle)
    run("dvc repro evaluate", whole)
    commit(whole)
    copied(whole, folder / "evaluated")
    run("dvc repro", whole)
    commit(whole)


def copied(study: Path, folder: Path) -> Path:
    """A copy of a study for tests that change it."""
    shutil.copytree(study, folder, symlinks=True)
    return folder


def commit(folder: Path) -> None:
    run("git add -A && git commit -qm run --allow-empty", folder)


def restore(folder: Path) -> None:
    """Put a study back as it was committed."""
    run("git checkout -q . && git clean -fdq && dvc checkout -q --allow-missing", folder)


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))
