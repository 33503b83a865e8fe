"""A table as data, which markdown.py and the page's templates render."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stages.reporting.text import Span, Text, plain

Cell = str | Span | Text
NUMBER = re.compile(r"[-+−±<]? ?\d")
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Column heads, lines of as many cells each, and paragraphs that explain them below."""

    heads: Sequence[Cell]
    lines: Sequence[Sequence[Cell]]
    notes: Sequence[str | Text] = ()

    @property
    def right(self) -> list[bool]:
        """For each column whether it holds numbers, which are aligned at the right."""
        columns = [[plain(line[at]) for line in self.lines] for at in range(len(self.heads))]
        filled = [[cell for cell in column if cell not in ("", NOTHING)] for column in columns]
        return [bool(cells) and all(NUMBER.match(cell) for cell in cells) for cells in filled]
