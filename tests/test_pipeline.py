"""The whole study in small, as it stands after one run: what it says, and what its stages read and import."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages.core import code
from stages.evaluation import results
from stages.params.report import Target
from stages.running.kinds import HEAVY
from tests import small_study, warm
from tests import test_wiring as wiring
from tests.conftest import ROOT, edit, run
from tests.small_study import FIRST, TRAIN, restore, stages_run


@pytest.fixture(scope="module")
def study(studies, tmp_path_factory):
    """A copy of the small study after all stages."""
    return small_study.copied(studies / "whole", tmp_path_factory.mktemp("whole") / "study")


def test_a_second_repro_does_nothing(study):
    assert "up to date" in run("dvc repro", study).stdout
    assert not run("git status --porcelain", study).stdout


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
    hybrids = {pair: pairs.pop(pair) for pair in [*pairs] if "hybrid" in str(pair)}
    assert pairs.keys() == {("cross-lion", "bm25"), ("late", "mix")} and len(hybrids) == 3
    assert all(pair.comparison.queries == 6 and pair.comparison.verdict for pair in pairs.values())
    assert all(pair.comparison.queries == 8 and pair.comparison.verdict for pair in hybrids.values())
    ranked = pq.read_table(next((study / "data/runs/cross-lion/things").glob("*/test.parquet"))).to_pandas()
    first = pq.read_table(next((study / "data/runs/base/things").glob("*/test.parquet"))).to_pandas()
    for query in given:
        mine, theirs = (list(run[run["query_id"] == query]["doc_id"]) for run in (ranked, first))
        assert set(mine[:10]) == set(theirs[:10]) and mine[10:] == theirs[10:]


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
        "examples",
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
    "fuse/hybrid": "python -m stages.fuse hybrid --runs data/runs --corpora data/corpora --out data/again "
    "--log data/again.json",
    "train-reranker/late": "python -m stages.train_reranker late --checkpoint data/checkpoints/late "
    "--triplets data/triplets/random --out data/again --log data/again.json",
    "score/judged": "python -m stages.score judged --triplets data/triplets/random "
    "--teacher data/checkpoints/late --out data/again",
    "rerank/cross-lion": "python -m stages.rerank cross-lion --model data/models/cross-lion "
    "--first-stage data/runs/base --corpora data/corpora --out data/again",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_stage_imports_is_in_its_fingerprint(name, study):
    """Also what it imports by the name of a kind, which no reading of the code can see; in a process of its own."""
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
    "score@judged",
    "mix@both",
    "train@full-hard",
    "interpolate@mix",
    "encode@base-things",
    "mine@base",
    "search@base-things",
    "fuse@hybrid",
    "train-reranker@late",
    "rerank@late",
    "evaluate",
    "project",
    "visualize",
    "audit",
    "diagnose",
    "differences",
    "examples",
    "transfer",
    "cause",
    "saturation",
    "claims",
    "costs",
    "report",
    "page",
]


# Where unfinished work lies is named by all of the settings, also by those that the triplets stage reads.
WHOLE = {stage: {"validation_curve"} for stage in ("train", "tune", "train-tuned", "train-reranker")}


@pytest.mark.parametrize("name", LOCKED)
def test_a_stage_reads_what_it_declares(name, study):
    """Keys of params.yaml, and files that Python opens, while the stage runs once more; cold, where it starts soon."""
    locked = YAML(typ="safe").load((study / "dvc.lock").read_text())["stages"][name]
    shutil.copytree(ROOT / "tests", study / "tests", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shared = {} if name.startswith((*HEAVY, "visualize", "diagnose")) else {warm.NAME: ""}
    done = run(locked["cmd"].replace("python -m", "python -m tests.watched", 1), study, **shared)
    read = json.loads(done.stdout.splitlines()[-1])
    run("rm -rf tests && git checkout -q . && dvc checkout -q", study)
    assert wiring.undeclared(read["keys"], name.partition("@")[0]) <= WHOLE.get(name.partition("@")[0], set())
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
    restore(study)
