"""The project's own Markdown comes back as the words, styles and cells that it was written from."""
from stages.reporting.markdown_parts import parts, plain, spans
from stages.reporting.tables import markdown


def test_styles_nest_and_words_stay():
    found = spans("**Fine-tune: `a_b`.** by *ρ* < 1, see [table](x.md)")
    assert [span["style"] for span in found] == ["strong", "text", "em", "text", "link"]
    assert found[0]["spans"][1] == {"style": "code", "text": "a_b"}
    assert plain(found) == "Fine-tune: a_b. by ρ < 1, see table"


def test_a_table_keeps_its_cells_and_sides():
    lines = [["**a**", "-1.0 (-2.0 to +0.5)"], ["*p*", "0.5"]]
    table, note = parts(markdown(["variant", "value"], lines) + "\nA note\non it.\n")
    assert [plain(cell) for cell in table["lines"][0]] == ["a", "-1.0 (-2.0 to +0.5)"]
    assert table["right"] == [False, True] and plain(note["spans"]) == "A note on it."
    assert parts(markdown(["variant"], []))[0]["lines"] == []


def test_lists_headings_and_pictures():
    found = parts("### Title\n\n- one\n- `two`\n\n![picture](x.png)\n")
    assert [block["kind"] for block in found] == ["heading", "list"] and plain(found[1]["items"][1]) == "two"
