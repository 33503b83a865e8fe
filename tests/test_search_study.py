"""A search in the small study, through DVC as a user runs it: from its trials to the answer."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages.core.errors import UserError
from stages.evaluation import results
from studies import searching
from tests import small_study, test_pipeline
from tests.conftest import ROOT, run

SPACE = {
    "tuning": {"lr": {"low": 0.0001, "high": 0.01, "log": True}},
    "recipe": {"loss": {"margin": [0.2, 0.5]}},
    "alpha": [0.5, 1.0],
}
NAMES = {"checkpoint": "minilm", "tuning": "full", "triplets": "hard", "recipe": "printed", "corpus": "things"}
BLOCK = {"variant": "full-hard", **NAMES, "space": SPACE, "trials": 4, "seed": 13, "top": 5, "random": 10}
FOUND = "data/searches/found"
TUNE = (
    "python -m stages.tune found --checkpoint data/checkpoints/minilm --triplets data/triplets/hard/seed-13.parquet "
    "--collection data/corpora/things --index data/indexes/base/things --out data/again"
)


def test_agreement_of_a_fresh_clone_is_told_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "DATA", tmp_path)
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="indexes: has no vectors of base; run dvc repro or dvc pull first"):
        searching.agreement.main([], standalone_mode=False)


@pytest.mark.parametrize("name", searching.NAMES)
def test_the_page_of_a_search_is_what_its_results_say(name, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "reports/searches", tmp_path / "reports/searches")
    shutil.copytree(ROOT / "studies/searches", tmp_path / "studies/searches")
    monkeypatch.chdir(tmp_path)
    page = tmp_path / f"reports/searches/{name}.md"
    committed = page.read_text()
    page.unlink()
    searching.write(name)
    assert page.read_text() == committed


@pytest.fixture(scope="module")
def study(studies, tmp_path_factory):
    """The small study with a search and a variant on half of the training pairs, after all stages."""
    folder = small_study.copied(studies / "evaluated", tmp_path_factory.mktemp("searched") / "study")
    file = folder / "params.yaml"
    blocks = YAML().load(file.read_text())
    blocks["searches"] = {"found": BLOCK}
    blocks["triplets"]["half"] = {**blocks["triplets"]["hard"], "share": 0.5}
    blocks["retrievers"]["on-half"] = {**blocks["retrievers"]["full-hard"], "triplets": "half"}
    yaml = YAML()
    yaml.representer.ignore_aliases = lambda value: True
    with open(file, "w") as handle:
        yaml.dump(blocks, handle)
    run("dvc repro", folder)
    small_study.commit(folder)
    return folder


def test_the_chosen_setting_is_trained_searched_and_judged_and_its_gain_is_told(study):
    assert "up to date" in run("dvc repro", study).stdout
    chosen = json.loads((study / FOUND / "chosen.json").read_text())
    trials = json.loads((study / FOUND / "trials.json").read_text())["trials"]
    whole = [trial for trial in trials if trial["value"] is not None]
    assert len(trials) == 4 and chosen["params"] == max(whole, key=lambda trial: trial["value"])["params"]
    assert trials[0]["params"] == {"tuning.lr": 0.0001, "recipe.loss.margin": 0.2, "alpha": 1.0}
    record = json.loads((study / "data/models/found/seed-13/recipe.json").read_text())
    assert record["tuning"]["lr"] == chosen["tuning"]["lr"] == chosen["params"]["tuning.lr"]
    assert record["recipe"]["loss"]["margin"] == chosen["params"]["recipe.loss.margin"]
    pairs = {(pair.variant, pair.against): pair for pair in results.read_pairs(study / "reports/pairs.json")}
    gain = pairs["found", "full-hard"]
    report = (study / "reports/report.md").read_text()
    assert f"goes from {gain.base:.4f} (`full-hard`) to {gain.value:.4f} (`found`)" in report
    assert "best of 4 trials" in report and (study / "reports/figures/search-found.png").exists()
    assert "best of 4 trials" in (study / "reports/index.html").read_text()
    assert "of 5 fine-tuned variants" in report


def test_judgments_of_judged_splits_change_no_trial(study):
    """Poisoned: every judged query of dev and test is answered by one passage that answers none of them."""
    for split in ("dev", "test"):
        path = study / f"data/corpora/things/qrels/{split}.parquet"
        table = pq.read_table(path)
        path.unlink()  # a link into the cache
        doc = pa.array(["d0-0"] * len(table))
        pq.write_table(table.set_column(table.schema.get_field_index("doc_id"), "doc_id", doc), path)
    run(TUNE, study)
    for name in ("trials.json", "chosen.json"):
        assert (study / "data/again" / name).read_bytes() == (study / FOUND / name).read_bytes()
    run("rm -rf data/again && dvc checkout -q --force", study)


def test_half_of_the_pairs_are_of_half_of_the_queries_and_the_report_asks_for_more(study):
    drawn = {name: pq.read_table(study / f"data/triplets/{name}/seed-13.parquet") for name in ("half", "hard")}
    queries = {name: set(table["query_id"].to_pylist()) for name, table in drawn.items()}
    assert [len(drawn[name]) for name in ("half", "hard")] == [24, 48]
    assert queries["half"] < queries["hard"] and len(queries["half"]) <= 10
    report = (study / "reports/report.md").read_text()
    pair = next(one for one in results.read_pairs(study / "reports/pairs.json") if one.against == "on-half")
    assert f"From 24 to 48 triplets RR@10 on things test goes from {pair.base:.4f} (`on-half`)" in report
    assert (study / "reports/figures/growth.png").exists()
    assert "Would more training pairs help?" in (study / "reports/index.html").read_text()


def test_the_card_of_the_model_names_the_chosen_setting(study):
    run("python -m stages.export card found --out card.md", study)
    card = (study / "card.md").read_text()
    chosen = json.loads((study / FOUND / "chosen.json").read_text())
    assert f"{chosen['tuning']['lr']:g}" in card
    assert all(f'"{place}": {json.dumps(value)}' in card for place, value in chosen["params"].items())
    (study / "card.md").unlink()


READING = ("tune@found", "train-tuned@found", "evaluate", "visualize", "diagnose", "report", "page")


@pytest.mark.parametrize("name", READING)
def test_a_stage_reads_what_it_declares_of_searches(name, study):
    test_pipeline.test_a_stage_reads_what_it_declares(name, study)
