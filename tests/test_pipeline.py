"""The whole study in small: a tiny model on a tiny collection, through DVC as a user runs it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages.core import code
from stages.evaluation import results
from stages.params.report import Target
from tests import test_wiring as wiring
from tests.conftest import ROOT, copy_of_project, edit, run

FIRST = ("check", "code")
TRAIN = (
    "python -m stages.train full-hard --checkpoint data/checkpoints/minilm --triplets data/triplets/hard "
    "--out {out} --log {out}.json"
)


def small_params(collection: Path, model: Path) -> dict:
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


@pytest.fixture(scope="module")
def study(tiny_collection, tiny_model, tmp_path_factory) -> Path:
    """A clone of the project as it stands, with small params, run once."""
    folder = copy_of_project(tmp_path_factory.mktemp("clone"))
    with open(folder / "params.yaml", "w") as handle:
        YAML().dump(small_params(tiny_collection, tiny_model), handle)
    run("dvc repro", folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    run("git add -A && git commit -qm run --allow-empty", folder)


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def experiment(settings: str, folder: Path) -> set[str]:
    """The stages up to evaluate that an experiment runs; the study is put back as it was."""
    done = run(f"dvc exp run evaluate {settings}", folder)
    run("git checkout -q . && git clean -fdq && dvc checkout -q", folder)
    return stages_run(done.stdout)


def variants(names: set[str]) -> set[str]:
    return {name.partition("@")[2].removesuffix("-things") for name in names if "@" in name}


def test_a_second_repro_does_nothing(study):
    assert "up to date" in run("dvc repro", study).stdout
    assert not run("git status --porcelain", study).stdout


def test_only_what_a_change_touches_runs_again(study):
    ran = experiment("-S lora.rank=2", study)
    assert variants(ran) == {"lora-random"}
    assert {"train@lora-random", "encode@lora-random-things", "search@lora-random-things", "evaluate"} <= ran
    ran = experiment("-S 'triplets.hard.ranks=[31,60]'", study)
    assert variants(ran) == {"hard", "full-hard", "mix", "late"}
    ran = experiment("-S 'interpolations.mix.alphas=[0.25]'", study)
    assert variants(ran) == {"mix", "late"} and not any(name.startswith("train@") for name in ran)
    ran = experiment("-S cross-lion.lr=0.0003", study)
    assert ran == {*FIRST, "train-reranker@cross-lion", "rerank@cross-lion", "evaluate"}
    ran = experiment("-S 'measures=[RR@10,nDCG@10]'", study)
    assert ran == {*FIRST, "evaluate"}


def test_a_reranker_is_judged_on_the_queries_that_it_was_given(study):
    values = (
        pq.read_table(study / "reports/queries.parquet").to_pandas().query("corpus == 'things' and split == 'test'")
    )
    given = set(values[values["variant"] == "cross-lion"]["query_id"])
    base = values[(values["variant"] == "base")].set_index("query_id")["RR@10"]
    target = Target(corpus="things", split="test", measure="RR@10")
    result = results.at(results.read(study / "reports/results.json"), target)["cross-lion"]
    assert len(given) == result.comparison.queries == 6 and result.of == len(base) == 8
    assert result.base == pytest.approx(base[sorted(given)].mean(), abs=1e-6)
    pairs = {(pair.variant, pair.against): pair for pair in results.read_pairs(study / "reports/pairs.json")}
    assert pairs.keys() == {("cross-lion", "bm25"), ("late", "mix")}
    assert all(pair.comparison.queries == 6 and pair.comparison.verdict for pair in pairs.values())
    ranked = pq.read_table(next((study / "data/runs/cross-lion/things").glob("*/test.parquet"))).to_pandas()
    first = pq.read_table(next((study / "data/runs/base/things").glob("*/test.parquet"))).to_pandas()
    for query in given:
        mine, theirs = (list(run[run["query_id"] == query]["doc_id"]) for run in (ranked, first))
        assert set(mine[:10]) == set(theirs[:10]) and mine[10:] == theirs[10:]


def test_a_variant_is_added_in_one_place_and_leaves_when_it_is_dropped(study):
    block = "{checkpoint: minilm, tuning: lora, triplets: random, recipe: contrastive}"
    done = run(f"dvc exp run evaluate -S '+retrievers.pairs={block}'", study)
    assert variants(stages_run(done.stdout)) == {"pairs"}
    assert "pairs" in json.loads((study / "reports/metrics.json").read_text())
    diff = run("dvc metrics diff", study).stdout
    assert re.search(r"pairs\.RR@10\s", diff)
    run("git checkout -q . && git clean -fdq && dvc checkout -q", study)
    run("dvc repro", study)
    assert not run("git status --porcelain", study).stdout


@pytest.mark.parametrize(
    "setting, told",
    [
        ("lora.rnk=8", "rnk"),
        ("lora.rank=-1", "params.yaml: lora.rank: input should be greater than 0, got -1"),
        ("retrievers.full-hard.recipe=pritned", "retrievers.full-hard.recipe: no recipe is called 'pritned'"),
        ("'measures=[RR@10,MRR@10]'", "measures: 'MRR@10' and 'RR@10' are the same measure; keep one"),
        ("corpora.things.source=beir:nowhere", "corpora.things.source: there is no folder nowhere"),
        ("'lora.modules=[qeury]'", "no linear layer of the model is called 'qeury'"),
    ],
)
def test_a_typo_stops_before_anything_runs(setting, told, study):
    done = run(f"dvc exp run -S {setting}", study, check=False)
    run("git checkout -q . && git clean -fdq", study)
    said = done.stdout + done.stderr
    assert done.returncode and told in said and "Traceback" not in said
    assert stages_run(done.stdout) <= {"check"}


def test_the_model_is_what_plain_sentence_transformers_loads(study):
    """Encoded by the library at its defaults and judged by pytrec_eval, the saved model gives the committed values."""
    import pytrec_eval
    from sentence_transformers import SentenceTransformer

    for variant, seed_run in (("full-hard", "seed-13"), ("base", "pretrained")):
        model = SentenceTransformer(str(study / "data/models" / variant / seed_run))
        corpus = study / "data/corpora/things"
        docs, topics = (pq.read_table(corpus / name).to_pydict() for name in ("docs.parquet", "topics/test.parquet"))
        scores = model.similarity(model.encode(topics["text"]), model.encode(docs["text"])).numpy()
        qrels: dict = {}
        for query, doc, grade in zip(*pq.read_table(corpus / "qrels/test.parquet").to_pydict().values()):
            qrels.setdefault(query, {})[doc] = grade
        ranked = {
            query: {docs["doc_id"][at]: float(line[at]) for at in np.argsort(-line)[:100]}
            for query, line in zip(topics["query_id"], scores)
        }
        theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(ranked)
        ours = pq.read_table(
            study / "reports/queries.parquet", filters=[("variant", "=", variant), ("split", "=", "test")]
        )
        ours = dict(zip(ours["query_id"].to_pylist(), ours["nDCG@10"].to_pylist()))
        assert {query: values["ndcg_cut_10"] for query, values in theirs.items()} == pytest.approx(ours, abs=1e-6)


def test_killed_training_goes_on_and_ends_with_the_same_bytes(study):
    import os

    arguments = [sys.executable, *TRAIN.format(out="data/again").split()[1:]]
    process = subprocess.Popen(arguments, cwd=study, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 90
    while not list(study.glob(".scratch/train/*/trainer/checkpoint-*/trainer_state.json")):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (study / "data/again").exists()
    run(TRAIN.format(out="data/again"), study)
    assert json.loads((study / "data/costs/train/full-hard.seed-13.json").read_text())["resumed"]
    assert files(study / "data/again") == files(study / "data/models/full-hard")
    assert (study / "data/again.json").read_text() == (study / "reports/training/full-hard.json").read_text()
    assert not list((study / ".scratch/train").iterdir())
    run("rm -r data/again data/again.json && git checkout -q .", study)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_again_gives_the_same_hashes(study):
    before = (study / "dvc.lock").read_text()
    run("dvc repro -f evaluate", study)
    assert (study / "dvc.lock").read_text() == before
    assert not run("git status --porcelain", study).stdout


def test_a_clone_that_pulls_runs_nothing(study, tmp_path):
    run(f"dvc remote add -d --local store {tmp_path / 'store'} && dvc push -q", study)
    run(f"git clone -q {study} {tmp_path / 'clone'}", tmp_path)
    clone = tmp_path / "clone"
    run(f"dvc remote add -d --local store {tmp_path / 'store'}", clone)
    assert "up to date" in run("dvc repro --allow-missing --dry", clone).stdout
    run("dvc pull -q", clone)
    assert "up to date" in run("dvc repro", clone).stdout


def test_answers_that_a_user_reads(study):
    assert "full-hard" in run("dvc metrics show", study).stdout
    shown = run("dvc plots show --out shown", study).stdout
    assert shown.strip().endswith("index.html")
    report = (study / "reports/report.md").read_text()
    assert "one seed (13)" in report and "full-hard" in report and "Traceback" not in report
    for stage in (
        "check",
        "download",
        "checkpoint",
        "triplets",
        "train",
        "encode",
        "search",
        "evaluate",
        "project",
        "visualize",
        "audit",
        "diagnose",
        "differences",
        "cause",
        "compare",
        "gate",
        "report",
    ):
        assert "Usage" in run(f"python -m stages.{stage} --help", study).stdout
    shutil.rmtree(study / "shown")


COMMANDS = {
    "train/full-hard": TRAIN.format(out="data/again"),
    "download/things": "python -m stages.download things --out data/again",
    "encode/base-things": "python -m stages.encode base things --model data/models/base "
    "--collection data/corpora/things --out data/again",
    "train-reranker/late": "python -m stages.train_reranker late --checkpoint data/checkpoints/late "
    "--triplets data/triplets/random --out data/again --log data/again.json",
    "rerank/cross-lion": "python -m stages.rerank cross-lion --model data/models/cross-lion "
    "--first-stage data/runs/base --corpora data/corpora --out data/again",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_stage_imports_is_in_its_fingerprint(name, study):
    """Also what it imports by the name of a kind, which no reading of the code can see."""
    done = run(COMMANDS[name].replace("python", "python -X importtime", 1), study)
    run("rm -rf data/again data/again.json && git checkout -q .", study)
    loaded = set(re.findall(r"\| +(stages[\w.]*)$", done.stderr, re.MULTILINE))
    files = {f"{module.replace('.', '/')}.py" for module in loaded}
    files = {file for file in files if (study / file).is_file() and not file.startswith(code.PLUMBING)}
    declared = json.loads((study / f"data/code/{name}.json").read_text())["code"].keys()
    assert files and files <= {*declared}


LOCKED = [
    "download@things",
    "checkpoint@minilm",
    "triplets@hard",
    "train@full-hard",
    "interpolate@mix",
    "encode@base-things",
    "mine@base",
    "search@base-things",
    "train-reranker@late",
    "rerank@late",
    "evaluate",
    "project",
    "visualize",
    "audit",
    "diagnose",
    "differences",
    "transfer",
    "cause",
    "saturation",
    "claims",
    "costs",
    "report",
    "page",
]


@pytest.mark.parametrize("name", LOCKED)
def test_a_stage_reads_what_it_declares(name, study):
    """Keys of params.yaml, and files that Python opens, while the stage runs once more."""
    locked = YAML(typ="safe").load((study / "dvc.lock").read_text())["stages"][name]
    shutil.copytree(ROOT / "tests", study / "tests", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    done = run(locked["cmd"].replace("python -m", "python -m tests.watched", 1), study)
    read = json.loads(done.stdout.splitlines()[-1])
    run("rm -rf tests && git checkout -q . && dvc checkout -q", study)
    assert not wiring.undeclared(read["keys"], name.partition("@")[0])
    own = [entry["path"] for kind in ("deps", "outs") for entry in locked[kind]]
    allowed = (
        *own,
        "stages",
        "studies/papers/references.bib",
        "params.yaml",
        ".scratch",
        "data/costs",
        "dvc.lock",
        "tests",
        ".git",
        ".dvc",
    )
    undeclared = [
        path for path in read["files"] if not any(path == one or path.startswith(f"{one}/") for one in allowed)
    ]
    assert not [path for path in undeclared if not Path(path).name.startswith(".")]


WORDS = {
    "stages/core/files.py": ("the disk is full", "no space is left"),
    "stages/core/errors.py": ('"""[^"]+"""', '"""Other words."""'),
    "stages/params/checks.py": ("stands twice", "is there two times"),
    "stages/params/corpora.py": ("shares must add up to 100 per cent", "shares add up to 100"),
    "stages/encode.py": ('"""[^"]+"""', '"""Other words."""'),
    "stages/train.py": ('help="', 'help="Other words: '),
    "stages/models/encoding.py": ('"""[^"]+"""', '"""Other words."""'),
    "stages/negatives/draw.py": ('"""[^"]+"""', '"""Other words."""'),
    "stages/collections/tables.py": (r"raise UserError\(f?\"", 'raise UserError("Other words: " f"'),
    "stages/search.py": (r"\n@click", "\n# Other words.\n@click"),
}


def test_words_make_nothing_stale_but_the_fingerprints(study):
    """A docstring, an error, a help text, a validation rule, a comment: asked of DVC in a study that was run."""
    edit(study, WORDS)
    stale = re.findall(r"^([\w@-]+):$", run("dvc status", study).stdout, re.MULTILINE)
    assert set(stale) <= {*FIRST}
    assert stages_run(run("dvc repro", study).stdout) <= {*FIRST}
    run("git checkout -q . && git clean -fdq && dvc checkout -q", study)
