"""Claims with their verdicts as plain data: what each states, what was found, how, and why the verdict."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from stages.ledger import verdicts
from stages.ledger.claims import Claim, Finding, Needs, Paper
from stages.ledger.verdicts import HOLDS, OPEN, Expected, Figure


@dataclass(frozen=True)
class CheckedClaim:
    """A claim of the ledger with what was found for it; `how` and `source` say from what.

    stated and obtained are in words, as the paper prints them; expected and figures the numbers, one for each part
    (parts are their names, [""] where there is one). beside is the interval over datasets, of a mean over several.
    """

    id: str
    paper: str
    kind: str
    place: str
    rests: str
    says: str
    quantity: str
    stated: str
    obtained: str | None
    expected: list[Expected]
    tolerance: tuple[float, float] | None
    sign: str | None
    parts: list[str]
    figures: list[Figure | None]
    verdict: str
    by: str
    why: str
    how: str
    source: str | None
    note: str | None
    beside: str | None = None


@dataclass(frozen=True)
class CheckedLedger:
    """findings are those that the verdicts bear out; `stale` counts the others."""

    papers: dict[str, Paper]
    claims: list[CheckedClaim]
    findings: list[Finding]
    stale: int = 0


def checked(
    name: str,
    claim: Claim,
    figures: Sequence[Figure | None],
    lacking: str | None,
    tables: Mapping[str, Any],
    beside: str | None = None,
) -> CheckedClaim:
    """A claim and its verdict; `lacking` says why there are no figures, tables are the printed ones."""
    against = verdicts.AGAINST.get(claim.by, OPEN)
    judged = judge(claim, figures)
    given = verdicts.together(judged, against) if judged else OPEN
    found = [_short(figure) for figure in figures]
    known = [figure for figure in found if figure is not None]
    in_words = ", ".join(words(figure, claim.digits) for figure in known)
    return CheckedClaim(
        id=name,
        paper=claim.paper,
        kind=claim.kind,
        place=claim.place,
        rests=claim.rests,
        says=claim.says,
        quantity=claim.quantity,
        stated=claim.printed or _stated(claim),
        obtained=(claim.obtained or "{}").format(in_words) if known else None,
        expected=claim.expectations,
        tolerance=claim.tolerance,
        sign=claim.sign,
        parts=claim.needs.each if claim.needs else [""] * len(claim.expectations),
        figures=found,
        verdict=verdicts.of_caveat(given) if claim.caveat else given,
        by=claim.by,
        why=lacking or _reason(claim, found, judged),
        how=claim.compute or (needed(claim.needs) if claim.needs else "no check is known"),
        source="; ".join(_sources(claim.compute, tables)) if claim.compute else claim.needs and claim.needs.study,
        note=claim.note,
        beside=beside,
    )


def judge(claim: Claim, figures: Sequence[Figure | None]) -> list[str]:
    """The verdict of each figure, for what is expected of it; none where nobody can tell."""
    if claim.by == "nobody":
        return []
    against = verdicts.AGAINST[claim.by]
    return [
        verdicts.of_one(expected, figure, claim.tolerance, claim.sign, against)
        for expected, figure in zip(claim.expectations, figures, strict=True)
    ]


def ledger(papers: dict[str, Paper], claims: list[CheckedClaim], findings: Sequence[Finding]) -> CheckedLedger:
    """The checked claims, and the findings that their verdicts bear out."""
    given = {claim.id: claim.verdict for claim in claims}
    standing = [one for one in findings if all(given[name] == verdict for name, verdict in one.claims.items())]
    return CheckedLedger(papers, claims, standing, len(findings) - len(standing))


def as_json(ledger: CheckedLedger) -> str:
    shown = {
        "papers": {name: paper.model_dump() for name, paper in ledger.papers.items()},
        "findings": [finding.model_dump() for finding in ledger.findings],
        "stale": ledger.stale,
        "claims": [asdict(claim) for claim in ledger.claims],
    }
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> CheckedLedger:
    """The claims with their verdicts, from reports/claims.json."""
    return TypeAdapter(CheckedLedger).validate_json(path.read_bytes())


def number(value: float, digits: int | None = None) -> str:
    """A figure with four significant digits and no power of ten, whole numbers with their thousands separated.

    With as many decimals as `digits` where those are all that it has, else with one more.
    """
    if digits is not None:
        return f"{value:,.{digits + (abs(value - round(value, digits)) > 1e-9)}f}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.9f}".rstrip("0").rstrip(".") if abs(value) < 0.001 else f"{value:,.4g}"


def words(figure: Figure, digits: int | None = None) -> str:
    """A figure or a range as it is printed."""
    if isinstance(figure, str):
        return figure
    ends = figure if isinstance(figure, tuple) else (figure,)
    return " to ".join(dict.fromkeys(number(end, digits) for end in ends))


def needed(needs: Needs) -> str:
    """What a study has to measure, in words: the part that all have in common is said once."""
    per_cent = " (%)" if needs.figure == "change" else ""
    what = (
        f"correlation of {needs.geometry} with {needs.measure} over {', '.join(needs.variants)}"
        if needs.variants
        else f"{needs.measure}{per_cent} of {', '.join(needs.each)}"
    )
    if needs.measure.startswith("gpu_"):
        return f"{what}, in training"
    where = ", ".join(needs.corpora) if len(needs.corpora) < 4 else f"{len(needs.corpora)} corpora"
    return f"{what} on {where} {needs.split}"


def over_datasets(needs: Needs, intervals: Sequence[tuple[float, float] | None]) -> str | None:
    """The intervals that a difference has if datasets, too, were drawn, in words; None where there are none."""
    known = [words(_short(interval)) for interval in intervals if interval]
    if not known:
        return None
    return f"with the {len(needs.corpora)} datasets taken as a sample of others: {', '.join(known)}"


def _stated(claim: Claim) -> str:
    return ", ".join(words(one, claim.digits) for one in claim.expectations) or "–"


def _reason(claim: Claim, figures: Sequence[Figure | None], judged: list[str]) -> str:
    if len(judged) > 1:
        agree = judged.count(HOLDS)
        return f"{agree} of {len(judged)} {_asked(claim, claim.expectations[0], many=True)}"
    figure, expected = figures[0], claim.expectations[0]
    assert figure is not None
    if isinstance(expected, str):
        return f"{figure}, where the claim is {expected}"
    verb = {HOLDS: "is", OPEN: "is only partly"}.get(judged[0], "is not")
    return f"{words(figure)} {verb} {_asked(claim, expected)}"


def _asked(claim: Claim, expected: Expected, many: bool = False) -> str:
    """What a claim asks of a figure, in words."""
    if isinstance(expected, str):
        return "are as claimed"
    if claim.sign:
        side = {"as printed": "above 0" if expected > 0 else "below 0", "either": "off 0"}.get(claim.sign)
        side = side or ("above 0" if claim.sign == "positive" else "below 0")
        return (
            f"have the sign that is printed ({side})"
            if many and claim.sign == "as printed"
            else (f"are {side}" if many else side)
        )
    below, above = claim.tolerance or (0.0, 0.0)
    if many:
        return (
            "are as printed" if below == above == 0 else f"are within {number(max(-below, above))} of what is printed"
        )
    least, most = expected + below, expected + above
    if most == least:
        return number(most)
    if number(least) == number(most):
        return f"within {number(max(-below, above))} of {number(expected)}"
    return f"within {number(least)} to {number(most)}"


def _sources(expression: str, tables: Mapping[str, Any]) -> list[str]:
    """Where we read the tables that an expression names, in the order in which it names them."""
    named = dict.fromkeys(re.findall(r"\b(P\d|models)\.(\w+)", expression))
    return list(dict.fromkeys(tables[paper][table]["source"] for paper, table in named))


def _short(value: Any) -> Any:
    if isinstance(value, tuple):
        return _short(value[0]), _short(value[1])
    return float(f"{value:.6g}") if isinstance(value, float) and not value.is_integer() else value
