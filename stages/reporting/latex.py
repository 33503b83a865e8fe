"""A table as LaTeX for a paper."""

import re
from collections.abc import Sequence

from stages.reporting.table import Cell
from stages.reporting.text import Span, Text

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "<": "$<$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
STYLES = {"strong": r"\textbf{%s}", "em": r"\emph{%s}", "code": r"\texttt{%s}"}
Line = Sequence[Cell]


def table(
    groups: Sequence[tuple[str, int]], heads: Line, parts: Sequence[Sequence[Line]], caption: Sequence[Cell]
) -> str:
    r"""A table* that needs only \usepackage{booktabs}.

    groups are the titles over the columns after the first, each with how many it spans; parts are lines of cells
    between rules. Columns are aligned at the right but for the first of all and the last of each group.
    """
    columns = "l" + "".join("r" * (width - 1) + "l" for _, width in groups)
    over = " & ".join(["", *(rf"\multicolumn{{{width}}}{{c}}{{{escaped(title)}}}" for title, width in groups)])
    body = "\n\\midrule\n".join("\n".join(_line(line) for line in part) for part in parts)
    return rf"""% needs \usepackage{{booktabs}}
\begin{{table*}}[t]
\centering
\caption{{{" ".join(inline(sentence) for sentence in caption)}}}
\label{{tab:variants}}
\begin{{tabular}}{{{columns}}}
\toprule
{over.lstrip()} \\
{_line(heads)}
\midrule
{body}
\bottomrule
\end{{tabular}}
\end{{table*}}
"""


def inline(cell: Cell) -> str:
    """Words and spans; a link is its words."""
    if isinstance(cell, Text):
        return "".join(inline(part) for part in cell.parts)
    return STYLES.get(cell.style, "%s") % escaped(cell.words) if isinstance(cell, Span) else escaped(cell)


def escaped(text: str) -> str:
    """Plain text; the sign before a number becomes a mathematical one."""
    plain = "".join(SPECIAL.get(sign, sign) for sign in text)
    return re.sub(r"(?<![\w-])([+-])(?=\d)", r"$\1$", plain)


def _line(cells: Line) -> str:
    return " & ".join(inline(cell) for cell in cells) + r" \\"
