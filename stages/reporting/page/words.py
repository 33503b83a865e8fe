"""Words of the page: numbers with a true minus sign, and verdicts with the tone that colours them."""

import re

from stages.evaluation.comparison import BETTER, WORSE
from stages.ledger import verdicts

TONES = {
    BETTER: "better",
    WORSE: "worse",
    verdicts.HOLDS: "better",
    **dict.fromkeys(verdicts.AGAINST.values(), "worse"),
}


def minus(words: str) -> str:
    """Words with a minus sign before negative numbers; a range such as 51-200 keeps its hyphen."""
    return re.sub(r"(?<![\w-])-(?=[\d.])", "−", words)


def chip(verdict: str | None) -> dict[str, str]:
    """A verdict's words and its tone."""
    return {"words": verdict or "", "tone": TONES.get(verdict or "", "unclear")}
