"""Exports by command: runs that other programs read alike, what people get wrong, and how to cite."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from stages import export
from stages.collections.canonical import QRELS
from stages.evaluation import results
from stages.retrieval import runs, trec
from tests import plants
from tests.conftest import ROOT, STUDY
from tests.planted_lock import TRAINED, lock
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN

WHERE = (IN_DOMAIN.corpus, IN_DOMAIN.split)
PLANTED = "full-hard"
LOG = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


def invoke(*words: str) -> Result:
    return CliRunner().invoke(export.main, list(words))


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A finished study of tests/study.yaml, and two planted seed runs of one variant's run."""
    plants.write_params(tmp_path)
    (tmp_path / "reports/training").mkdir(parents=True)
    with open(tmp_path / "dvc.lock", "w") as handle:
        YAML().dump({"stages": lock()}, handle)
    (tmp_path / "studies/papers").mkdir(parents=True)
    shutil.copy(ROOT / "studies/papers/references.bib", tmp_path / "studies/papers")
    compared = plants.comparison(0.05, verdict="better")
    found = [plants.result("base"), plants.result("base", target=OUT_OF_DOMAIN)]
    found += [plants.result(name, compared, target) for name in TRAINED for target in (IN_DOMAIN, OUT_OF_DOMAIN)]
    (tmp_path / "reports/results.json").write_text(results.as_json(found))
    one = {"seed": 13, "steps": 2, "trainable": 5, "total": 10, "tensors": 2, "changed": 1, "log": LOG}
    for name in STUDY.variants:
        stored = {"variant": name, "seed_runs": [one] if name in TRAINED else []}
        (tmp_path / f"reports/training/{name}.json").write_text(json.dumps(stored))
    for seed, docs in {1: ["a", "b"], 2: ["b", "a"]}.items():
        folder = tmp_path / "data/runs" / PLANTED / IN_DOMAIN.corpus / f"seed-{seed}"
        folder.mkdir(parents=True)
        runs.write([pa.table([["q", "q"], docs, [0.5, 0.5]], schema=runs.RUN)], folder / f"{IN_DOMAIN.split}.parquet")
    qrels = tmp_path / "data/corpora" / IN_DOMAIN.corpus / "qrels"
    qrels.mkdir(parents=True)
    pq.write_table(pa.table([["q"], ["a"], [1]], schema=QRELS), qrels / f"{IN_DOMAIN.split}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_writes_the_same_bytes_again_and_says_where(study):
    asked = {
        "a.trec.gz": ("run", PLANTED, *WHERE, "--seed-run", "seed-2"),
        "a.qrels": ("qrels", *WHERE),
        "a.tex": ("table", "--format", "latex"),
        "a.md": ("table", "--format", "markdown"),
        "card.md": ("card", PLANTED),
    }
    for name, words in asked.items():
        for again in ("one", "two"):
            done = invoke(*words, "--out", f"{again}/{name}")
            assert done.exit_code == 0, done.output
            assert done.output.startswith(f"{again}/{name}: ") and len(done.output.splitlines()) == 1
        assert (study / "one" / name).read_bytes() == (study / "two" / name).read_bytes()
    assert invoke("table", "--format", "latex").output == (study / "one/a.tex").read_text()
    assert trec.read(study / "one/a.trec.gz")["doc_id"].to_pylist() == ["b", "a"]
    assert (study / "one/a.qrels").read_text() == "q 0 a 1\n"


def test_equal_scores_are_set_apart_and_the_tag_names_the_seed_run(study):
    assert invoke("run", PLANTED, *WHERE, "--seed-run", "seed-1", "--out", "plain").exit_code == 0
    expected = f"q Q0 a 1 0.5 {PLANTED}.seed-1\nq Q0 b 2 0.49999997 {PLANTED}.seed-1\n"
    assert (study / "plain").read_text() == expected


def test_cards_are_written_for_every_fine_tuned_variant(study):
    done = invoke("cards", "--out", "cards")
    assert done.exit_code == 0 and len(done.output.splitlines()) == len(TRAINED)
    assert {path.parents[1].name for path in study.glob("cards/*/*/README.md")} == set(TRAINED)
    assert invoke("card", PLANTED, "--out", "folder").exit_code == 0
    assert (study / f"cards/{PLANTED}/seed-13/README.md").read_text() == (study / "folder/README.md").read_text()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("run", "full-hrad", *WHERE), r"params.yaml: no variant is called 'full-hrad'; there are: "),
        (("run", PLANTED, "in_domian", "test"), r"corpora: no corpus is called 'in_domian'; there are: "),
        (("run", PLANTED, "in_domain", "train"), r"corpora.in_domain.judged: no split is called 'train'; "),
        (("run", PLANTED, *WHERE), "has several seed runs; say --seed-run with one of: seed-1, seed-2"),
        (
            ("run", PLANTED, *WHERE, "--seed-run", "seed-3"),
            "has no seed run 'seed-3'; say --seed-run with one of: seed-1",
        ),
        (("run", "full-random-mix", *WHERE), r"no such run here; run dvc pull data/runs/full-random-mix or dvc repro$"),
        (("qrels", "in_domain", "train"), "no split is called 'train'"),
        (("qrels", "in_domain", "dev"), r"dev.parquet: is not here; run dvc pull data/corpora/in_domain or dvc repro$"),
        (("card", "base"), "base: was not fine-tuned"),
        (("card", "hybrid"), "hybrid: fuses the runs of bm25, base and has no model of its own; name one of these"),
        (("run", "hybrid", *WHERE), r"no such run here; run dvc pull data/runs/hybrid or dvc repro$"),
        (("card", PLANTED, "--seed-run", "seed-0"), "has no seed run 'seed-0'"),
    ],
)
def test_a_wrong_name_is_one_line(study, words, sentence):
    done = invoke(*words, "--out", "x")
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1 and re.search(sentence, done.output.strip())
    assert "@" not in done.output and not (study / "x").exists()


def test_no_folder_is_overwritten_and_none_of_dvc_written_to(study):
    done = invoke("card", PLANTED, "--out", f"data/models/{PLANTED}")
    assert done.exit_code == 1 and "what is in data/ is DVC's" in done.output
    assert invoke("run", PLANTED, *WHERE, "--seed-run", "seed-1", "--out", "reports").exit_code == 2
    assert (study / "reports/results.json").is_file()


@pytest.mark.parametrize("variant", ["bm25", "base", "hybrid", "late-random"])
def test_other_programs_find_the_committed_values_in_an_exported_run(variant, tmp_path, monkeypatch):
    """This is about the committed results and the runs behind them, where they are here."""
    import ir_measures

    from stages import params

    study = params.load(ROOT / "params.yaml")
    target = study.report.in_domain
    folder = ROOT / "data/runs" / variant / target.corpus
    if not folder.is_dir():
        pytest.skip("the study's runs are not here (dvc pull or dvc repro)")
    monkeypatch.chdir(ROOT)
    seed_run = next(folder.iterdir()).name
    where = (target.corpus, target.split)
    assert invoke("run", variant, *where, "--seed-run", seed_run, "--out", f"{tmp_path}/run.gz").exit_code == 0
    assert invoke("qrels", *where, "--out", f"{tmp_path}/qrels").exit_code == 0
    back = trec.read(tmp_path / "run.gz").to_pandas()
    keys = ["query_id", "doc_id"]
    own = pa.concat_tables(list(runs.read(folder / seed_run / f"{target.split}.parquet"))).to_pandas()
    assert back[keys].values.tolist() == own.sort_values("query_id", kind="stable")[keys].values.tolist()
    found = {
        one.measure: one
        for one in results.read(ROOT / "reports/results.json")
        if one.variant == variant and (one.corpus, one.split) == where
    }
    assert found
    rel = study.corpora[target.corpus].judged[target.split].rel
    measures = {name: ir_measures.parse_measure(name) for name in found}
    asked = {
        name: one(rel=rel) if "rel" in one.SUPPORTED_PARAMS and "rel" not in one.params else one
        for name, one in measures.items()
    }
    reranked = set(back["query_id"]) if variant in study.rerankers else None
    qrels = ir_measures.read_trec_qrels(str(tmp_path / "qrels"))
    judged = [line for line in qrels if reranked is None or line.query_id in reranked]
    computed = ir_measures.calc_aggregate(list(asked.values()), judged, back)
    expected = {name: one.by_seed_run[seed_run] for name, one in found.items()}
    assert {name: computed[measure] for name, measure in asked.items()} == pytest.approx(expected, abs=1e-6)


def test_the_citation_is_whole_and_agrees_with_the_licence_and_the_references():
    cited = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "title", "message", "type", "abstract", "authors", "license", "references"} <= set(cited)
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software") and cited["authors"]
    assert (ROOT / "LICENSE").read_text().startswith(f"{cited['license']} License")
    entries = (ROOT / "studies/papers/references.bib").read_text().split("@misc")[1:]
    bib = {re.search(r"eprint\s*= \{(.+?)\}", entry)[1]: entry for entry in entries}
    for paper in cited["references"]:
        entry = bib.pop(paper["identifiers"][0]["value"].removeprefix("arXiv:"))
        assert entry.count("{") == entry.count("}")
        plain = " ".join(re.sub("[{}]", "", entry).split())
        people = " and ".join(f"{person['family-names']}, {person['given-names']}" for person in paper["authors"])
        for key, value in {"title": paper["title"], "author": people, "year": paper["year"]}.items():
            assert f"{key} = {value}," in plain
        assert plain.endswith(f"url = {paper['url']}")
    assert not bib
