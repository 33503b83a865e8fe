"""The papers' studies as the ones at hand: the printed figures hold, and what is not the paper's judges nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stages import params
from stages.analysis.diagnosis import Diagnosis, Sample
from stages.core import yaml_file
from stages.ledger import claims, full_size, study_figures
from stages.ledger.claims import HOLDS, UNTESTED, Needs, Scale
from tests.conftest import ROOT, STUDY

BOOK = claims.read(ROOT / "stages/ledger/claims.yaml")
TABLES = yaml_file.load(ROOT / "stages/ledger/printed_tables.yaml")
NEEDING = {name: claim for name, claim in BOOK.claims.items() if claim.needs}
P1, P3 = "studies/papers/2506.18535.yaml", "studies/papers/2311.09765.yaml"
ABOUT_P1, ABOUT_P3 = ({name for name, claim in NEEDING.items() if claim.paper == paper} for paper in ("P1", "P3"))
REPORT = STUDY.report.model_copy(update={"resamples": 200})
PRINTED = {
    "base": 0.3026,
    **{f"{kind}full-random": 0.2619 for kind in ("", "coded-", "theirs-")},
    **{f"{kind}full-hard": 0.2536 for kind in ("", "coded-", "theirs-")},
    **{f"{kind}lora-random": 0.2557 for kind in ("", "coded-", "theirs-")},
    **{f"{kind}lora-hard": 0.2050 for kind in ("", "coded-", "theirs-")},
}
NOTHING = Diagnosis(Sample("msmarco", "dev", "RR@10", 0, 0, 0, 0, 0, 0), {}, {}, {})
# The flatter, the worse, as the paper has it; variants with equal figures are set apart by a little.
SPACES = Diagnosis(
    NOTHING.sample,
    {name: {"effective_rank": 1000 * value + at / 100} for at, (name, value) in enumerate(PRINTED.items())},
    {},
    {},
)


def needs(name: str) -> Needs:
    found = NEEDING[name].needs
    assert found
    return found


def table(variant: str, corpus: str, split: str, **values: np.ndarray) -> pa.Table:
    """Per-query values of one seed run."""
    ids = [f"{at:05}" for at in range(len(next(iter(values.values()))))]
    names = {"variant": variant, "seed_run": "seed-42", "corpus": corpus, "split": split}
    columns = {name: [value] * len(ids) for name, value in names.items()}
    return pa.table({**columns, "query_id": ids, "cluster": ids, **values})


@pytest.fixture(scope="module")
def first() -> tuple[params.Study, dict[str, Scale]]:
    """The first paper's study, and its corpus as large as in the paper."""
    return params.load(ROOT / P1), {"msmarco": BOOK.scales[P1]["msmarco"]}


def with_means(means: dict[str, float], queries: int = 400) -> pa.Table:
    """Variants on msmarco dev whose RR@10 and RR@100 have these means, with little noise between them."""
    noise, rng = np.tile([-0.01, 0.01], queries // 2), np.random.default_rng(1)
    parts = []
    for variant, mean in means.items():
        values = {"RR@10": mean + rng.permutation(noise), "RR@100": mean + 0.0118 + rng.permutation(noise)}
        parts.append(table(variant, "msmarco", "dev", **values))
    return pa.concat_tables(parts).combine_chunks()


def verdicts(study: params.Study, paper: params.Study, sizes: dict[str, Scale], values: pa.Table) -> dict[str, str]:
    """Claim -> its verdict, where only the first paper's study is written."""
    given = {}
    for name, claim in NEEDING.items():
        needed, other, figure = needs(name), paper if needs(name).study == P1 else None, None
        if not full_size.missing(needed, study, other, sizes, BOOK.scales[needed.study]):
            figure = study_figures.figure(needed, values, SPACES, [], REPORT)
        given[name] = claims.verdict(claim, figure)
    return given


@pytest.fixture(scope="module")
def given(first) -> dict[str, str]:
    """The verdicts of the figures as they are printed."""
    study, sizes = first
    return verdicts(study, study, sizes, with_means(PRINTED))


def test_at_full_size_the_printed_figures_hold(given):
    assert {name for name, verdict in given.items() if verdict == HOLDS} == ABOUT_P1
    assert {given[name] for name in given.keys() - ABOUT_P1} == {UNTESTED}


@pytest.mark.parametrize("variant", PRINTED)
def test_at_full_size_a_value_moves_the_claims_that_need_it_and_no_other(first, given, variant):
    study, sizes = first
    before = given
    after = verdicts(study, study, sizes, with_means(PRINTED | {variant: 0.9}))
    resting = {name for name in ABOUT_P1 if variant in needs(name).named}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= resting
    # A variant far better than all still has others worse than it; one in nine leaves a correlation as it is.
    still = {name for name in resting if NEEDING[name].sign == "negative" and needs(name).against == variant}
    assert resting - changed <= still | {"P1.12c"}


def changed(study: params.Study, block: str, name: str, **values: Any) -> params.Study:
    """A study with other values in one entry of a block."""
    entries = getattr(study, block)
    return study.model_copy(update={block: {**entries, name: entries[name].model_copy(update=values)}})


@pytest.mark.parametrize(
    "change, sizes, reason",
    [
        (lambda study: study, Scale(passages=1707, queries={"dev": 55578}), "1,707 passages"),
        (lambda study: study, Scale(passages=8841823, queries={"dev": 6980}), "6,980 queries"),
        (lambda study: changed(study, "corpora", "msmarco", source="beir:../mine"), None, "source differs"),
        (lambda study: changed(study, "corpora", "msmarco", tokens=16), None, "tokens differs"),
        (
            lambda study: study.model_copy(update={"index": study.index.model_copy(update={"precision": "bfloat16"})}),
            None,
            "encodes in bfloat16",
        ),
        (lambda study: changed(study, "retrievers", "base", checkpoint="contriever"), None, "miner differs"),
        (lambda study: changed(study, "tunings", "lora", rank=8), None, "tuning differs"),
        (lambda study: changed(study, "recipes", "printed", batch=64), None, "recipe differs"),
        (lambda study: changed(study, "pools", "base", depth=100), None, "pool differs"),
    ],
)
def test_a_study_that_is_not_the_papers_judges_nothing(
    first, change: Callable[[params.Study], params.Study], sizes: Scale | None, reason: str
):
    paper, whole = first
    here = whole if sizes is None else {"msmarco": sizes}
    lacking = full_size.missing(needs("P1.2i"), change(paper), paper, here, BOOK.scales[P1])
    assert lacking is not None and reason in lacking


def test_what_is_lacking_is_named(first):
    paper, sizes = first
    without = paper.model_copy(update={"retrievers": {"bm25": paper.retrievers["bm25"]}})
    missing = full_size.missing
    assert missing(needs("P1.2i"), without, paper, sizes, BOOK.scales[P1]) == "this study has no variant lora-hard"
    assert missing(needs("P1.2i"), paper, without, sizes, BOOK.scales[P1]) == f"{P1} has no variant lora-hard"
    assert missing(needs("P1.2i"), paper, None, sizes, BOOK.scales[P1]) == f"{P1} is not written yet"
    assert missing(needs("P1.2i"), paper, paper, {}, BOOK.scales[P1]) == "msmarco is not on disk"
    assert missing(needs("P1.2i"), paper, paper, sizes, {}) == "the ledger does not say how large msmarco is"
    assert missing(needs("P1.2i"), STUDY, paper, sizes, BOOK.scales[P1]) == "this study has no corpus msmarco"


def test_a_released_checkpoint_is_known_by_its_name(first):
    paper, sizes = first
    released, scales = paper.checkpoints["theirs-lora-hard"], BOOK.scales[P1]
    pinned = released.source.replace("@main", "@" + "a" * 40)
    named = changed(paper, "checkpoints", "theirs-lora-hard", source=pinned, sha256="b" * 64)
    assert full_size.missing(needs("P1.1f"), named, paper, sizes, scales) is None
    another = changed(paper, "checkpoints", "theirs-lora-hard", source="hub:somebody/else@" + "a" * 40)
    assert "checkpoint differs" in str(full_size.missing(needs("P1.1f"), another, paper, sizes, scales))


def test_a_cost_is_a_range_over_seed_runs_that_were_not_interrupted():
    needed = needs("P2.16f")
    one, other = needed.variant, needed.against

    def figures(name: str, value: float, resumed: bool = False) -> dict[str, Any]:
        return {"stage": "train", "name": name, "resumed": resumed, needed.measure: value}

    costs = [figures(f"{one}.seed-{seed}", value) for seed, value in ((1, 60), (2, 66))]
    costs += [figures(f"{other}.seed-{seed}", value) for seed, value in ((1, 60), (2, 50))]
    costs += [figures(f"{one}.seed-3", 600, resumed=True), figures(f"{one}-x.seed-1", 600)]
    figure = study_figures.figure(needed, pa.table({}), NOTHING, costs, REPORT)
    assert figure == (pytest.approx(0), pytest.approx(32))
    assert study_figures.figure(needed, pa.table({}), NOTHING, costs[1:], REPORT) is None  # one says nothing


def test_a_correlation_needs_the_spaces_of_all_variants_on_that_corpus():
    needed, values = needs("P1.12c"), with_means(PRINTED)
    low, high = study_figures.figure(needed, values, SPACES, [], REPORT)
    assert 0 < low < high < 1
    assert study_figures.figure(needed, values, NOTHING, [], REPORT) is None
    elsewhere = Diagnosis(Sample("mine", "dev", "RR@10", 0, 0, 0, 0, 0, 0), SPACES.geometry, {}, {})
    assert study_figures.figure(needed, values, elsewhere, [], REPORT) is None


def test_what_was_not_measured_has_no_figure():
    values = with_means({name: value for name, value in PRINTED.items() if name != "base"})
    assert study_figures.figure(needs("P1.1a"), values, NOTHING, [], REPORT) is None
    assert study_figures.figure(needs("P1.2i"), values, NOTHING, [], REPORT) is None


# The settings of the third paper's tables -> the variants of its study, by tuning.
SETTINGS = {
    "asym": "asym-{}",
    "asym_hard": "asym-{}-hard",
    "sym": "sym-{}",
    "sym_hard": "sym-{}-hard",
    "bert_large": "large-{}",
    "bert_large_hard": "large-{}-hard",
    "roberta_large": "roberta-{}",
    "roberta_large_hard": "roberta-{}-hard",
    "colbert": "late-{}",
    "contriever": "contriever-{}",
    "bert_small": "small-{}",
    "bert_medium": "medium-{}",
    "nq_asym": "nq-asym-{}",
    "nq_sym": "nq-sym-{}",
    "nq_colbert": "nq-late-{}",
    "dpr": "nq-asym-{}-dpr",
    "bm25": "nq-asym-{}-bm25",
    "bert_dpr": "nq-large-{}-dpr",
    "bert": "nq-large-{}",
    "roberta_dpr": "nq-roberta-{}-dpr",
    "roberta": "nq-roberta-{}",
}


def printed_by_p3() -> dict[str, tuple[float, float]]:
    """Variant -> mean nDCG@10 x 100 out of and in domain, as the paper prints them; one rate's are not printed."""
    of = TABLES["P3"]
    printed = {"asym-lora-slow": (38.0, 29.2)}
    for setting, variant in SETTINGS.items():
        figures = next(of[name][setting] for name in ("averages", "nq_negatives", "nq_large") if setting in of[name])
        for tuning, key in (("full", "ft"), ("lora", "lora")):
            printed[variant.format(tuning)] = (figures[key], figures[f"{key}_in"])
    batches = ((of["batch"], "asym-lora"), (of["nq_batch"]["ft"], "nq-asym-full"))
    for tables, name in (*batches, (of["nq_batch"]["lora"], "nq-asym-lora")):
        for size, *figures in zip(("", "-2b", "-4b"), tables["out_of_domain"], tables["in_domain"], strict=False):
            printed[f"{name}{size}"] = (figures[0], figures[1])
    return printed


@pytest.fixture(scope="module")
def third() -> tuple[params.Study, dict[str, Scale], list[str]]:
    """The third paper's study, its collections' sizes, and its 13 sets beside MS MARCO."""
    scales = BOOK.scales[P3]
    return params.load(ROOT / P3), dict(scales), [name for name in scales if name not in ("msmarco", "nq-train")]


def by_set(third, printed: dict[str, tuple[float, float]]) -> pa.Table:
    """Per-query values of variants on all sets, so that the means out of and in domain are as printed."""
    study, _, sets = third
    rng, parts = np.random.default_rng(2), []
    for variant, (out_of_domain, in_domain) in printed.items():
        own = "nq" if study.trained_on(variant) == "nq-train" else "msmarco"
        apart = rng.normal(0, 0.0002, len(sets))
        others = [name for name in ("msmarco", *sets) if name != own]
        means = dict(zip(others, out_of_domain / 100 + apart - apart.mean(), strict=True)) | {own: in_domain / 100}
        for corpus in ("msmarco", *sets):
            values = means[corpus] + rng.permutation(np.tile([-0.001, 0.001], 5))
            split = "dev" if corpus == "msmarco" else "test"
            parts.append(table(variant, corpus, split, **{"nDCG@10": values}))
    return pa.concat_tables(parts).combine_chunks()


def verdicts_of_p3(third, values: pa.Table) -> dict[str, str]:
    study, sizes, _ = third
    given = {}
    for name in sorted(ABOUT_P3):
        assert full_size.missing(needs(name), study, study, sizes, BOOK.scales[P3]) is None, name
        figure = study_figures.figure(needs(name), values, NOTHING, [], REPORT)
        given[name] = claims.verdict(NEEDING[name], figure)
    return given


def test_at_full_size_the_third_papers_figures_hold_and_move_only_what_names_their_variant(third):
    printed = printed_by_p3()
    assert {variant for name in ABOUT_P3 for variant in needs(name).named} == set(printed)
    before = verdicts_of_p3(third, by_set(third, printed))
    assert set(before.values()) == {HOLDS}
    far = ("asym-lora", "sym-full-hard", "nq-asym-full")  # no claim compares two of them
    after = verdicts_of_p3(third, by_set(third, printed | dict.fromkeys(far, (90.0, 90.0))))
    resting = {name for name in ABOUT_P3 if {*far} & {*needs(name).named}}
    signs = {name: "positive" if needs(name).variant in far else "negative" for name in resting}
    still = {name for name in resting if NEEDING[name].sign == signs[name]}
    assert {name for name in before if before[name] != after[name]} == resting - still


@pytest.mark.parametrize(
    "claim, change, reason",
    [
        (
            "P3.2d",
            lambda blocks: blocks["corpora"]["msmarco"].update(source="irds:mine"),
            "msmarco is not the paper's: source differs",
        ),
        (
            "P3.2d",
            lambda blocks: blocks["corpora"]["fiqa"].update(tokens=64),
            "fiqa test is not the paper's: tokens",
        ),
        (
            "P3.2d",
            lambda blocks: blocks["checkpoints"]["bert-asym"].update(pooling="mean"),
            "variant asym-lora is not that of",
        ),
        ("P3.2d", lambda blocks: blocks["lora"].update(rank=7), "tuning differs"),
        ("P3.2s", lambda blocks: blocks["pools"]["nq-bm25"].update(depth=200), "miner differs"),
        ("P3.2l", lambda blocks: blocks["rerank"].update(depth=100), "depth differs"),
        ("P3.2l", lambda blocks: blocks["rerank"].update(precision="bfloat16"), "reranks in bfloat16"),
    ],
)
def test_a_study_that_is_not_the_third_papers_judges_nothing(third, claim, change, reason):
    paper, sizes, _ = third
    blocks = yaml_file.load(ROOT / P3)
    change(blocks)
    lacking = full_size.missing(needs(claim), params.parse(blocks), paper, sizes, BOOK.scales[P3])
    assert lacking is not None and reason in lacking


def test_passages_without_text_may_be_lacking_and_no_others(third):
    study, sizes, _ = third
    needed, scales = needs("P3.2p"), BOOK.scales[P3]

    def lacking(corpus: str, passages: int) -> str | None:
        other = sizes[corpus].model_copy(update={"passages": passages})
        return full_size.missing(needed, study, study, sizes | {corpus: other}, scales)

    assert lacking("fiqa", 57638 - 38) is None
    assert "fiqa test has 50,000 passages" in str(lacking("fiqa", 50000))
    assert "nq-train has 21,015,325 passages" in str(lacking("nq-train", 21015325))
    without = {name: size for name, size in sizes.items() if name != "nq-train"}
    assert full_size.missing(needed, study, study, without, scales) == "nq-train is not on disk"
