"""The papers' claims as the page lists and filters them."""

from dataclasses import asdict
from typing import Any

from stages.ledger.checked import CheckedClaim, CheckedLedger
from stages.ledger.claims import VERDICTS
from stages.reporting.page.words import amount, chip, minus


def section(ledger: CheckedLedger) -> dict[str, Any]:
    """The claims with what filters need: papers, verdicts, and what claims rest on."""
    given = [claim.verdict for claim in ledger.claims]
    return {
        "papers": ledger.papers,
        "claims": [_entry(claim) for claim in ledger.claims],
        "rests": sorted({claim.rests for claim in ledger.claims}),
        "verdicts": [{**chip(verdict), "count": given.count(verdict)} for verdict in VERDICTS],
    }


def _entry(claim: CheckedClaim) -> dict[str, Any]:
    """A claim with its numbers in words: `found` is the figure that was obtained."""
    tolerance = minus(" to ".join(f"{end:+g}" for end in claim.tolerance)) if claim.tolerance else None
    numbers = {"expected": amount(claim.expected), "found": amount(claim.figure), "tolerance": tolerance}
    return {**asdict(claim), **numbers, "verdict": chip(claim.verdict)}
