"""Claims with their verdicts as plain data: what each states, what figure was obtained, how, and why the verdict."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from stages.ledger.claims import HOLDS, OPEN, Claim, Figure, Needs, Paper, verdict


@dataclass(frozen=True)
class CheckedClaim:
    """A claim of the ledger with the figure that was obtained for it; `how` and `source` say from what."""

    id: str
    paper: str
    place: str
    rests: str
    says: str
    quantity: str
    expected: float | str | None
    tolerance: tuple[float, float] | None
    sign: str | None
    figure: Figure | None
    verdict: str
    by: str
    why: str
    how: str
    source: str | None
    note: str | None


@dataclass(frozen=True)
class CheckedLedger:
    papers: dict[str, Paper]
    claims: list[CheckedClaim]


def checked(
    name: str, claim: Claim, figure: Figure | None, lacking: str | None, tables: Mapping[str, Any]
) -> CheckedClaim:
    """A claim and its verdict; `lacking` says why there is no figure, tables are the printed ones."""
    given = verdict(claim, figure)
    source = claim.needs.study if claim.needs else None
    return CheckedClaim(
        id=name,
        paper=claim.paper,
        place=claim.place,
        rests=claim.rests,
        says=claim.says,
        quantity=claim.quantity,
        expected=claim.expected,
        tolerance=claim.tolerance,
        sign=claim.sign,
        figure=(_short(figure[0]), _short(figure[1])) if isinstance(figure, tuple) else _short(figure),
        verdict=given,
        by=claim.by,
        why=lacking or _reason(claim, figure, given),
        how=claim.compute or (_needed(claim.needs) if claim.needs else "no check is known"),
        source="; ".join(_sources(claim.compute, tables)) if claim.compute else source,
        note=claim.note,
    )


def as_json(ledger: CheckedLedger) -> str:
    shown = {
        "papers": {name: paper.model_dump() for name, paper in ledger.papers.items()},
        "claims": [asdict(claim) for claim in ledger.claims],
    }
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> CheckedLedger:
    """The claims with their verdicts, from reports/claims.json."""
    return TypeAdapter(CheckedLedger).validate_json(path.read_bytes())


def band(expected: float, tolerance: tuple[float, float] | None, sign: str | None) -> str:
    """What a claim asks of its figure, in words."""
    if sign:
        return "above 0" if sign == "positive" else "below 0"
    below, above = tolerance or (0.0, 0.0)
    least, most = expected + below, expected + above
    if most == least:
        return number(most)
    if number(least) == number(most):
        return f"within {number(max(-below, above))} of {number(expected)}"
    return f"within {number(least)} to {number(most)}"


def number(value: float) -> str:
    """A figure with four significant digits and no power of ten, whole numbers with their thousands separated."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.9f}".rstrip("0").rstrip(".") if abs(value) < 0.001 else f"{value:,.4g}"


def words(figure: Figure) -> str:
    """A figure or a range as it is printed."""
    if isinstance(figure, tuple):
        return f"{number(figure[0])} to {number(figure[1])}"
    return figure if isinstance(figure, str) else number(figure)


def _reason(claim: Claim, figure: Figure | None, given: str) -> str:
    assert figure is not None
    if isinstance(claim.expected, str):
        return f"{figure} where the paper says {claim.expected}"
    within = band(claim.expected or 0.0, claim.tolerance, claim.sign)
    verb = {HOLDS: "is", OPEN: "is only partly"}.get(given, "is not")
    return f"{words(figure)} {verb} {within}"


def _needed(needs: Needs) -> str:
    """The figure that a claim needs, in words."""
    per_cent = ", % of the latter" if needs.figure == "change" else ""
    what = {
        "value": f"{needs.measure} of {needs.variant}",
        "correlation": f"correlation of {needs.geometry} with {needs.measure} over {len(needs.named)} variants",
    }.get(needs.figure, f"{needs.measure} of {needs.variant} minus {needs.against}{per_cent}")
    if needs.measure.startswith("gpu_"):
        return f"{what}, in training"
    where = ", ".join(needs.corpora) if len(needs.corpora) < 4 else f"{len(needs.corpora)} corpora"
    return f"{what} on {where} {needs.split}"


def _sources(expression: str, tables: Mapping[str, Any]) -> list[str]:
    """Where we read the tables that an expression names, in the order in which it names them."""
    named = dict.fromkeys(re.findall(r"\b(P\d|models)\.(\w+)", expression))
    return list(dict.fromkeys(tables[paper][table]["source"] for paper, table in named))


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) and not value.is_integer() else value
