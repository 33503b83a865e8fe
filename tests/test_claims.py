"""The ledger: printed constants are what the papers print, and verdicts move with what they rest on alone."""

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stages import claims as verb
from stages.core import yaml_file
from stages.core.errors import UserError
from stages.ledger import checked, claims, quantities, verdicts
from stages.ledger.checked import CheckedLedger
from stages.ledger.claims import BESIDE, CAVEAT, CLAIM, Claim
from stages.ledger.verdicts import (
    APPLIES,
    DIFFERS_AUTHORS,
    DIFFERS_OTHERS,
    DOES_NOT_APPLY,
    HOLDS,
    INCONSISTENT,
    NOT_REPRODUCED,
    OPEN,
    UNTESTED,
    Figure,
)
from stages.reporting import claims as reporting
from tests import plants
from tests.conftest import ROOT

SPEAKING = re.compile(r"\d[\d,]*(?:\.\d+)?")
LEDGER, PRINTED = ROOT / "stages/ledger/claims.yaml", ROOT / "stages/ledger/printed_tables.yaml"
BOOK, TABLES = claims.read(LEDGER), yaml_file.load(PRINTED)
COMPUTED = {name: claim for name, claim in BOOK.claims.items() if claim.compute}
NEEDING = {name: claim for name, claim in BOOK.claims.items() if claim.needs}
ASKED = re.compile(r"weights\(|default_|draws_|rate_left_by_")  # functions that ask a library
PRINTED_ALONE = {name: claim for name, claim in COMPUTED.items() if not ASKED.search(str(claim.compute))}
MAJORITIES = {"P2.20", "P3.6a"}  # no single figure can turn what most of many have


@pytest.fixture(scope="module")
def figures() -> dict[str, list[Figure]]:
    return {name: computed(claim) for name, claim in COMPUTED.items()}


def computed(claim: Claim, tables: dict[str, Any] = TABLES) -> list[Figure]:
    return quantities.evaluate(str(claim.compute), tables)


def verdict(claim: Claim, figures: list[Figure | None]) -> str:
    return checked.checked("P9.1", claim, figures, "-", TABLES).verdict


def against(claim: Claim) -> str:
    """What the verdict is if a figure is not what is expected."""
    return APPLIES if claim.caveat else verdicts.AGAINST[claim.by]


def for_it(claim: Claim) -> str:
    return DOES_NOT_APPLY if claim.caveat else HOLDS


def leaves(table: Any, path: tuple = ()) -> list[tuple]:
    """Paths of all figures of the tables."""
    if isinstance(table, dict):
        parts = [(key, part) for key, part in table.items() if key not in ("source", "unit")]
        parts = parts if len(parts) < 40 else parts[::6]
        return [leaf for key, part in parts for leaf in leaves(part, (*path, key))]
    if isinstance(table, list):
        ends = range(len(table)) if len(table) < 12 else (0, len(table) - 1)  # of many figures the ends stand for all
        return [leaf for at in ends for leaf in leaves(table[at], (*path, at))]
    return [path]


def moved(path: tuple, by: Callable[[Any], Any]) -> dict[str, Any]:
    """The tables with one figure changed."""
    paper, table = path[:2]
    changed = copy.deepcopy(TABLES[paper][table])
    holder = changed
    for key in path[2:-1]:
        holder = holder[key]
    holder[path[-1]] = by(holder[path[-1]])
    return {**TABLES, paper: {**TABLES[paper], table: changed}}


def reads(claim: Claim, path: tuple) -> bool:
    """Whether a claim's expression names the table that a figure stands in."""
    return re.search(rf"\b{path[0]}\.{path[1]}\b", str(claim.compute)) is not None


def test_the_constants_are_what_the_papers_print():
    """Figures that anyone can look up, and sums that their sources state."""
    assert TABLES["P1"]["results"]["base"] == {"mrr10": 0.3026, "mrr100": 0.3144}
    assert BOOK.claims["P1.2b"].expectations[-1] == -32.3
    assert TABLES["P2"]["main"]["modernbert_lion_2"]["ndcg"] == 0.7225
    assert sum(TABLES["P2"]["code"]["relevant_graded"]) == 4102
    assert TABLES["P3"]["averages"]["asym"]["ft"] == TABLES["P3"]["table11"]["ft"][2] == 37.4
    assert len(quantities.pairs(TABLES["P3"]["averages"])) == 15
    sets = TABLES["P3"]["sets"]
    for name, row in TABLES["P3"]["averages"].items():
        if name not in ("source", "unit"):
            assert (row["ft"], row["lora"]) == (sets[f"{name}_ft"]["average"], sets[f"{name}_lora"]["average"])
    assert {len(row["figures"]) for row in quantities.pairs(sets)} == {13}
    assert all({"source", "unit"} <= set(table) for paper in TABLES.values() for table in paper.values())


def test_verdict_from_a_figure_and_from_a_range():
    claim = COMPUTED["P1.1i"]  # -32.3 within 0.1, from its own figures
    assert {verdict(claim, [figure]) for figure in (-32.3, -32.2, (-32.4, -32.2))} == {HOLDS}
    assert verdict(claim, [-32.19]) == verdict(claim, [(-40.0, -33.0)]) == INCONSISTENT
    assert verdict(claim, [(-33.0, -32.3)]) == OPEN
    of_metric = COMPUTED["P1.13"]
    assert verdict(of_metric, ["cosine"]) == HOLDS and verdict(of_metric, ["dot"]) == DIFFERS_AUTHORS
    assert verdict(COMPUTED["P1.3"], [55578.0]) == HOLDS and verdict(COMPUTED["P1.3"], [1.0]) == DIFFERS_OTHERS
    assert verdict(COMPUTED["P1.10d"], [1.0]) == DOES_NOT_APPLY and verdict(COMPUTED["P1.10d"], [2.0]) == APPLIES
    either = NEEDING["P1.12c"]
    assert {verdict(either, [ends]) for ends in ((0.1, 0.9), (-0.9, -0.1))} == {HOLDS}
    assert verdict(either, [(-0.1, 0.1)]) == OPEN
    assert verdict(BOOK.claims["P2.12"], []) == OPEN


def test_a_claim_of_several_parts_holds_if_all_do_and_one_against_it_is_enough():
    worse = NEEDING["P1.2c"]  # a direction, four times: nought is none
    below, part, above = (-20.0, -0.1), (-1.0, 0.5), (0.0, 2.0)
    assert verdict(worse, [below] * 4) == HOLDS
    assert verdict(worse, [below, below, part, below]) == OPEN
    assert verdict(worse, [below, part, above, None]) == NOT_REPRODUCED
    assert verdict(worse, [below, None, below, part]) == UNTESTED
    printed = NEEDING["P3.5p"]  # each part its own direction, as printed
    own = [(value - 0.1, value + 0.1) for value in printed.expectations]
    assert verdict(printed, own) == HOLDS and verdict(printed, own[::-1]) == NOT_REPRODUCED


@pytest.mark.parametrize("name", COMPUTED)
def test_an_expected_value_moves_its_own_verdict(name, figures):
    claim, found = COMPUTED[name], figures[name]
    assert len(found) == len(claim.expectations)
    for at, figure in enumerate(found):
        others = [*found[:at], *found[at + 1 :]]
        alone = claim.model_copy(update={"expected": claim.expectations[at]})
        if isinstance(claim.expectations[at], str):
            assert verdict(alone.model_copy(update={"expected": figure}), [figure]) == for_it(claim)
            assert verdict(alone.model_copy(update={"expected": "another"}), [figure]) == against(claim)
            continue
        low, high = figure if isinstance(figure, tuple) else (figure, figure)
        if claim.sign:
            turned = alone.model_copy(update={"sign": {"positive": "negative", "negative": "positive"}[claim.sign]})
            assert low * high <= 0 or {verdict(alone, [figure]), verdict(turned, [figure])} == {
                for_it(claim),
                against(claim),
            }
            continue
        near = alone.model_copy(update={"expected": (low + high) / 2, "tolerance": (low - high, high - low)})
        far = alone.model_copy(update={"expected": high + 1 - claim.tolerance[0]})
        assert verdict(near, [figure]) == for_it(claim) and verdict(far, [figure]) == against(claim)
        moved_one = [*claim.expectations]
        moved_one[at] = far.expected
        assert verdict(claim.model_copy(update={"expected": moved_one}), found) == against(claim), others


def test_what_a_paper_says_is_apart_from_its_thesis_and_from_caveats():
    kinds = {name: claim.kind for name, claim in BOOK.claims.items()}
    assert (kinds["P1.7"], kinds["P1.16"], kinds["P1.1i"], kinds["P1.14b"]) == (CLAIM, BESIDE, BESIDE, CAVEAT)
    for claim in BOOK.claims.values():
        assert (claim.kind == CLAIM) == (
            not claim.caveat and claim.rests not in ("thesis", "authors' code", "secondary source")
        )


def test_a_finding_has_no_figure_that_its_claims_do_not_have():
    assert 12 <= len(BOOK.findings) <= 20 and {finding.paper for finding in BOOK.findings} == set(BOOK.papers)
    for finding in BOOK.findings:
        shown = [
            checked.checked(name, BOOK.claims[name], computed(BOOK.claims[name]), None, TABLES)
            for name in finding.claims
        ]
        words = " ".join(f"{one.says} {one.stated} {one.obtained} {one.quantity} {one.note}" for one in shown)
        known = {number.replace(",", "") for number in SPEAKING.findall(words)}
        said = re.sub(r"(Table|Figure) \d+|[Aa]rXiv v1", "", finding.says)
        for number in SPEAKING.findall(said):
            assert number.replace(",", "") in known, (finding.says, number)


def test_a_printed_figure_moves_the_verdicts_that_rest_on_it_and_no_other(figures):
    before = {name: verdict(claim, figures[name]) for name, claim in PRINTED_ALONE.items()}
    for paper, table in ((paper, table) for paper, tables in TABLES.items() for table in tables):
        without = {**TABLES, paper: {name: known for name, known in TABLES[paper].items() if name != table}}
        for name, claim in PRINTED_ALONE.items():
            if not reads(claim, (paper, table)):
                assert computed(claim, without) == figures[name], f"{name} rests on {paper}.{table}, unnamed"
    flipped, felt = set(), set()
    for path in leaves(TABLES):
        resting = {name: claim for name, claim in PRINTED_ALONE.items() if reads(claim, path)}
        for far in (lambda value: value * 3 + 7, lambda value: value / 3 - 7) if resting else ():
            tables = moved(path, lambda value, far=far: "other" if isinstance(value, str) else far(value))
            for name, claim in resting.items():
                try:
                    figure = computed(claim, tables)
                except ValueError:
                    continue
                if figure != figures[name]:
                    felt.add(name)
                if verdict(claim, figure) != before[name]:
                    flipped.add(name)
    assert felt == set(PRINTED_ALONE)
    assert {name for name in PRINTED_ALONE if before[name] in (HOLDS, DOES_NOT_APPLY)} - MAJORITIES <= flipped


def test_rounding_of_a_printed_figure_moves_no_verdict(figures):
    """Half a unit of the last printed digit, either way, in any figure that another is recomputed from.

    Claims on printed digits themselves are left out: which differ, which is the highest, whether two are the same.
    """
    on_digits = ("differing", "max(", "min(", "sum(", "between(sum(", "[P2.main.")
    recomputed = {name: claim for name, claim in PRINTED_ALONE.items() if not str(claim.compute).startswith(on_digits)}
    turned = set()
    for path in leaves(TABLES):
        half = TABLES[path[0]][path[1]]["unit"] / 2
        for by in (half, -half) if half else ():
            tables = moved(path, lambda value, by=by: value + by)
            for name, claim in recomputed.items():
                if reads(claim, path):
                    before = verdict(claim, figures[name])
                    turned |= {(name, path)} if verdict(claim, computed(claim, tables)) != before else set()
    assert turned == set()


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("    expected: 3.9\n", "", r"claims\.P1\.5: expected is missing"),
        (
            "parts: {base: 0.3026}",
            "parts: {base - bm25: 0.3026}",
            r"claims\.P1\.1a\.needs: parts.base - bm25: a value is",
        ),
        ("claims: {P1.2a: holds,", "claims: {P9.9: holds,", r"findings\.0\.claims: P1 has no claim 'P9\.9'"),
        (
            "claims: {P1.2a: holds,",
            "claims: {P1.2a: fails,",
            r"findings\.0\.claims\.P1\.2a: there is no verdict 'fails'",
        ),
        ("rests: abstract", "rests: hearsay", r"claims\.P1\.1a\.rests: "),
        ("    paper: P1\n", "    paper: P9\n", r"claims\.P1\.1a\.paper: there is no paper 'P9'"),
        (
            "figure: value, parts: {base: 0.3026}}",
            "figure: value}",
            r"claims\.P1\.1a\.needs: value, change and difference",
        ),
        ("by: runs\n", "by: nobody\n", r"claims\.P1\.1a: needs compute, or by: runs and needs"),
        ("    tolerance: [-0.0015, 0.0015]\n", "", r"claims\.P1\.1a: tolerance is missing"),
        ("papers:\n", "papers: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_entry_is_named_in_one_line(tmp_path, old, new, problem):
    path = tmp_path / "claims.yaml"
    path.write_text(LEDGER.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=rf"claims\.yaml: {problem}") as raised:
        claims.read(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name, figures, why",
    [
        ("P1.1i", [-32.3], "-32.3 is within -32.4 to -32.2"),
        ("P1.1i", [-31.0], "-31 is not within -32.4 to -32.2"),
        ("P1.1i", [(-33.0, -32.3)], "-33 to -32.3 is only partly within -32.4 to -32.2"),
        ("P1.13", ["dot"], "dot, where the claim is cosine"),
        ("P1.2c", [(-20.0, -10.0)] * 3 + [(-1.0, 1.0)], "3 of 4 are below 0"),
        ("P1.2a", [4.0], "4 is 4"),
    ],
)
def test_a_verdict_has_its_reason_in_words(name, figures, why):
    assert checked.checked(name, BOOK.claims[name], figures, None, TABLES).why == why


def test_a_checked_claim_says_how_and_from_what():
    one = checked.checked("P1.2c", NEEDING["P1.2c"], [None] * 4, "no such corpus", TABLES)
    assert (one.why, one.verdict, one.source) == ("no such corpus", UNTESTED, "studies/papers/2506.18535.yaml")
    assert one.how.startswith("RR@10 (%) of full-random - base, full-hard - base") and one.how.endswith(
        " on msmarco dev"
    )
    assert one.stated == "-13.5, -16.2, -15.5, -32.3" and one.obtained is None
    many = checked.checked("P3.14b", NEEDING["P3.14b"], [None] * 2, "-", TABLES).how
    assert many == "nDCG@10 of large-full - small-full, large-lora - small-lora on 13 corpora test"
    used = checked.checked("P1.2b", COMPUTED["P1.2b"], computed(COMPUTED["P1.2b"]), None, TABLES)
    assert used.how == COMPUTED["P1.2b"].compute and "LaTeX" in str(used.source)
    assert used.obtained == "-13.45, -16.19, -15.50, -32.25"


def test_figures_are_printed_with_the_papers_decimals():
    assert checked.number(0.205, 4) == "0.2050" and checked.number(-13.4499, 1) == "-13.45"
    assert checked.words((1.0, 2.25), 1) == "1.0 to 2.25" and checked.words((2.0, 2.0)) == "2"


@pytest.mark.parametrize(
    "value, words",
    [(0.00005, "0.00005"), (55578.0, "55,578"), (-32.2538, "-32.25"), (1234.56, "1,235"), (0.5, "0.5"), (0.0, "0")],
)
def test_numbers_have_four_digits_and_no_power_of_ten(value, words):
    assert checked.number(value) == words


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """A folder with a planted study, its corpora and what evaluation left."""
    plants.write_state(tmp_path, plants.per_query(queries=40))
    for corpus in ("in_domain", "out_of_domain"):
        for split in ("dev", "test"):
            plants.write_corpus(tmp_path / "corpora" / corpus, 50, 40, split)
    diagnosis = '{"sample": {%s}, "geometry": {}, "numerical_checks": {}, "correlations": {}}'
    sample = '"corpus": "in_domain", "split": "test", "measure": "RR@10", '
    sample += ", ".join(f'"{key}": 0' for key in ("passages", "neighbours", "norms", "seed", "queries", "pairs"))
    (tmp_path / "diagnosis.json").write_text(diagnosis % sample)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(**changed: Path) -> CheckedLedger:
    options = {
        "ledger": LEDGER,
        "tables": PRINTED,
        "studies": ROOT / "studies/papers",
        "corpora": "corpora",
        "costs": "costs.json",
        "queries": "reports/queries.parquet",
        "diagnosis": "diagnosis.json",
        "page": "c.md",
        "verdicts": "c.json",
        **changed,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = CliRunner().invoke(verb.main, words)
    assert done.exit_code == 0, done.output
    return checked.read(Path("c.json"))


def test_a_small_study_speaks_for_no_paper(workspace, figures):
    ledger = run()
    assert [claim.id for claim in ledger.claims] == list(BOOK.claims) and ledger.papers == BOOK.papers
    assert {claim.verdict for claim in ledger.claims if claim.by == "runs"} == {UNTESTED}
    computed_here = {claim.id: claim.verdict for claim in ledger.claims if claim.id in COMPUTED}
    assert computed_here == {name: verdict(claim, figures[name]) for name, claim in COMPUTED.items()}
    assert ledger.findings == BOOK.findings and ledger.stale == 0
    page = Path("c.md").read_text()
    assert len(page.encode()) < 60_000 and "this study has no corpus msmarco" in page
    for finding in ledger.findings:
        assert finding.says in page
        for name in finding.claims:
            assert f"](#{reporting.target(name)})" in page and f'<a id="{reporting.target(name)}"></a>{name} |' in page
    assert sum(int(cell) for line in reporting.counts(ledger).lines for cell in line[1:]) == sum(
        claim.kind == CLAIM for claim in BOOK.claims.values()
    )
    open_caveats = [claim for claim in ledger.claims if claim.kind == CAVEAT and claim.verdict in (OPEN, UNTESTED)]
    assert len(open_caveats) > 1 and f"and {len(open_caveats)} are open." in page
    one = replace(ledger, claims=[claim for claim in ledger.claims if claim not in open_caveats[1:]])
    assert str(reporting.counted(one)[-1]).endswith("and 1 is open.")
    first = (Path("c.md").read_bytes(), Path("c.json").read_bytes())
    run()
    assert first == (Path("c.md").read_bytes(), Path("c.json").read_bytes())


def test_a_study_that_is_the_papers_judges_its_claims(workspace):
    """The planted study stands for the paper: its own params file, corpora and scales."""
    book = yaml_file.load(LEDGER)
    needs = {"study": "s/params.yaml", "corpora": ["in_domain"], "split": "test", "measure": "RR@10"}
    claim = {key: book["claims"]["P1.1a"][key] for key in ("paper", "place", "rests", "says", "quantity", "by")}
    findings = [{"paper": "P1", "section": "V", "says": "It is so", "claims": {"A": HOLDS, "B": HOLDS}}]
    entries = {
        "A": {
            **claim,
            "tolerance": [-0.1, 0.1],
            "needs": {**needs, "figure": "value", "parts": {"base": 0.45}},
        },
        "B": {
            **claim,
            "sign": "negative",
            "needs": {**needs, "figure": "change", "parts": {"full-hard - base": -5}},
        },
    }
    scales = {"s/params.yaml": {"in_domain": {"passages": 50, "queries": {"dev": 40, "test": 40}}}}
    from ruamel.yaml import YAML

    with open("ledger.yaml", "w") as handle:
        YAML().dump({"papers": book["papers"], "scales": scales, "findings": findings, "claims": entries}, handle)
    ledger = run(ledger=Path("ledger.yaml"), studies=Path())
    value, change = ledger.claims
    assert (
        value.figures == [pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5, abs=1e-6)] and value.verdict == HOLDS
    )
    assert change.figures == [(0, 0)] and change.verdict == NOT_REPRODUCED  # all variants are planted alike
    assert ledger.findings == [] and ledger.stale == 1 and "1 finding is left out" in Path("c.md").read_text()


def test_an_expression_that_does_not_compute_is_an_error_of_one_line(workspace):
    path = workspace / "claims.yaml"
    path.write_text(LEDGER.read_text().replace("compute: change(", "compute: changed(", 1))
    words = ["--ledger", str(path), "--tables", str(PRINTED), "--studies", str(ROOT / "studies/papers")]
    words += ["--corpora", "corpora", "--costs", "costs.json", "--queries", "reports/queries.parquet"]
    words += ["--diagnosis", "diagnosis.json", "--page", "c.md", "--verdicts", "c.json"]
    done = CliRunner().invoke(verb.main, words)
    assert done.exit_code == 1 and re.search(
        r"claims\.yaml: claims\.P1\.\w+\.compute: '.*' does not compute", done.output
    )
    assert not Path("c.md").exists()
