"""What figures say of a claim. A verdict's name says what the claim was held against."""

from collections.abc import Sequence

Expected = float | str
Figure = float | str | tuple[float, float]  # a number, a word, or the two ends of the range that a number lies in

HOLDS, OPEN, UNTESTED = "holds", "cannot tell", "not tested yet"
INCONSISTENT = "inconsistent within its source"
DIFFERS_AUTHORS, DIFFERS_OTHERS = "differs from the authors' code or records", "differs from other sources"
NOT_REPRODUCED = "not reproduced"
APPLIES, DOES_NOT_APPLY = "applies", "does not apply"  # of caveats
OF_CLAIMS = [HOLDS, INCONSISTENT, DIFFERS_AUTHORS, DIFFERS_OTHERS, NOT_REPRODUCED, OPEN, UNTESTED]
VERDICTS = [*OF_CLAIMS, APPLIES, DOES_NOT_APPLY]
AGAINST = {
    "own figures": INCONSISTENT,
    "authors": DIFFERS_AUTHORS,
    "other sources": DIFFERS_OTHERS,
    "library": DIFFERS_OTHERS,
    "runs": NOT_REPRODUCED,
}


def of_one(
    expected: Expected, figure: Figure | None, tolerance: tuple[float, float] | None, sign: str | None, against: str
) -> str:
    """What a figure, or the range that it lies in, says of what is expected.

    All of it within tolerance, or of the sign: it holds. None of it: `against`. Part of it: cannot tell. No figure: not
    tested.
    """
    if figure is None:
        return UNTESTED
    if isinstance(expected, str) or isinstance(figure, str):
        return HOLDS if figure == expected else against
    low, high = figure if isinstance(figure, tuple) else (figure, figure)
    if sign == "either":
        return HOLDS if low > 0 or high < 0 else against if low == high == 0 else OPEN
    if sign:
        upwards = expected > 0 if sign == "as printed" else sign == "positive"
        low, high = (low, high) if upwards else (-high, -low)
        return HOLDS if low > 0 else against if high <= 0 else OPEN
    slack = 1e-9 * max(1.0, abs(expected))  # a figure on the edge is within
    below, above = tolerance or (0.0, 0.0)
    least, most = expected + below - slack, expected + above + slack
    if least <= low and high <= most:
        return HOLDS
    return against if high < least or low > most else OPEN


def together(verdicts: Sequence[str], against: str) -> str:
    """The verdict of a claim from those of its parts: one part against it is enough, and it holds if all do."""
    for verdict in (against, UNTESTED, OPEN):
        if verdict in verdicts:
            return verdict
    return HOLDS


def of_caveat(verdict: str) -> str:
    """A comparison that takes nothing for granted wrongly has no caveat."""
    return {HOLDS: DOES_NOT_APPLY, OPEN: OPEN, UNTESTED: UNTESTED}.get(verdict, APPLIES)
