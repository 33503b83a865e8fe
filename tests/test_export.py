"""Exports by command: runs that other programs read alike, what people get wrong, and how to cite."""
import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import export
from stages import params
from stages.collections import canonical
from stages.retrieval import runs, trec
from tests.conftest import ROOT

STUDY = params.load(ROOT / "params.yaml")
PLACE = STUDY.report.in_domain
WHERE = (PLACE.corpus, PLACE.split)
TRAINED = [row for row, names in {**STUDY.retrievers, **STUDY.rerankers}.items() if STUDY.recipes[names.recipe]]


def told(*words: str):
    return CliRunner().invoke(export.main, [str(word) for word in words])


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The committed params and reports, and two planted copies of the first trained row's run."""
    for name in ("params.yaml", "dvc.lock", "studies/papers/references.bib", "reports/results.json", "reports/training"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    for seed, docs in {1: ["a", "b"], 2: ["b", "a"]}.items():
        home = tmp_path / "data/runs" / TRAINED[0] / PLACE.corpus / f"seed-{seed}"
        home.mkdir(parents=True)
        runs.write([pa.table([["q", "q"], docs, [0.5, 0.5]], schema=runs.RUN)], home / f"{PLACE.split}.parquet")
    qrels = tmp_path / "data/corpora" / PLACE.corpus / "qrels"
    qrels.mkdir(parents=True)
    pq.write_table(pa.table([["q"], ["a"], [1]], schema=canonical.QRELS), qrels / f"{PLACE.split}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_writes_the_same_bytes_again(study):
    row, copy = TRAINED[0], f"seed-{STUDY.seeds[0]}"
    asked = {"a.trec.gz": ("run", row, *WHERE, "--copy", "seed-2"), "a.qrels": ("qrels", *WHERE),
             "a.tex": ("table", "--format", "latex"), "a.md": ("table", "--format", "markdown"),
             "card.md": ("card", row, "--copy", copy)}
    for name, words in asked.items():
        for again in ("one", "two"):
            done = told(*words, "--out", f"{again}/{name}")
            assert done.exit_code == 0, done.output
        assert (study / "one" / name).read_bytes() == (study / "two" / name).read_bytes()
    assert told("table", "--format", "latex").output == (study / "one/a.tex").read_text()
    back = trec.read(study / "one/a.trec.gz")
    assert back["doc_id"].to_pylist() == ["b", "a"]
    assert told("run", row, *WHERE, "--copy", "seed-1", "--out", "plain").exit_code == 0
    assert (study / "plain").read_text() == f"q Q0 a 1 0.5 {row}.seed-1\nq Q0 b 2 0.49999997 {row}.seed-1\n"
    assert (study / "one/a.qrels").read_text() == "q 0 a 1\n"
    assert told("cards", "--out", "cards").exit_code == 0
    assert {path.parents[1].name for path in study.glob("cards/*/*/README.md")} == set(TRAINED)
    assert told("card", row, "--copy", copy, "--out", "folder").exit_code == 0
    assert (study / f"cards/{row}/{copy}/README.md").read_text() == (study / "folder/README.md").read_text()


@pytest.mark.parametrize("words, sentence", [
    (("run", "full-hrad", *WHERE), r"params.yaml: no row is called 'full-hrad'; there are: "),
    (("run", TRAINED[0], "hmoe", "test"), r"corpora: no corpus is called 'hmoe'; there are: "),
    (("run", TRAINED[0], PLACE.corpus, "train"), rf"corpora.{PLACE.corpus}.judged: no split is called 'train'; "),
    (("run", TRAINED[0], *WHERE), "has several copies; say --copy with one of: seed-1, seed-2"),
    (("run", TRAINED[0], *WHERE, "--copy", "seed-3"), "has no copy 'seed-3'; say --copy with one of: seed-1, seed-2"),
    (("run", TRAINED[1], *WHERE), rf"no such run here; dvc pull or dvc repro search@{TRAINED[1]}-{PLACE.corpus}"),
    (("qrels", PLACE.corpus, "train"), "no split is called 'train'"),
    (("card", STUDY.report.base), f"{STUDY.report.base}: is not trained"),
    (("card", TRAINED[0], "--copy", "seed-0"), "has no copy 'seed-0'")])
def test_a_wrong_name_is_one_line(study, words, sentence):
    done = told(*words, "--out", "x")
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1 and re.search(sentence, done.output)
    assert not (study / "x").exists()


def test_no_folder_is_overwritten_and_none_of_dvc_written_to(study):
    done = told("card", TRAINED[0], "--out", f"data/models/{TRAINED[0]}")
    assert done.exit_code == 1 and "what lies in data/ is DVC's" in done.output
    assert told("run", TRAINED[0], *WHERE, "--copy", "seed-1", "--out", "reports").exit_code == 2
    assert (study / "reports/results.json").is_file()
    (study / f"data/runs/{TRAINED[0]}/{PLACE.corpus}/seed-1/{PLACE.split}.parquet").unlink()
    assert "dvc repro search@" in told("run", TRAINED[0], *WHERE, "--copy", "seed-1", "--out", "x").output


@pytest.mark.parametrize("variant", [STUDY.report.base, *TRAINED[-1:], *(
    row for row, names in STUDY.retrievers.items() if STUDY.checkpoints[names.checkpoint].architecture == "lexical")])
def test_other_programs_find_the_committed_values_in_an_exported_run(row, tmp_path, monkeypatch):
    import ir_measures
    if not (ROOT / "data/runs" / row / PLACE.corpus).is_dir():
        pytest.skip("the study's runs are not here (dvc pull or dvc repro)")
    monkeypatch.chdir(ROOT)
    copy = next((ROOT / "data/runs" / row / PLACE.corpus).iterdir()).name
    assert told("run", row, *WHERE, "--copy", copy, "--out", tmp_path / "run.gz").exit_code == 0
    assert told("qrels", *WHERE, "--out", tmp_path / "qrels").exit_code == 0
    own = list(runs.read(ROOT / f"data/runs/{row}/{PLACE.corpus}/{copy}/{PLACE.split}.parquet"))
    keys = ["query_id", "doc_id"]
    back = trec.read(tmp_path / "run.gz").to_pandas()
    assert back[keys].values.tolist() == pa.concat_tables(own).to_pandas().sort_values(
        "query_id", kind="stable")[keys].values.tolist()
    entries = {entry["measure"]: entry for entry in json.loads((ROOT / "reports/results.json").read_text())
               if (entry["variant"], entry["corpus"], entry["split"]) == (row, *WHERE)}
    rel = STUDY.corpora[PLACE.corpus].judged[PLACE.split].rel
    asked = {name: ir_measures.parse_measure(name) for name in entries}
    asked = {name: measure(rel=rel) if "rel" in measure.SUPPORTED_PARAMS and "rel" not in measure.params else measure
             for name, measure in asked.items()}
    judged = [line for line in ir_measures.read_trec_qrels(str(tmp_path / "qrels"))
              if row not in STUDY.rerankers or line.query_id in set(back["query_id"])]
    found = ir_measures.calc_aggregate(list(asked.values()), judged, back)
    assert {name: found[measure] for name, measure in asked.items()} == pytest.approx(
        {name: entry["by_seed_run"][copy] for name, entry in entries.items()}, abs=1e-6)


def test_the_citation_is_whole_and_agrees_with_the_licence_and_the_references():
    cited = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "title", "message", "type", "abstract", "authors", "license", "references"} <= set(cited)
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software") and cited["authors"]
    assert (ROOT / "LICENSE").read_text().startswith(f"{cited['license']} License")
    bib = {re.search(r"eprint\s*= \{(.+?)\}", entry)[1]: entry
           for entry in (ROOT / "studies/papers/references.bib").read_text().split("@misc")[1:]}
    for paper in cited["references"]:
        entry = bib.pop(paper["identifiers"][0]["value"].removeprefix("arXiv:"))
        assert entry.count("{") == entry.count("}")
        plain = " ".join(re.sub("[{}]", "", entry).split())
        people = " and ".join(f"{person['family-names']}, {person['given-names']}" for person in paper["authors"])
        for key, value in {"title": paper["title"], "author": people, "year": paper["year"]}.items():
            assert f"{key} = {value}," in plain
        assert plain.endswith(f"url = {paper['url']}")
    assert not bib
