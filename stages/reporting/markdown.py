"""Texts and tables as Markdown, as GitHub reads it."""

import re
from collections.abc import Iterable

from stages.reporting.table import Cell, Table
from stages.reporting.text import Heading, Items, Span, Text

Block = Heading | Items | Table | Text | str
SPECIAL = re.compile(r"[\\`*\[\]]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!])|&(?=#?\w+;)")


def document(blocks: Iterable[Block]) -> str:
    """Blocks with an empty line between them; ends with a newline."""
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def table(table: Table) -> str:
    """A table with its notes below; columns of numbers are aligned at the right."""
    rule = ["---:" if right else "---" for right in table.right]
    lines = [[_cell(cell) for cell in line] for line in [table.heads, *table.lines]]
    grid = "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
    return "\n\n".join([grid, *(inline(note) for note in table.notes)]) + "\n"


def inline(cell: Cell) -> str:
    """One line: plain words escaped, spans in their style."""
    if isinstance(cell, Text):
        return "".join(inline(part) for part in cell.parts)
    return _span(cell) if isinstance(cell, Span) else escaped(cell)


def escaped(words: str) -> str:
    """Words with a backslash before what Markdown would read as its own."""
    return SPECIAL.sub(r"\\\g<0>", words)


def _cell(cell: Cell) -> str:
    return inline(cell).replace("|", "\\|").replace("\n", " ")


def _span(span: Span) -> str:
    words = escaped(span.words)
    match span.style:
        case "code":
            return f"`{span.words}`"
        case "strong":
            return f"**{words}**"
        case "em":
            return f"*{words}*"
        case "link":
            return f"[{words}]({span.target})"
        case "anchor":
            return f'<a id="{span.target}"></a>{words}'
        case "picture":
            return f"![{words}]({span.target})"


def _block(block: Block) -> str:
    match block:
        case Heading(words, level):
            return f"{'#' * level} {escaped(words)}"
        case Items(entries):
            return "\n".join(f"- {inline(entry)}" for entry in entries)
        case Table():
            return table(block).rstrip("\n")
        case _:
            return inline(block)
