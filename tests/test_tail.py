"""The smallest studies go through everything after search: 3 queries, runs without lines, a corpus not judged."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import params
from tests import planted_tail, plants, watched
from tests import test_wiring as wiring


@pytest.fixture
def study(tmp_path, tiny_model, monkeypatch):
    """Plants the study with these blocks of params.yaml in place of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda **blocks: planted_tail.write(tmp_path, tiny_model, **blocks)


def written(name: str) -> str:
    return Path("reports", name).read_text()


def test_a_tiny_study_is_measured_and_reported(study):
    study()
    planted_tail.measure()
    report = written("report.md")
    assert "| bm25 | 0.0000 | -100.0 (" in report
    assert "the fine-tuned retrievers were trained on training, and in_domain is another corpus" in report
    left_out = "in_domain test has 3 queries with a relevant passage of their own, and a projection needs 5"
    assert left_out in report and "umap.png" not in report and "umap.png" not in written("index.html")
    assert written("examples.json") == "null\n" and 'id="queries"' not in written("index.html")
    projection = json.loads(written("projection.json"))
    assert (
        projection["variants"] == {}
        and left_out in projection["left_out"]
        and Path("reports/figures/umap.png").is_file()
    )
    checks = json.loads(written("diagnosis.json"))["numerical_checks"]
    assert (checks["bm25"]["RR@10"], checks["base"]["RR@10"]) == (0, round(11 / 18, 6))
    assert Path("exported/bm25.trec").read_text() == ""
    assert "| `q0` | `d0` | 1 → none | -1.000 |" in written("differences.md")


def test_corpora_of_one_group_are_in_domain_for_each_other(study):
    blocks = plants.blocks()
    study(
        corpora={
            "in_domain": {"source": "beir:x", "judged": {"test": {}}, "group": "mine"},
            "training": {"source": "beir:x", "train": "train", "judged": {}, "group": "mine"},
        },
        report={**blocks["report"], "out_of_domain": None, "pairs": [], "base": "bm25"},
    )
    planted_tail.measure()
    report = written("report.md")
    advice = "**Cannot tell with 3 queries** whether `lora-hard` is better than `bm25`."
    assert advice in report and "RR@10 on in_domain test goes from 0.0000 to 0.3000: +0.3000 (" in report
    assert "| full-hard | 0.2889 | – | cannot tell |" in report and "`bm25` has 0 on RR@10, in_domain test" in report
    assert json.loads(written("metrics.json"))["full-hard"] == {"RR@10": 0.2889, "vs base": 0.2889}
    assert not re.search(r"\bnan\b", report)


def test_no_variant_needs_a_run_with_lines(study):
    study()
    for variant, seed_run in (("base", "pretrained"), ("full-hard", "seed-13"), ("lora-hard", "seed-13")):
        planted_tail.write_run(Path(), variant, seed_run, np.zeros((3, 1), np.float32), np.full((3, 1), -1))
    qrels = pa.table(
        {"query_id": ["q0", "q1", "q2"], "doc_id": ["d0", "d1", "d2"], "grade": pa.array([1, 1, 0], pa.int32())}
    )
    pq.write_table(qrels, "data/corpora/in_domain/qrels/test.parquet")
    planted_tail.measure()
    assert "| base | **0.0000** |  |  |" in written("report.md")
    assert "(3 queries in 2 clusters, 1 of them without a relevant passage: they count 0)" in written("report.md")
    assert pq.read_table("reports/queries.parquet")["rank"].to_pylist() == [0] * 12


def test_each_verb_reads_the_keys_that_dvc_yaml_names(study, monkeypatch):
    """None that it does not name; and of `report` and `umap` it names none in vain but some that may be absent."""
    study()
    read: dict[str, set[str]] = {}
    succeeds, load = plants.succeeds, params.load

    def noted(command, *arguments):
        keys = read.setdefault(command.callback.__module__.removeprefix("stages."), set())
        with monkeypatch.context() as patched:
            patched.setattr(params, "load", lambda: watched.watch(load(), keys, patched.setattr))
            return succeeds(command, *arguments)

    monkeypatch.setattr(plants, "succeeds", noted)
    planted_tail.measure()
    for name in read.keys() - {"export"}:
        assert not wiring.undeclared(read[name], name), name
        knobs = {
            key for key in wiring.declared(name)["params"] if key.partition(".")[0] in ("report", "umap", "diagnose")
        }
        assert not {knob for knob in knobs if not any(f"{key}.".startswith(f"{knob}.") for key in read[name])}, name
