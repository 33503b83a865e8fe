"""The page of transfer says what its figures say, and leaves out what is not there; the picture is always the same."""
import io

import pytest

from stages.reporting import plotting
from stages.reporting import transfer_page
from stages.reporting import transfer_picture


def side(change: float, sets: list[str], over: str | None = "sets", won: int = 0) -> dict:
    return {"sets": sets, "value": 0.5 + change / 200, "against": 0.5, "difference": change / 200,
            "low": (change - 1) / 200, "high": (change + 1) / 200, "over": over, "won": won, "difference %": change,
            "low %": change - 1, "high %": change + 1}


def row(name: str, inside: float | None, outside: float | None, **changed) -> dict:
    both = ["a", "b"]
    return {"variant": name, "made": "trained", "taught": "in_domain", "in_domain": "in_domain", "others": both, "part": None,
            "inside": None if inside is None else side(inside, ["in_domain"], "queries"),
            "outside": None if outside is None else side(outside, both, won=2),
            "changes": {"in_domain": inside, "a": outside, "b": outside}, "correlation": None} | changed


@pytest.fixture
def found() -> dict:
    compared = {name: {**side(change, sets, won=1), "base": 0.4, "difference % of base": change / 0.8}
                for name, change, sets in (("inside", -3.0, ["in_domain"]), ("outside", 4.0, ["a", "b"]))}
    rows = [row("base", 0.0, 0.0, made="untouched", taught=None), row("full", 8.0, -2.0), row("lora", 5.0, 2.0),
            row("cross", -4.0, -6.0, part={"queries": 150, "of": 953}), row("gone", None, None, changes={}),
            row("published", 3.0, None, made="untouched", taught=None)]
    return {"measure": "nDCG@10", "base": "base", "alpha": 0.1, "variants": rows,
            "sets": {"in_domain": ["in_domain test"], "a": ["a test"], "b": ["b1 test", "b2 test"]},
            "passages": {"in_domain": [1000, 3000], "a": [50, 50]},
            "similarity": {"in_domain": {"in_domain": 1.0, "a": 0.2, "b": 0.6}},
            "pairs": [{"full": "full", "lora": "lora", "in_domain": "in_domain", **compared}]}


def test_every_figure_has_its_cell(found):
    text = transfer_page.page(found, "x.png")
    for line in ("| **full** | home | 0.5400 | +8.0 (+7.0 to +9.0) | 0.4900 | 0.5000 | -2.0 (-3.0 to -1.0) | 2 of 2 |",
                 "| **base** | – | 0.5000 |  | 0.5000 |  |  |  |", "| **gone** | home | – | – | – | – | – | – |",
                 "| **published** | – | 0.5150 | +3.0 (+2.0 to +4.0) | – | – | – | – |",
                 "| **cross** | home | 0.4800* |", "150 of 953", "90 % intervals", "![In-domain", "](x.png)",
                 "| row | home (taught) | b | a |", "| *similarity* | 1.00 | 0.60 | 0.20 |",
                 "| **full** | +8.0 | -2.0 | -2.0 |", "Passages counted, evenly spaced: home: 1,000 of 3,000.",
                 "| **lora** against **full** | 0.4850 against 0.5000 | -0.0150 | -3.0 | -3.8 | 0.5200 against "
                 "0.5000 | +0.0200 (+0.0150 to +0.0250) | +4.0 | +5.0 | 1 of 2 |", "- b: mean of b1 test, b2 test"):
        assert line in text, line
    assert "one set" not in text and "ρ" not in text and "**gone** |  " not in text


def test_what_is_missing_is_said(found):
    assert "No two rows" in transfer_page.pairs(found | {"pairs": []})
    assert transfer_page.forgetting(found | {"similarity": {}}) == "No row of this study was taught.\n"
    alone = found | {"sets": {"in_domain": ["in_domain test"]}, "variants": [entry | {"outside": None} for entry in found["variants"]]}
    said = transfer_page.page(alone, "x.png")
    assert "measures one set (home)" in said and "|" not in said and "x.png" not in said
    found["variants"][1]["correlation"] = {"rho": -0.61, "p": 0.03, "n": 13}
    assert "| -0.61 (0.03) |" in transfer_page.forgetting(found)
    found["variants"][1]["outside"] |= {"over": "queries", "sets": ["a"]}
    assert "one set: no interval over sets" in transfer_page.average(found)


def test_the_picture_shows_each_row_and_an_arrow_a_pair(found):
    figure = transfer_picture.scatter(found)
    said = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert said == [["cross*", "full", "lora", ""], ["full", "lora", ""]]  # lowest first; the arrow has no words
    assert len(transfer_picture.scatter(found | {"pairs": []}).axes) == 1
    drawn = io.BytesIO(), io.BytesIO()
    for target in drawn:
        plotting.save(transfer_picture.scatter(found), target)
    assert drawn[0].getvalue() == drawn[1].getvalue()
    empty = transfer_picture.scatter(found | {"variants": found["variants"][:1], "pairs": []})
    assert not empty.axes and "No row" in empty.texts[0].get_text()
