"""The answer follows from the verdicts, in and out of domain, and says what it cost and what it rests on."""

import pytest

from stages.evaluation.results import Result
from stages.reporting import answer, markdown
from stages.reporting.training_logs import SeedRun, TrainingLog
from tests import plants
from tests.conftest import STUDY
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN

SIZES = {"better": 0.03, "worse": -0.05, "no difference": 0.001, "cannot tell": 0.004}
RUN = SeedRun(seed=13, steps=32, trainable=147456, total=22860672, tensors=9, changed=3, log=[])
LOGS = {name: TrainingLog(name, [RUN]) for name in ("full-hard", "lora-hard", "full-random")}


def results(in_domain: dict[str, str], out_of_domain: dict[str, str] | None = None) -> list[Result]:
    """Variants with these verdicts; of two with the same one full-hard is a little better."""
    return [
        plants.result(name, plants.comparison(SIZES[verdict] + 0.001 * (name == "full-hard"), verdict=verdict), target)
        for target, verdicts in ((IN_DOMAIN, in_domain), (OUT_OF_DOMAIN, out_of_domain or {}))
        for name, verdict in verdicts.items()
    ]


def words(*verdicts: dict[str, str]) -> str:
    return markdown.document(answer.paragraphs(STUDY, results(*verdicts), LOGS))


@pytest.mark.parametrize(
    "in_domain, out_of_domain, advice, variant",
    [
        (["better", "better"], ["no difference", "cannot tell"], "fine-tune", "full-hard"),
        (["better", "better"], ["worse", "cannot tell"], "fine-tune", "lora-hard"),
        (["worse", "better"], ["worse", "worse"], "fine-tune", "lora-hard"),
        (["worse", "no difference"], ["better", "better"], "do not", None),
        (["worse", "worse"], ["worse", "worse"], "do not", None),
        (["worse", "cannot tell"], ["better", "better"], "cannot tell", "lora-hard"),
    ],
)
def test_the_verdicts_decide(in_domain, out_of_domain, advice, variant):
    names = ("full-hard", "lora-hard")
    verdicts = (dict(zip(names, given, strict=True)) for given in (in_domain, out_of_domain))
    decided = answer.decide(STUDY, results(*verdicts))
    assert (decided.advice, decided.variant) == (advice, variant)
    if variant:
        assert (decided.in_domain.variant, decided.out_of_domain.target) == (variant, OUT_OF_DOMAIN)


def test_a_base_model_or_a_reranker_that_is_better_is_no_reason_to_fine_tune():
    verdicts = {"bm25": "better", "late-random": "better", "full-hard": "worse"}
    assert answer.decide(STUDY, results(verdicts)).advice == "do not"
    assert answer.decide(STUDY, results({"bm25": "better"})) is None


def test_only_variants_of_the_corpus_in_domain_or_its_group_are_candidates():
    tuned = [name for name in STUDY.searchers if name not in ("bm25", "base")]
    assert answer.candidates(STUDY) == tuned and "full-random-mix" in tuned
    corpora = {name: corpus.model_copy(update={"group": "g"}) for name, corpus in STUDY.corpora.items()}
    other = STUDY.report.model_copy(update={"in_domain": OUT_OF_DOMAIN})
    assert answer.candidates(STUDY.model_copy(update={"report": other})) == []
    assert answer.candidates(STUDY.model_copy(update={"report": other, "corpora": corpora})) == tuned


def test_the_sentences_name_change_cost_and_limits():
    both = ["full-hard", "lora-hard"]
    said = words(dict.fromkeys(both, "better"), dict.fromkeys(both, "worse"))
    for sentence in (
        "**Fine-tune:** `full-hard` ranks better than `base`.",
        "RR@10 on in_domain test goes from 0.5000 to 0.5310: +6.2 % (95 % interval +4.2 to +8.2), better.",
        "Out of domain, RR@10 on out_of_domain test goes from 0.5000 to 0.4510: -9.8 %",
        "**It is worse out of domain:** use it for this collection only.",
        "32 steps of 8 triplets and moves 147,456 weights (0.65 % of the model).",
        "on 1,200 queries in 300 clusters: 2 better, 0 worse, 0 no difference, 0 cannot tell.",
        "one seed (13)",
    ):
        assert sentence in said, sentence
    assert words(dict.fromkeys(both, "cannot tell")).startswith("**Cannot tell with 1,200 queries.** `full-hard` comes")
    assert words(dict.fromkeys(both, "worse")).startswith("**Do not fine-tune** in any of the ways tried")
    assert words({}).startswith("**No answer yet:** no fine-tuned retriever has been measured on in_domain test.")
    assert "name a second corpus in `report.out_of_domain`" in words({"full-hard": "better"})


def test_an_interpolation_costs_the_training_of_its_variant_and_seeds_are_said():
    said = words({"full-random-mix": "better"})
    assert "Its weights are then interpolated with those of the base checkpoint." in said
    assert "1 fine-tuned variant (1 of them interpolated)" in said
    seeds = STUDY.model_copy(update={"seeds": [1, 2, 3]})
    found = results({"full-hard": "better"})
    several = markdown.document(answer.paragraphs(seeds, found, LOGS))
    assert "count queries and 3 seeds, so the verdicts are about the recipes" in several and "one seed" not in several


def test_the_best_reranker_is_told_on_its_part_of_the_queries():
    compared = plants.comparison(0.02, queries=100)
    found = [
        *results({"full-hard": "worse"}),
        plants.result("late-random", compared, of=953),
        plants.result("cross-lion", plants.comparison(-0.2, queries=100, verdict="worse"), of=953),
    ]
    *_, last = answer.paragraphs(STUDY, found, LOGS)
    start = (
        "The best of 2 rerankers is `late-random`, which reranks what `base` retrieves. On 100 of the queries, RR@10"
    )
    assert markdown.inline(last).startswith(start)
