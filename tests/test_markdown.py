"""Words written as Markdown are read back as the same words, in their styles, cells and lists."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.reporting import markdown
from stages.reporting.table import Table
from stages.reporting.text import Heading, Items, code, em, link, picture, plain, strong, text

SIGNS = st.text("alt1 *_`[]()<>|\\/!+-.#&;~", min_size=1).map(lambda words: f"x{' '.join(words.split())}x")


def read(written: str) -> str:
    """What a Markdown reader makes of it, as HTML."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    return parser.render(written)


def words(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page)).strip()


def test_styles_have_their_marks_and_plain_words_are_escaped():
    sentence = text(strong("Fine-tune:"), " ", code("a_b"), " by ", em("ρ"), " < 1*, see ", link("table", "x.md"))
    assert markdown.inline(sentence) == "**Fine-tune:** `a_b` by *ρ* < 1\\*, see [table](x.md)"
    assert plain(sentence) == "Fine-tune: a_b by ρ < 1*, see table"
    assert markdown.inline(picture("what", "x.png")) == "![what](x.png)"


def test_a_table_aligns_numbers_and_has_its_notes_below():
    table = Table(
        ["variant", "change", "verdict", "none"],
        [["a|b", "-1.0 (-2.0 to +0.5)", "worse", ""], [code("c|d"), "–", "", ""]],
        ["A *note*.", text("And ", strong("another"), ".")],
    )
    assert markdown.table(table) == (
        "| variant | change | verdict | none |\n| --- | ---: | --- | --- |\n"
        "| a\\|b | -1.0 (-2.0 to +0.5) | worse |  |\n| `c\\|d` | – |  |  |\n\n"
        "A \\*note\\*.\n\nAnd **another**.\n"
    )


def test_blocks_have_an_empty_line_between_them():
    blocks = [Heading("Title", 2), "words", Items(("one", text(code("two")))), Table(["a"], [["1"]])]
    assert markdown.document(blocks) == "## Title\n\nwords\n\n- one\n- `two`\n\n| a |\n| ---: |\n| 1 |\n"


@given(SIGNS)
def test_whatever_words_hold_a_reader_sees_the_same_words(sentence):
    assert words(read(markdown.document([sentence]))) == sentence
    assert words(read(markdown.document([text(strong(sentence))]))) == sentence


@given(SIGNS, SIGNS)
def test_whatever_cells_hold_a_table_keeps_them(one, other):
    cells = re.findall(r"<td[^>]*>(.*?)</td>", read(markdown.table(Table(["a", "b"], [[one, other]]))))
    assert [words(cell) for cell in cells] == [one, other]
