"""Planted studies: P3's averages over 13 sets come out, and what taught a row is never out of domain."""
import json
from pathlib import Path
from statistics import stdev

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import transfer
from stages.analysis import transfer
from tests.conftest import ROOT

FORUMS = ["cqa-android", "cqa-english", "cqa-gaming"]
SETS = ["trec-covid", "nfcorpus", "nq", "hotpotqa", "fiqa", "arguana", "touche", "quora", "dbpedia", "scidocs", "fever",
        "scifact"]
SPREAD = [step / 100 for step in (-9, -7, -5, -4, -2, -1, 0, 1, 2, 4, 5, 7, 9)]      # adds up to nothing
# LoRA's lead on 13 sets whose mean is P3's 39.0 - 37.4 (Table 1, asymmetric): ahead on 11, as in P3.
LEADS = [-0.004, -0.006, *[(0.016 * 13 + 0.01) / 11] * 11]


def corpora() -> dict[str, dict]:
    """MS MARCO and NQ, which teach, 11 more, and three forums that are one set."""
    other = {"source": "beir:x", "judged": {"test": {}}}
    return {"msmarco": {"source": "beir:x", "train": "train", "judged": {"dev": {}, "test": {}}},
            **{name: {**other, "train": "train"} if name == "nq" else dict(other) for name in SETS},
            **{name: {**other, "group": "cqadupstack"} for name in FORUMS}}


def study(folder: Path, **changed) -> Path:
    """A folder with params.yaml of 14 sets as BEIR has them, and passages that speak of a boat less and less."""
    settings = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    settings |= {
        "corpora": corpora(), "pools": {}, "triplets": {
            "none": {"corpus": "msmarco", "from": "corpora/msmarco", "size": 0},
            "marco": {"corpus": "msmarco", "from": "corpora/msmarco", "size": 64},
            "nq": {"corpus": "nq", "from": "corpora/nq", "size": 64}},
        "retrievers": {"base": {"start": "minilm", "tuning": "none", "triplets": "none", "recipe": "none"},
                       **{f"{tune}-{lesson}": {"start": "minilm", "tuning": tune, "triplets": lesson, "recipe": "in-batch"}
                          for tune in ("full", "lora") for lesson in ("marco", "nq")}},
        "interpolations": {}, "rerankers": {"cross": {
            "start": "cross", "tuning": "cross-adamw", "triplets": "nq", "recipe": "pairs", "first": "full-marco"}},
        "report": settings["report"] | {"outside": None, "pairs": [], "primary": {
            "corpus": "msmarco", "split": "dev", "measure": "nDCG@10"}},
        "umap": settings["umap"] | {"corpus": "msmarco", "split": "dev"}, **changed}
    with open(folder / "params.yaml", "w") as handle:
        YAML().dump(settings, handle)
    for at, corpus in enumerate(settings["corpora"]):
        (folder / "corpora" / corpus).mkdir(parents=True)
        texts = ["a boat on the river"] * (20 - at) + ["the clock of a king"] * at
        pq.write_table(pa.table({"doc_id": [f"d{n}" for n in range(20)], "text": texts}),
                       folder / "corpora" / corpus / "docs.parquet")
    return folder


def planted() -> list[dict]:
    """Per-query values of two queries a set, 0.01 above and below what is planted; the reranker has the first only.

    Of each forum the value is 0.02 above, at, and 0.02 below the group's.
    """
    values: dict[str, dict[str, float]] = {"base": {"msmarco": 0.300}, "full-marco": {"msmarco": 0.311},
                                           "lora-marco": {"msmarco": 0.302}, "full-nq": {"msmarco": 0.25},
                                           "lora-nq": {"msmarco": 0.25}}
    for name, spread, lead in zip([*SETS, "cqadupstack"], SPREAD, LEADS):
        values["base"][name] = 0.40 + spread
        values["full-marco"][name] = 0.374 + spread
        values["lora-marco"][name] = 0.374 + spread + lead
        values["full-nq"][name] = values["lora-nq"][name] = 0.41 if name == "nq" else 0.293
    values["cross"] = {name: value + 0.1 for name, value in values["base"].items()}
    lines = []
    for row, sets in values.items():
        for name, value in sets.items():
            corpora = dict(zip(FORUMS, (0.02, 0, -0.02))) if name == "cqadupstack" else {name: 0}
            for corpus, apart in corpora.items():
                for query, off in (("q0", 0.01), ("q1", -0.01))[:1 if row == "cross" else 2]:
                    lines.append({"variant": row, "seed_run": "pretrained" if row == "base" else "seed-13", "corpus": corpus,
                                  "split": "dev" if corpus == "msmarco" else "test", "query_id": query,
                                  "cluster": query, "nDCG@10": value + apart + off})
    return lines


def told(folder: Path, lines: list[dict], monkeypatch) -> tuple[dict, str, bytes]:
    """What the stage writes: figures, page, picture."""
    pq.write_table(pa.Table.from_pylist(lines), folder / "queries.parquet")
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(transfer.main, ["--queries", "queries.parquet", "--corpora", "corpora", "--out", "t.json",
                                              "--page", "t.md", "--picture", "t.png"])
    assert done.exit_code == 0, done.exception or done.output
    return json.loads((folder / "t.json").read_text()), (folder / "t.md").read_text(), (folder / "t.png").read_bytes()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = study(tmp_path_factory.mktemp("beir"))
    with pytest.MonkeyPatch.context() as patch:
        first = told(folder, planted(), patch)
        assert told(folder, planted(), patch) == first
    return first


def rows(figures: dict) -> dict[str, dict]:
    return {row["variant"]: row for row in figures["variants"]}


def test_the_averages_of_p3_come_out_over_13_sets(found):
    printed = YAML(typ="safe").load((ROOT / "stages/ledger/printed_tables.yaml").read_text())["P3"]["averages"]["asym"]
    for row, key in (("full-marco", "ft"), ("lora-marco", "lora")):
        told = rows(found[0])[row]
        assert 100 * told["outside"]["value"] == pytest.approx(printed[key])
        assert 100 * told["inside"]["value"] == pytest.approx(printed[f"{key}_in"])
        assert told["outside"]["sets"] == [*SETS, "cqadupstack"]
        assert told["outside"]["against"] == pytest.approx(0.40) and told["inside"]["sets"] == ["msmarco"]
    assert rows(found[0])["full-marco"]["outside"]["difference %"] == pytest.approx(-6.5)
    assert rows(found[0])["full-marco"]["outside"]["won"] == 0
    assert found[0]["sets"]["cqadupstack"] == [f"{name} test" for name in FORUMS]
    assert found[0]["sets"]["msmarco"] == ["msmarco dev"]


def test_lora_beside_full_is_as_p3_counts_it(found):
    pair = found[0]["pairs"][0]
    assert [(pair["full"], pair["lora"]) for pair in found[0]["pairs"]] == [("full-marco", "lora-marco"),
                                                                            ("full-nq", "lora-nq")]
    assert (pair["outside"]["won"], len(pair["outside"]["sets"])) == (11, 13)
    assert pair["outside"]["difference"] == pytest.approx(0.016)
    assert pair["outside"]["difference %"] == pytest.approx(100 * 1.6 / 37.4, abs=1e-4)       # 4.3 in P3's text
    assert pair["outside"]["difference % of base"] == pytest.approx(4)
    assert pair["inside"]["difference %"] == pytest.approx(100 * -0.9 / 31.1, abs=1e-4)
    assert pair["inside"]["difference % of base"] == pytest.approx(-3)
    reach = 2.178813 * stdev(LEADS) / 13 ** 0.5                     # Student's t, 12 degrees of freedom, from a table
    assert pair["outside"]["low"] == pytest.approx(0.016 - reach, abs=2e-6)
    assert pair["outside"]["high"] == pytest.approx(0.016 + reach, abs=2e-6)
    assert "| **lora-marco** against **full-marco** | 0.3020 against 0.3110 | -0.0090 | -2.9 | -3.0 |" in found[1]
    assert "11 of 13" in found[1]


def test_what_taught_a_row_or_its_first_stage_is_not_out_of_domain(found):
    told = rows(found[0])
    assert told["full-nq"]["inside"]["value"] == pytest.approx(0.41) and "nq" not in told["full-nq"]["outside"]["sets"]
    assert told["full-nq"]["outside"]["value"] == pytest.approx((0.25 + 12 * 0.293) / 13, abs=1e-6)
    spread = dict(zip(SETS, SPREAD))["nq"]                       # the base's mean leaves nq out as well
    assert told["full-nq"]["outside"]["against"] == pytest.approx((0.3 + 12 * 0.40 - spread) / 13, abs=1e-6)
    assert "msmarco" in told["full-nq"]["outside"]["sets"]
    assert told["cross"]["outside"]["sets"] == [*(name for name in SETS if name != "nq"), "cqadupstack"]
    assert told["base"]["in_domain"] == "msmarco" and told["base"]["taught"] is None


def test_a_reranker_is_compared_on_its_own_queries(found):
    told = rows(found[0])["cross"]
    assert told["part"] == {"queries": 16, "of": 32}
    assert told["outside"]["difference"] == pytest.approx(0.1) and told["outside"]["won"] == 12
    assert told["inside"]["against"] == pytest.approx(0.40 + dict(zip(SETS, SPREAD))["nq"] + 0.01)
    assert "*: measured on part of the queries, 16 of 32" in found[1]


def test_forgetting_stands_beside_similarity(found):
    alike = found[0]["similarity"]["msmarco"]
    assert alike["msmarco"] == 1 and list(alike.values()) == sorted(alike.values(), reverse=True)
    words = {name: 1 - at / 20 for at, name in enumerate(SETS, 1)}          # the share of passages that speak of a boat
    boat = words["scifact"]                      # in fifths: 2 words are in all texts, 3 in those of the boat alone
    assert alike["scifact"] == pytest.approx((2 + 3 * boat) / (2 + 3 + 3 * (1 - boat)), abs=1e-6)
    told = rows(found[0])["full-marco"]
    assert told["changes"]["scifact"] == pytest.approx(-100 * 0.026 / 0.47, abs=1e-4)
    assert told["correlation"]["rho"] == pytest.approx(-1) and told["correlation"]["n"] == 13
    assert "| **full-marco** | +3.7 |" in found[1] and "msmarco (taught)" in found[1]


def test_one_other_set_has_an_interval_over_queries_only(tmp_path, monkeypatch):
    kept = ["msmarco", "nq", "scifact"]
    lines = [line for line in planted() if line["corpus"] in kept]
    figures, page, _ = told(study(tmp_path, corpora={name: corpora()[name] for name in kept}), lines, monkeypatch)
    assert rows(figures)["cross"]["outside"]["sets"] == ["scifact"]
    assert rows(figures)["cross"]["outside"]["over"] == "queries" and "one set: no interval over sets" in page
    assert rows(figures)["full-nq"]["outside"]["over"] == "sets" and "ρ (p)" not in page


def test_a_study_of_one_corpus_says_so(tmp_path, monkeypatch):
    triplets = {"none": {"corpus": "msmarco", "from": "corpora/msmarco", "size": 0}}
    retrievers = {"base": {"start": "minilm", "tuning": "none", "triplets": "none", "recipe": "none"}}
    alone = {"msmarco": corpora()["msmarco"]}
    folder = study(tmp_path, corpora=alone, triplets=triplets, retrievers=retrievers, rerankers={})
    lines = [line for line in planted() if line["variant"] == "base" and line["corpus"] == "msmarco"]
    figures, page, picture = told(folder, lines, monkeypatch)
    assert page == ("# In and out of domain\n\nThe study measures one set (msmarco), so that nothing is out of domain. "
                    "Name another corpus in `params.yaml` to see what a row costs or gains there.\n")
    assert figures["pairs"] == [] and figures["similarity"] == {} and picture.startswith(b"\x89PNG")


def test_a_corpus_that_only_teaches_has_the_set_of_its_group_for_its_home(tmp_path, monkeypatch):
    known = {name: corpora()[name] for name in ("msmarco", "nq", "scifact")}
    known["nq"]["train"] = None
    triplets = {name: {"corpus": corpus, "from": f"corpora/{corpus}", "size": size} for name, corpus, size in
                (("none", "msmarco", 0), ("marco", "msmarco", 64), ("nq", "nq-train", 64))}
    apart = {"nq-train": {"source": "beir:x", "train": "train", "judged": {}, "group": "nq"}}
    lines = [line for line in planted() if line["corpus"] in known]
    figures, _, _ = told(study(tmp_path, corpora=known | apart, triplets=triplets), lines, monkeypatch)
    found = rows(figures)["full-nq"]
    assert (found["taught"], found["in_domain"], found["outside"]["sets"]) == ("nq-train", "nq", ["msmarco", "scifact"])
    assert found["inside"]["value"] == pytest.approx(0.41) and list(figures["similarity"]["nq-train"]) == [
        "msmarco", "nq", "scifact"]


def test_means_over_sets_by_hand():
    one, other = {"a": 0.3, "b": 0.5, "c": 0.1}, {"a": 0.2, "b": 0.5, "d": 0.9}
    found = transfer.over_sets(one, other, ["a", "b", "c", "d"], 0.05)
    assert found["sets"] == ["a", "b"] and found["won"] == 1 and found["difference"] == pytest.approx(0.05)
    assert found["high"] == pytest.approx(0.05 + 12.7062 * 0.05, abs=1e-5)      # t of one degree; s / sqrt(2) is 0.05
    assert transfer.over_sets(one, other, ["a"], 0.05)["low"] is None
    assert transfer.over_sets(one, other, ["c"], 0.05) is None
    assert transfer.in_per_cent({"difference": 1.0, "low": None, "high": 0.0, "against": 0.0}) == {
        "difference %": None, "low %": None, "high %": None}
