"""The papers' claims as the page lists and filters them, after the findings that rest on them."""

from dataclasses import asdict
from typing import Any

from stages.ledger.checked import CheckedClaim, CheckedLedger
from stages.ledger.claims import BESIDE, CAVEAT, CLAIM
from stages.ledger.verdicts import APPLIES, DOES_NOT_APPLY, UNTESTED, VERDICTS
from stages.reporting.page.words import chip, minus
from stages.reporting.table import NOTHING

COUNTED = {CLAIM: "Claims of the papers", BESIDE: "What is said beside the papers", CAVEAT: "Caveats"}


def section(ledger: CheckedLedger) -> dict[str, Any]:
    """The findings, and the claims with what filters need: papers, kinds and verdicts. Counts are of claims,
    until the page is asked for another kind or for a verdict that only caveats have.

    What is not tested yet stands after what is.
    """
    given = [claim.verdict for claim in ledger.claims if claim.kind == CLAIM]
    there = {claim.verdict for claim in ledger.claims}
    ordered = sorted(ledger.claims, key=lambda claim: (claim.paper, claim.verdict == UNTESTED))
    return {
        "papers": ledger.papers,
        "findings": [
            {
                **finding.model_dump(),
                "claims": [{"id": name, "words": verdict} for name, verdict in finding.claims.items()],
            }
            for finding in ledger.findings
        ],
        "claims": [_entry(claim) for claim in ordered],
        "kinds": [kind for kind in (CLAIM, BESIDE, CAVEAT) if any(claim.kind == kind for claim in ledger.claims)],
        "counted": COUNTED,
        "verdicts": [
            {**chip(verdict), "count": given.count(verdict), "of_caveats": verdict in (APPLIES, DOES_NOT_APPLY)}
            for verdict in VERDICTS
            if verdict in there
        ],
    }


def _entry(claim: CheckedClaim) -> dict[str, Any]:
    """A claim with its numbers in words, as the paper prints them."""
    tolerance = minus(" to ".join(f"{end:+g}" for end in claim.tolerance)) if claim.tolerance else None
    numbers = {"stated": minus(claim.stated), "found": minus(claim.obtained or NOTHING), "tolerance": tolerance}
    return {**asdict(claim), **numbers, "verdict": chip(claim.verdict)}
