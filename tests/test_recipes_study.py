"""The study of strong recipes: fair between its variants, legal on every collection, and told as its results say."""

import json

import pytest

from stages import params
from stages.core.errors import UserError
from stages.evaluation import results
from stages.params.report import Target
from stages.reporting import markdown
from studies import recipes
from tests import plants
from tests.conftest import ROOT, run

STUDY = params.load(ROOT / recipes.STUDY)


@pytest.mark.parametrize("part", recipes.PARTS)
def test_every_part_is_legal_and_has_the_same_variants(part):
    study = recipes.study_of(part)
    assert study.variants.keys() == STUDY.variants.keys() == {"base", *recipes.ADDS}
    assert study.seeds == [13, 14, 15] and recipes.study_of(part, "1,2").seeds == [1, 2]


@pytest.mark.parametrize("seeds", ["x", "1,", "1.5", "1,1", "2,1,02"])
def test_seeds_that_are_no_numbers_or_said_twice_are_refused_in_one_line(seeds):
    with pytest.raises(UserError, match=f"--seeds {seeds}: (give whole numbers|names a seed twice)"):
        recipes.main.main(["params", "default", "--seeds", seeds], standalone_mode=False)


def test_a_collection_that_is_not_in_the_folder_is_named_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scifact").mkdir()
    with pytest.raises(UserError, match=r"--collections \.: has no folder medquad"):
        recipes.main.main(["run", "--collections", "."], standalone_mode=False)


def test_every_variant_reads_as_many_texts_at_the_rate_of_its_tuning():
    """As many are asked for; margins leave some out."""
    for name, block in STUDY.retrievers.items():
        if STUDY.recipes[block.recipe]:
            read = STUDY.training_set(block.triplets)
            assert read.size * (2 + read.negatives_per_query) == 3 * 512, name
            assert block.tuning in ("full", "lora")


def planted(part: str) -> list[results.Result]:
    """Results of two variants in and out of domain; the second was not measured out of domain."""
    found = []
    for corpus in ("in_domain", "out_of_domain"):
        target = Target(corpus=corpus, split="test", measure="RR@10")
        found.append(plants.result("base", None, target))
        better = plants.comparison(0.05, verdict="better", seed_runs=3)
        found.append(plants.result("in-batch-aware", better, target))
    worse = plants.comparison(-0.1, verdict="worse", seed_runs=3)
    return [*found, plants.result("lora-aware", worse, plants.IN_DOMAIN)]


def test_the_tables_say_what_the_committed_results_say(tmp_path):
    assert recipes.tables(tmp_path) == []
    for part in ("default", "medquad"):
        (tmp_path / f"{part}.json").write_text(results.as_json(planted(part)))
        run = {"seeds": [13, 14, 15], "train_seconds": {"in-batch-aware": 41.2, "lora-aware": 50.8}}
        (tmp_path / f"{part}.run.json").write_text(json.dumps(run))
    added, here, there = recipes.tables(tmp_path)
    assert [line[1] for line in added.lines] == [*recipes.ADDS.values()]
    assert list(here.heads) == ["in domain, trained on:", "Python documentation", "MedQuAD, a cut"]
    page = markdown.document([here, there])
    assert "| base | 0.5000 | 0.5000 |" in page
    line = next(line for line in page.splitlines() if line.startswith("| `in-batch-aware`"))
    assert line.count("+10.0 % (+8.0 to +12.0) **better**") == 2
    lines = [line for line in page.splitlines() if line.startswith("| `lora-aware`")]
    assert "-20.0 % (-22.0 to -18.0) **worse**" in lines[0] and lines[1].count("not measured") == 2
    assert "1,200 queries" in page and "seeds (13, 14, 15)" in page
    words = markdown.document(recipes.told(tmp_path))
    assert words.count("In domain better than the base: `in-batch-aware` (+10.0 %).") == 2
    assert "In domain worse than the base: `lora-aware` (-20.0 %)." in words
    assert "Out of domain worse than the base: none." in words and words.startswith("**Python documentation.**")
    assert "so many tokens: Python documentation 64; MedQuAD, a cut 96." in page


def test_what_the_page_concludes_holds_for_the_committed_results():
    """docs/recipes.md, the paragraph under the tables."""
    verdicts, lows, moved = {}, {}, {}
    for part in recipes.PARTS:
        entries = results.read(ROOT / recipes.RESULTS / f"{part}.json")
        for target in STUDY.report.targets:
            for name, result in results.at(entries, target).items():
                moved.setdefault((target.corpus, name), []).append(result.change() or 0.0)
                if name not in ("base", "bm25"):
                    verdicts[part, target.corpus, name] = result.comparison.verdict
                    lows[part, target.corpus, name] = result.comparison.low
    assert "worse" not in verdicts.values()
    spread = {name: max(each) - min(each) for (corpus, name), each in moved.items() if corpus == "in_domain"}
    assert max(spread, key=spread.get) == "bm25"
    better = [(corpus, name) for (_, corpus, name), verdict in verdicts.items() if verdict == "better"]
    assert {one for one in better if better.count(one) > 1} == {("in_domain", "outputs-aware")}
    assert all(lows[part, "in_domain", "outputs-aware"] > 0 for part in recipes.PARTS)
    assert not {name for _, name in better} & {"kl-late", "mse-late"}


def test_results_of_an_older_commit_are_collected(tmp_path):
    """The clone's params file has the keys of its commit, which need not be today's."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/results.json").write_text("[]")
    (tmp_path / "params.yaml").write_text("threads: 1\nseeds: [13, 14]\n")
    run("git init -q && git -c user.name=t -c user.email=t@example.org commit -q --allow-empty -m x", tmp_path)
    recipes.collect("default", tmp_path, tmp_path / "out")
    assert json.loads((tmp_path / "out/default.run.json").read_text())["seeds"] == [13, 14]
