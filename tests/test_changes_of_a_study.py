"""What runs again in a study that was run: after a change, after a kill, and when all of it is made again."""

import json
import re
from pathlib import Path

import pytest

from tests import small_study, warm
from tests.conftest import run
from tests.plants import contents, kill_in_training
from tests.small_study import FIRST, TRAIN, restore, stages_run


@pytest.fixture(scope="module")
def study(studies, tmp_path_factory):
    """A copy of the small study as it was before the stages after evaluate ran."""
    return small_study.copied(studies / "evaluated", tmp_path_factory.mktemp("changed") / "study")


def experiment(settings: str, folder: Path) -> set[str]:
    """The stages up to evaluate that an experiment runs; the study is put back as it was."""
    done = run(f"dvc exp run evaluate {settings}", folder)
    restore(folder)
    return stages_run(done.stdout)


def variants(names: set[str]) -> set[str]:
    return {name.partition("@")[2].removesuffix("-things") for name in names if "@" in name}


def test_only_what_a_change_touches_runs_again(study):
    ran = experiment("-S lora.rank=2", study)
    assert variants(ran) == {"lora-random"}
    assert {"train@lora-random", "encode@lora-random-things", "search@lora-random-things", "evaluate"} <= ran
    ran = experiment("-S 'triplets.hard.ranks=[31,60]'", study)
    assert variants(ran) == {"hard", "full-hard", "mix", "hybrid-hard", "late"}
    ran = experiment("-S 'interpolations.mix.alphas=[0.25]'", study)
    assert variants(ran) == {"mix", "late"} and not any(name.startswith("train@") for name in ran)
    ran = experiment("-S cross-lion.lr=0.0003", study)
    assert ran == {*FIRST, "train-reranker@cross-lion", "rerank@cross-lion", "evaluate"}
    ran = experiment("-S 'measures=[RR@10,nDCG@10]'", study)
    assert ran == {*FIRST, "evaluate"}


def test_a_variant_is_added_in_one_place_and_leaves_when_it_is_dropped(study):
    block = "{checkpoint: minilm, tuning: lora, triplets: random, recipe: contrastive}"
    done = run(f"dvc exp run evaluate -S '+retrievers.pairs={block}'", study)
    assert variants(stages_run(done.stdout)) == {"pairs"}
    assert "pairs" in json.loads((study / "reports/metrics.json").read_text())
    diff = run("dvc metrics diff", study).stdout
    assert re.search(r"pairs\.RR@10\s", diff)
    restore(study)
    run("dvc repro evaluate", study)
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


def test_killed_training_goes_on_and_ends_with_the_same_bytes(study):
    kill_in_training("stages.train", TRAIN.format(out="data/again").split()[3:], study)
    assert not (study / "data/again").exists()
    run(TRAIN.format(out="data/again"), study)
    assert json.loads((study / "data/costs/train/full-hard.seed-13.json").read_text())["resumed"]
    assert contents(study / "data/again") == contents(study / "data/models/full-hard")
    assert (study / "data/again.json").read_text() == (study / "reports/training/full-hard.json").read_text()
    assert not list((study / ".scratch/train").iterdir())
    run("rm -r data/again data/again.json && git checkout -q .", study)


def test_everything_again_gives_the_same_hashes(study):
    """In processes of another server: they share no hash seed with those of the first time."""
    before = (study / "dvc.lock").read_text()
    with warm.server() as another:
        run("dvc repro -f evaluate", study, **{warm.NAME: another})
    assert (study / "dvc.lock").read_text() == before
    assert not run("git status --porcelain", study).stdout
