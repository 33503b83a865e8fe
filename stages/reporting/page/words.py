"""Words of the page: numbers with a true minus sign, and verdicts with the tone that colours them."""

import re
from typing import Any

from stages.evaluation.comparison import BETTER, WORSE
from stages.ledger import claims as ledger

TONES = {
    BETTER: "better",
    WORSE: "worse",
    ledger.HOLDS: "better",
    ledger.FAILS: "worse",
    ledger.CONTRADICTED: "worse",
}


def minus(words: str) -> str:
    """Words with a minus sign before negative numbers; a range such as 51-200 keeps its hyphen."""
    return re.sub(r"(?<![\w-])-(?=[\d.])", "−", words)


def chip(verdict: str | None) -> dict[str, str]:
    """A verdict's words and its tone."""
    return {"words": verdict or "", "tone": TONES.get(verdict or "", "unclear")}


def amount(value: Any) -> str:
    """A claim's number, or the two ends of a range, or a word, as it is printed; – for none."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return " to ".join(amount(end) for end in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return minus(f"{value:,}" if isinstance(value, int) else f"{value:,.4g}")
