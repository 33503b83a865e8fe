"""Words of the page: numbers with a true minus sign, and verdicts with the tone that colours them."""

import re

from stages.evaluation.comparison import BETTER, WORSE
from stages.ledger import claims as ledger
from stages.ledger.checked import words
from stages.ledger.claims import Figure
from stages.reporting.table import NOTHING

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


def amount(figure: Figure | None) -> str:
    """A claim's number, the two ends of a range, or a word, as it is printed; – for none."""
    return NOTHING if figure is None else minus(words(figure))
