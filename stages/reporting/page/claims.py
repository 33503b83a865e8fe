"""The papers' claims as the page lists and filters them."""

from collections.abc import Mapping
from typing import Any

from stages.ledger import claims as ledger
from stages.reporting.page.words import amount, chip, minus


def section(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of reports/claims.json with what filters need: papers, verdicts, and what claims rest on."""
    claims = []
    for claim in shown["claims"]:
        ends = claim.get("tolerance")
        tolerance = minus(" to ".join(f"{end:+g}" for end in ends)) if ends else None
        numbers = {"expected": amount(claim["expected"]), "found": amount(claim["found"])}
        claims.append({**claim, **numbers, "tolerance": tolerance, "verdict": chip(claim["verdict"])})
    given = [claim["verdict"]["words"] for claim in claims]
    counts = {verdict: given.count(verdict) for verdict in dict.fromkeys([*ledger.VERDICTS, *given])}
    return {
        "papers": shown["papers"],
        "claims": claims,
        "rests": sorted({claim["rests"] for claim in claims}),
        "verdicts": [{**chip(verdict), "count": count} for verdict, count in counts.items()],
    }
