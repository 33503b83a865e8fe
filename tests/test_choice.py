"""The choice is made on dev and judged on test: whom it names, and controls of which the truth is known."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from stages import evaluate, params
from stages.evaluation import choice, comparison, significance
from stages.evaluation import results as files
from stages.evaluation.choice import Choice
from stages.evaluation.results import Result
from tests import plants
from tests.conftest import STUDY
from tests.plants import DEV, IN_DOMAIN, OUT_OF_DOMAIN

NAMES = ("full-hard", "full-random", "lora-hard")
ON_TEST = STUDY.model_copy(update={"report": STUDY.report.model_copy(update={"chosen_on": "test"})})
UNNAMED = STUDY.model_copy(update={"report": STUDY.report.model_copy(update={"chosen_on": None})})


def results(dev: dict[str, float], test: dict[str, tuple[float, str]], seed_runs: int = 1) -> list[Result]:
    """Variants with these differences from the base on dev, and differences and verdicts on test."""
    on_dev = [plants.result(name, plants.comparison(change, verdict=None), DEV) for name, change in dev.items()]
    on_test = [
        plants.result(name, plants.comparison(change, verdict=verdict, seed_runs=seed_runs))
        for name, (change, verdict) in test.items()
    ]
    return [*on_dev, *on_test]


@pytest.mark.parametrize(
    "change, verdict, seed_runs, advice",
    [
        (0.03, "better", 3, "fine-tune"),
        (0.03, "better", 1, "one checkpoint is better"),
        (0.01, "cannot tell", 3, "cannot tell"),
        (0.001, "no difference", 3, "keep the base"),
        (-0.03, "worse", 1, "keep the base"),
    ],
)
def test_test_judges_what_dev_chose(change, verdict, seed_runs, advice):
    planted = results(
        {"full-hard": 0.02, "lora-hard": 0.01},
        {"full-hard": (change, verdict), "lora-hard": (0.04, "better")},
        seed_runs,
    )
    made = choice.choose(STUDY, planted)
    assert (made.chosen, made.advice, made.candidates, made.apart) == ("full-hard", advice, 2, True)
    assert (made.best.target, made.in_domain.comparison.verdict) == (DEV, verdict)
    assert made.ahead.variant == "lora-hard"


def test_the_base_is_kept_where_nothing_is_above_it_on_dev_and_equal_ones_go_by_name():
    test = {"full-hard": (0.03, "better"), "lora-hard": (0.02, "better")}
    made = choice.choose(STUDY, results({"full-hard": -0.02, "lora-hard": 0.0}, test))
    assert (made.chosen, made.advice, made.best.variant) == ("base", "keep the base", "lora-hard")
    assert made.ahead.variant == "full-hard"
    made = choice.choose(STUDY, results({"lora-hard": 0.01, "full-hard": 0.01}, test))
    assert (made.chosen, made.ahead) == ("full-hard", None)
    fallen = {"full-hard": (-0.03, "worse"), "lora-hard": (-0.02, "worse")}
    assert choice.choose(STUDY, results({"full-hard": -0.02, "lora-hard": -0.03}, fallen)).ahead is None


@pytest.mark.parametrize("study, dev", [(STUDY, {}), (ON_TEST, {"full-hard": 0.05}), (UNNAMED, {"full-hard": 0.05})])
def test_without_a_split_to_choose_on_the_best_on_test_is_named_and_known_for_it(study, dev):
    test = {"full-hard": (0.01, "cannot tell"), "lora-hard": (0.02, "cannot tell")}
    made = choice.choose(study, results(dev, test))
    assert (made.chosen, made.apart, made.candidates, made.ahead) == ("lora-hard", False, 2, None)


def test_only_fine_tuned_retrievers_of_the_corpus_in_domain_or_its_group_are_candidates():
    tuned = [name for name in STUDY.searchers if name not in ("bm25", "base")]
    assert choice.candidates(STUDY) == tuned and "full-random-mix" in tuned
    others = dict.fromkeys(("bm25", "late-random"), (0.05, "better"))
    dev = {"bm25": 0.05, "late-random": 0.05}
    assert choice.choose(STUDY, results(dev, others)) is None
    assert choice.choose(
        STUDY, results({**dev, "full-hard": 0.01}, {**others, "full-hard": (0.01, "cannot tell")})
    ).chosen == ("full-hard")
    corpora = {name: corpus.model_copy(update={"group": "g"}) for name, corpus in STUDY.corpora.items()}
    other = STUDY.report.model_copy(update={"in_domain": OUT_OF_DOMAIN})
    assert choice.candidates(STUDY.model_copy(update={"report": other})) == []
    assert choice.candidates(STUDY.model_copy(update={"report": other, "corpora": corpora})) == tuned


def reciprocal_ranks(queries: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice([1, 1 / 2, 1 / 3, 1 / 5, 1 / 8, 0], queries, p=[0.5, 0.1, 0.05, 0.05, 0.05, 0.25])


def shaken(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise that means nothing: of the queries answered at rank 1, one in five has a tie there that a coin decides."""
    tied = (truth == 1) & (rng.random(len(truth)) < 0.2)
    return np.where(tied, rng.choice([1, 1 / 2], len(truth)), truth)


def draws(count: int, seed: int, gain: float = 0.0, seeds: int = 1, luck: float = 0.0) -> Iterator[Choice]:
    """Studies of 100 queries on dev and 400 on test; three variants and the base break its ties each in its own way.

    `gain` is the share of the queries for which full-random brings the passage to the first rank. Each of a variant's
    checkpoints, one a seed, is above or below its recipe by its own luck, on dev and on test alike.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        found, lucky = [], rng.normal(0, luck, (len(NAMES), seeds, 1))
        for target, queries in ((DEV, 100), (IN_DOMAIN, 400)):
            truth, clusters = reciprocal_ranks(queries, rng), np.arange(queries) // 2
            base, *tuned = (shaken(truth, rng) for _ in range(1 + len(NAMES)))
            tuned[1] = np.where(rng.random(queries) < gain, 1.0, tuned[1])
            raised = [one + own for one, own in zip(tuned, lucky, strict=True)]
            compared = [plants.comparison(float((one - base).mean()), verdict=None) for one in raised]
            if target == IN_DOMAIN:
                compared = [significance.compare(one, base, clusters, 0.05, 300) for one in raised]
                compared = comparison.judge(compared, 0.05, [0.02 * base.mean()] * len(NAMES))
            found += [
                replace(plants.result(name, one, target), value=float(base.mean() + one.difference))
                for name, one in zip(NAMES, compared, strict=True)
            ]
        yield choice.choose(STUDY, found)


def test_null_control_noise_is_not_called_a_gain_more_often_than_the_significance_says():
    made = list(draws(150, seed=1))
    better = np.mean([one.in_domain.comparison.verdict == "better" for one in made])
    assert better <= 0.025, "half of a two-sided test at 0.05"
    assert {one.chosen for one in made} == {"base", *NAMES}, "dev has a favourite"
    gain = np.mean([one.in_domain.comparison.difference for one in made])
    assert abs(gain) < 0.002, "chosen on test the best would be 0.005 above the base by chance"


def test_positive_control_a_variant_that_is_better_is_chosen_and_found():
    made = list(draws(40, seed=2, gain=0.15))
    named = [one.chosen == "full-random" and one.advice == "one checkpoint is better" for one in made]
    assert np.mean(named) > 0.95


def test_a_lucky_checkpoint_of_a_recipe_that_gains_nothing_is_found_and_three_seeds_undo_it():
    """What is lucky on dev is so on test: a single checkpoint often is better, its recipe is not called so."""
    alone = [made.advice for made in draws(40, seed=3, luck=0.02)]
    three = [made.advice for made in draws(150, seed=3, seeds=3, luck=0.02)]
    assert alone.count("one checkpoint is better") > 10
    found = binomtest(three.count("fine-tune"), len(three), 0.05, alternative="greater")  # 3.5 % in 1,500 draws
    assert found.pvalue > 0.01


@pytest.mark.parametrize("seeds, advice", [([13], "one checkpoint is better"), ([13, 14, 15], "fine-tune")])
def test_both_controls_pass_through_the_whole_evaluation(seeds, advice, tmp_path, monkeypatch):
    """Two variants break the base's ties by other coins, a third ranks one more passage in six first as well."""
    write_controls(tmp_path, seeds)
    monkeypatch.chdir(tmp_path)
    outs = [f"--{name}=out/{name}" for name in ("queries", "results", "pairs", "metrics")]
    plants.succeeds(evaluate.main, "--runs=runs", "--corpora=corpora", *outs)
    study, found = params.load(), files.read(Path("out/results"))
    made = choice.choose(study, found)
    assert (made.chosen, made.best.target, made.advice, made.ahead) == ("full-random", DEV, advice, None)
    verdicts = {name: one.comparison.verdict for name, one in choice.judged(found, IN_DOMAIN).items()}
    assert verdicts["full-random"] == "better" and len(verdicts) == 3
    assert {verdicts["full-hard"], verdicts["lora-hard"]} <= {"cannot tell", "no difference"}


def write_controls(folder: Path, seeds: list[int]) -> None:
    """A study of one corpus with the runs of the base and of the three variants, each with these seeds."""
    known, rng = plants.blocks(), np.random.default_rng(4)
    plants.write_params(
        folder,
        seeds=seeds,
        corpora={"in_domain": known["corpora"]["in_domain"]},
        retrievers={name: known["retrievers"][name] for name in ("bm25", "base", *NAMES)},
        interpolations={},
        fusions={},
        rerankers={},
        measures=["RR@10"],
        report={**known["report"], "resamples": 1000, "pairs": [], "out_of_domain": None},
    )
    for split, queries in (("dev", 120), ("test", 400)):
        plants.write_corpus(folder / "corpora/in_domain", queries, queries, split)
        truth = reciprocal_ranks(queries, rng).clip(1 / 6)
        for name, seed_run in [("base", "pretrained"), *((name, f"seed-{seed}") for name in NAMES for seed in seeds)]:
            values = shaken(truth, rng)
            values = np.where(rng.random(queries) < 1 / 6, 1, values) if name == "full-random" else values
            ranks = dict(enumerate((1 / values).round().astype(int).tolist()))
            plants.write_run(folder / f"runs/{name}/in_domain/{seed_run}/{split}.parquet", ranks)
