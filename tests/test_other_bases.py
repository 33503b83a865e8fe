"""Fine-tune, or take another model as it is: which retrievers are other bases, what is compared, and what is said."""

from stages import evaluate
from stages.evaluation import other_bases
from stages.evaluation.results import Result
from stages.reporting import answer, markdown
from stages.reporting import other_bases as words
from tests import plants
from tests.conftest import STUDY
from tests.plants import DEV, IN_DOMAIN, OUT_OF_DOMAIN
from tests.test_answer import LOGS, SIZES, results

PLAIN = STUDY.retrievers["base"]
OTHERS = STUDY.model_copy(
    update={
        "checkpoints": {**STUDY.checkpoints, "small": STUDY.checkpoints["minilm"]},
        "retrievers": {
            **STUDY.retrievers,
            "again": PLAIN,
            "small": PLAIN.model_copy(update={"checkpoint": "small"}),
            "towers": PLAIN.model_copy(update={"checkpoint": "towers"}),
        },
    }
)


def measured(**dev: float) -> list[Result]:
    """full-hard, and retrievers without fine-tuning with these differences from the base on dev."""
    return [
        *results({"full-hard": 0.02, **dev}, {"full-hard": "better"}),
        *(
            plants.result(name, plants.comparison(SIZES["worse"], verdict="worse"), target)
            for name in dev
            for target in (IN_DOMAIN, OUT_OF_DOMAIN)
        ),
    ]


def test_an_other_base_is_of_another_checkpoint_and_ranks_with_weights():
    assert other_bases.named(OTHERS, measured(bm25=0.1, again=0.1)) is None
    found = other_bases.named(OTHERS, measured(bm25=0.1, again=0.1, small=0.01, towers=-0.01))
    assert (found.variant, found.tried, found.asked) == ("small", 2, [("full-hard", "small")])


def test_it_is_compared_with_what_was_chosen_and_told():
    pairs = [plants.pair("full-hard", "small", plants.comparison(0.03, verdict="better"))]
    told = markdown.document(words.answered(OTHERS, measured(small=0.01, towers=0.0), pairs))
    assert told == (
        "The best of 2 other models without fine-tuning is `small`: against `base` -10.0 % (-12.0 to -8.0), worse; out "
        "of domain -10.0 % (-12.0 to -8.0), worse. `full-hard` against it: +6.0 % (+4.0 to +8.0), better.\n"
    )


def test_the_answer_says_that_none_was_measured():
    missing = "No other base checkpoint was measured"
    assert missing in markdown.document(answer.paragraphs(OTHERS, measured(bm25=0.1), LOGS))
    assert missing not in markdown.document(answer.paragraphs(OTHERS, measured(small=0.1), LOGS))


def test_evaluation_compares_the_chosen_variant_with_it():
    variants = {**plants.VARIANTS, "small": {}}
    table = plants.pa.table(plants.per_query(variants))
    found = evaluate.in_pairs(OTHERS, table, measured(small=0.01))
    assert [(pair.variant, pair.against) for pair in found] == [("full-hard", "small")]
    assert found[0].comparison.verdict == "no difference" and DEV not in {pair.target for pair in found}
