"""A few queries before and after fine-tuning, in Markdown; the page has them in a layout of its own."""

from collections.abc import Sequence

from stages.evaluation.examples import Example, Examples, Hit
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, Text, code, em, strong, text

RULE = (
    "They were picked by rule: the query that gained most, the one that lost most, and the one with the median change "
    "of all that changed; of equal ones the first by id. The extremes are not typical."
)
KINDS = {"gain": "The largest gain", "loss": "The largest loss", "middle": "The middle: the median of all changes"}
RELEVANT = "✓"


def blocks(examples: Examples | None) -> list[Block]:
    """A table for each query, both rankings side by side; nothing where no variant was chosen."""
    if examples is None or not examples.shown:
        return []
    found: list[Block] = [
        Heading("Queries before and after", 2),
        text(
            f"Of {examples.queries:,} queries ",
            code(examples.variant),
            f" gains {examples.gained:,} and loses {examples.lost:,} in {measure(examples)}. {RULE} {RELEVANT} is "
            f"judged relevant. {shown_as(examples)}",
        ),
    ]
    for one in examples.shown:
        found += [_said(one), _table(one, examples)]
    return found


def measure(examples: Examples) -> str:
    """The measure and where it was taken."""
    return "{measure} on {corpus} {split}".format(**examples.target)


def shown_as(examples: Examples) -> str:
    """Whose texts are shown, or that ids stand for them."""
    if not examples.texts:
        return "Ids stand for texts, which may be no part of a report; with texts: data/examples.md."
    sources = ", ".join(f"{name} {version[:12]}" for name, version in examples.origin.items())
    return f"Texts are excerpts from {sources}, under their licences."


def rank(number: int) -> str:
    return f"{number:,}" if number else "none"


def ranks(one: Example) -> str:
    """The ranks of the first relevant passage."""
    return f"rank {rank(one.rank_before)} → {rank(one.rank_after)}"


def _said(one: Example) -> Text:
    more = f" (and {one.more} more)" if one.more else ""
    return text(
        strong(f"{KINDS[one.kind]}, {one.change:+.3f}, {ranks(one)}:"),
        " ",
        em(one.text) if one.text else code(one.query),
        f". {RELEVANT} {one.answer_text or one.answer}{more}",
    )


def _table(one: Example, examples: Examples) -> Table:
    depth = max(len(one.before), len(one.after))
    lines: list[list[Cell]] = [[f"{at + 1}", _cell(one.before, at), _cell(one.after, at)] for at in range(depth)]
    return Table(["rank", code(examples.base), code(examples.variant)], lines)


def _cell(hits: Sequence[Hit], at: int) -> Cell:
    if at >= len(hits):
        return NOTHING
    hit = hits[at]
    words = hit.text or hit.passage
    return strong(f"{RELEVANT} {words}") if hit.relevant else words
