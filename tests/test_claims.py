"""The ledger: printed constants are what the papers print, and verdicts move with what they rest on alone."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stages import claims as verb
from stages.core import yaml_file
from stages.core.errors import UserError
from stages.ledger import checked, claims, quantities
from stages.ledger.checked import CheckedLedger
from stages.ledger.claims import CONTRADICTED, FAILS, HOLDS, OPEN, UNTESTED, Claim, Figure
from tests import plants
from tests.conftest import ROOT

LEDGER, PRINTED = ROOT / "stages/ledger/claims.yaml", ROOT / "stages/ledger/printed_tables.yaml"
BOOK, TABLES = claims.read(LEDGER), yaml_file.load(PRINTED)
COMPUTED = {name: claim for name, claim in BOOK.claims.items() if claim.compute}
NEEDING = {name: claim for name, claim in BOOK.claims.items() if claim.needs}
PRINTED_ALONE = {name: claim for name, claim in COMPUTED.items() if claim.by != "library"}


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {name: computed(claim) for name, claim in COMPUTED.items()}


def computed(claim: Claim, tables: dict[str, Any] = TABLES) -> Figure:
    return quantities.evaluate(str(claim.compute), tables)


def leaves(table: Any, path: tuple = ()) -> list[tuple]:
    """Paths of all figures of the tables."""
    if isinstance(table, dict):
        parts = [(key, part) for key, part in table.items() if key not in ("source", "unit")]
        return [leaf for key, part in parts for leaf in leaves(part, (*path, key))]
    if isinstance(table, list):
        return [leaf for at, part in enumerate(table) for leaf in leaves(part, (*path, at))]
    return [path]


def moved(path: tuple, by: Callable[[Any], Any]) -> dict[str, Any]:
    """The tables with one figure changed."""
    tables = copy.deepcopy(TABLES)
    holder = tables
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = by(holder[path[-1]])
    return tables


def reads(claim: Claim, path: tuple) -> bool:
    """Whether a claim's expression names the table that a figure stands in."""
    return re.search(rf"\b{path[0]}\.{path[1]}\b", str(claim.compute)) is not None


def test_the_constants_are_what_the_papers_print():
    """Figures that anyone can look up, and sums that their sources state."""
    assert TABLES["P1"]["results"]["base"] == {"mrr10": 0.3026, "mrr100": 0.3144}
    assert TABLES["P1"]["change"]["lora_hard"] == -32.3
    assert TABLES["P2"]["main"]["modernbert_lion_2"]["ndcg"] == 0.7225
    assert sum(TABLES["P2"]["code"]["relevant_graded"]) == 4102
    assert TABLES["P3"]["averages"]["asym"]["ft"] == TABLES["P3"]["table11"]["ft"][2] == 37.4
    assert len(quantities.pairs(TABLES["P3"]["averages"])) == 15
    assert all({"source", "unit"} <= set(table) for paper in TABLES.values() for table in paper.values())


def test_verdict_from_a_figure_and_from_a_range():
    claim = COMPUTED["P1.1h"]  # -32.3 within 0.1, from the paper's own figures
    assert {claims.verdict(claim, figure) for figure in (-32.3, -32.2, (-32.4, -32.2))} == {HOLDS}
    assert claims.verdict(claim, -32.19) == claims.verdict(claim, (-40.0, -33.0)) == CONTRADICTED
    assert claims.verdict(claim, (-33.0, -32.3)) == OPEN
    assert claims.verdict(claim.model_copy(update={"by": "other sources"}), -31.5) == FAILS
    assert claims.verdict(COMPUTED["P1.13"], "cosine") == HOLDS and claims.verdict(COMPUTED["P1.13"], "dot") == FAILS
    worse = NEEDING["P1.2c"]  # a direction: nought is none
    assert claims.verdict(worse, (-20.0, -0.1)) == HOLDS and claims.verdict(worse, (-1.0, 0.0)) == OPEN
    assert claims.verdict(worse, (0.0, 0.0)) == claims.verdict(worse, (0.1, 2.0)) == FAILS
    assert claims.verdict(NEEDING["P1.1a"], None) == UNTESTED
    assert claims.verdict(BOOK.claims["P2.12"], None) == OPEN


@pytest.mark.parametrize("name", COMPUTED)
def test_an_expected_value_moves_its_own_verdict(name, figures):
    claim, figure = COMPUTED[name], figures[name]
    against = CONTRADICTED if claim.by == "own figures" else FAILS
    if isinstance(claim.expected, str):
        assert claims.verdict(claim.model_copy(update={"expected": figure}), figure) == HOLDS
        assert claims.verdict(claim.model_copy(update={"expected": "another"}), figure) == against
        return
    low, high = figure if isinstance(figure, tuple) else (figure, figure)
    if claim.sign:
        turned = claim.model_copy(update={"sign": {"positive": "negative", "negative": "positive"}[claim.sign]})
        assert low * high <= 0 or {claims.verdict(claim, figure), claims.verdict(turned, figure)} == {HOLDS, against}
        return
    near = claim.model_copy(update={"expected": (low + high) / 2, "tolerance": (low - high, high - low)})
    far = claim.model_copy(update={"expected": high + 1 - claim.tolerance[0]})
    assert claims.verdict(near, figure) == HOLDS and claims.verdict(far, figure) == against


def test_a_printed_figure_moves_the_verdicts_that_rest_on_it_and_no_other(figures):
    before = {name: claims.verdict(claim, figures[name]) for name, claim in PRINTED_ALONE.items()}
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
                if claims.verdict(claim, figure) != before[name]:
                    flipped.add(name)
    assert felt == set(PRINTED_ALONE)
    assert {name for name in PRINTED_ALONE if before[name] == HOLDS} <= flipped


def test_rounding_of_a_printed_figure_moves_no_verdict(figures):
    """Half a unit of the last printed digit, either way, in any figure that another is recomputed from.

    Claims on printed digits themselves are left out: which differ, which is the highest, whether two are the same.
    """
    on_digits = ("differing", "max(", "sum(", "between(sum(")
    recomputed = {
        name: claim
        for name, claim in PRINTED_ALONE.items()
        if name != "P2.3" and not str(claim.compute).startswith(on_digits)
    }
    for path in leaves(TABLES):
        half = TABLES[path[0]][path[1]]["unit"] / 2
        for by in (half, -half) if half else ():
            tables = moved(path, lambda value, by=by: value + by)
            for name, claim in recomputed.items():
                if reads(claim, path) and not is_printed_side(claim, path):
                    before = claims.verdict(claim, figures[name])
                    assert claims.verdict(claim, computed(claim, tables)) == before, (name, path)


def is_printed_side(claim: Claim, path: tuple) -> bool:
    """Whether a figure is what others are compared with, so that its rounding is the tolerance itself."""
    expression = str(claim.compute)
    compared = expression.startswith("worst(") and expression[len("worst(") :].split("]", 1)[0]
    return bool(compared) and re.search(rf"\b{path[0]}\.{path[1]}\b", compared.split(", [")[0]) is not None


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("    expected: 3.9\n", "", r"claims\.P1\.5: expected is missing"),
        ("rests: abstract", "rests: hearsay", r"claims\.P1\.1a\.rests: "),
        ("    paper: P1\n", "    paper: P9\n", r"claims\.P1\.1a\.paper: there is no paper 'P9'"),
        ("figure: value, variant: base}", "figure: value}", r"claims\.P1\.1a\.needs: value names a variant"),
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
    "name, figure, why",
    [
        ("P1.1h", -32.3, "-32.3 is within -32.4 to -32.2"),
        ("P1.1h", -31.0, "-31 is not within -32.4 to -32.2"),
        ("P1.1h", (-33.0, -32.3), "-33 to -32.3 is only partly within -32.4 to -32.2"),
        ("P1.13", "dot", "dot where the paper says cosine"),
        ("P1.2c", (-20.0, -10.0), "-20 to -10 is below 0"),
        ("P1.2a", 4.0, "4 is 4"),
    ],
)
def test_a_verdict_has_its_reason_in_words(name, figure, why):
    assert checked.checked(name, BOOK.claims[name], figure, None, TABLES).why == why


def test_a_checked_claim_says_how_and_from_what():
    one = checked.checked("P1.2c", NEEDING["P1.2c"], None, "no such corpus", TABLES)
    assert (one.why, one.verdict, one.source) == ("no such corpus", UNTESTED, "studies/papers/2506.18535.yaml")
    assert one.how == "RR@10 of full-random minus base, % of the latter on msmarco dev"
    many = checked.checked("P3.2d", NEEDING["P3.2d"], None, "-", TABLES).how
    assert many == "nDCG@10 of asym-lora minus asym-full on 13 corpora test"
    used = checked.checked("P1.1h", COMPUTED["P1.1h"], -32.25, None, TABLES)
    assert used.how == COMPUTED["P1.1h"].compute and "LaTeX" in str(used.source)


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
    assert computed_here == {name: claims.verdict(claim, figures[name]) for name, claim in COMPUTED.items()}
    page = Path("c.md").read_text()
    assert "| P1 |" in page and "- **P1.1a** MRR@10 of the base: this study has no corpus msmarco. Needs: RR@10" in page
    first = (Path("c.md").read_bytes(), Path("c.json").read_bytes())
    run()
    assert first == (Path("c.md").read_bytes(), Path("c.json").read_bytes())


def test_a_study_that_is_the_papers_judges_its_claims(workspace):
    """The planted study stands for the paper: its own params file, corpora and scales."""
    book = yaml_file.load(LEDGER)
    needs = {"study": "s/params.yaml", "corpora": ["in_domain"], "split": "test", "measure": "RR@10"}
    claim = {key: book["claims"]["P1.1a"][key] for key in ("paper", "place", "rests", "says", "quantity", "by")}
    entries = {
        "A": {
            **claim,
            "expected": 0.45,
            "tolerance": [-0.1, 0.1],
            "needs": {**needs, "figure": "value", "variant": "base"},
        },
        "B": {
            **claim,
            "expected": -5,
            "sign": "negative",
            "needs": {**needs, "figure": "change", "variant": "full-hard", "against": "base"},
        },
    }
    scales = {"s/params.yaml": {"in_domain": {"passages": 50, "queries": {"dev": 40, "test": 40}}}}
    from ruamel.yaml import YAML

    with open("ledger.yaml", "w") as handle:
        YAML().dump({"papers": book["papers"], "scales": scales, "claims": entries}, handle)
    value, change = run(ledger=Path("ledger.yaml"), studies=Path()).claims
    assert value.figure == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5, abs=1e-6) and value.verdict == HOLDS
    assert change.figure == (0, 0) and change.verdict == FAILS  # all variants are planted alike


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
