"""The page of transfer says what its figures say, and leaves out what is not there; the picture is always the same."""

import io
from dataclasses import replace

import pytest

from stages.analysis.geometry import Correlation
from stages.analysis.transfer import Domain, OverSets, Part, Transfer, TuningPair, VariantTransfer
from stages.reporting import markdown, style, transfer_picture
from stages.reporting import transfer as pages

BOTH = ["a", "b"]


def side(
    change: float, sets: list[str], over: str | None = "sets", won: int = 0, base: float | None = None
) -> OverSets:
    """A change in per cent of 0.5, one per cent either way."""
    value, ends = 0.5 + change / 200, [(change - 1) / 200, (change + 1) / 200]
    return OverSets(sets, value, 0.5, change / 200, *ends, over, won, base)


def variant(name: str, inside: float | None, outside: float | None, trained: bool = True, **changed) -> VariantTransfer:
    kind = "fine-tuned" if trained else "without fine-tuning"
    entry = VariantTransfer(
        variant=name,
        domain=Domain(kind, "in_domain" if trained else None, "in_domain", BOTH),
        part=None,
        in_domain=None if inside is None else side(inside, ["in_domain"], "queries"),
        out_of_domain=None if outside is None else side(outside, BOTH, won=2),
        changes={"in_domain": inside, "a": outside, "b": outside},
        correlation=None,
    )
    return replace(entry, **changed)


@pytest.fixture
def transfer() -> Transfer:
    return Transfer(
        measure="nDCG@10",
        base="base",
        significance=0.1,
        sets={"in_domain": ["in_domain test"], "a": ["a test"], "b": ["b1 test", "b2 test"]},
        passages={"in_domain": (1000, 3000), "a": (50, 50)},
        similarity={"in_domain": {"in_domain": 1.0, "a": 0.2, "b": 0.6}},
        variants=[
            variant("base", 0.0, 0.0, trained=False),
            variant("full", 8.0, -2.0),
            variant("lora", 5.0, 2.0),
            variant("cross", -4.0, -6.0, part=Part(150, 953)),
            variant("gone", None, None, changes={}),
            variant("published", 3.0, None, trained=False),
        ],
        pairs=[
            TuningPair("full", "lora", side(-3.0, ["in_domain"], won=1, base=0.4), side(4.0, BOTH, won=1, base=0.4))
        ],
    )


def text_of(blocks: list[markdown.Block]) -> str:
    return markdown.document(blocks)


def test_every_figure_has_its_cell(transfer):
    text = text_of(pages.page(transfer, "x.png"))
    for line in (
        "| **full** | in_domain | 0.5400 | +8.0 (+7.0 to +9.0) | 0.4900 | 0.5000 | -2.0 (-3.0 to -1.0) | 2 of 2 |",
        "| **base** | – | 0.5000 |  | 0.5000 |  |  |  |",
        "| **gone** | in_domain | – | – | – | – | – | – |",
        "| **published** | – | 0.5150 | +3.0 (+2.0 to +4.0) | – | – | – | – |",
        "| **cross** | in_domain | 0.4800\\* |",
        "150 of 953",
        "90 % intervals",
        "![Change in domain against change out of domain](x.png)",
        "| variant | in_domain (trained) | b | a |",
        "| *similarity* | 1.00 | 0.60 | 0.20 |",
        "| **full** | +8.0 | -2.0 | -2.0 |",
        "Passages counted, evenly spaced: in_domain: 1,000 of 3,000.",
        "| **lora** against **full** | 0.4850 against 0.5000 | -0.0150 | -3.0 | -3.8 | 0.5200 against 0.5000 "
        "| +0.0200 (+0.0150 to +0.0250) | +4.0 | +5.0 | 1 of 2 |",
        "- b: mean of b1 test, b2 test",
    ):
        assert line in text, line
    assert "one set" not in text and "ρ" not in text and "**gone** |  " not in text


def test_what_is_missing_is_said(transfer):
    assert "No two variants differ only" in text_of(pages.pairs(replace(transfer, pairs=[])))
    assert text_of(pages.forgetting(replace(transfer, similarity={}))) == "The study trains no variant.\n"
    unmeasured = [replace(entry, out_of_domain=None) for entry in transfer.variants]
    alone = replace(transfer, sets={"in_domain": ["in_domain test"]}, variants=unmeasured)
    text = text_of(pages.page(alone, "x.png"))
    assert "measures one set (in_domain)" in text and "|" not in text and "x.png" not in text


def test_a_correlation_and_an_interval_over_queries_are_named(transfer):
    base, full, *rest = transfer.variants
    full = replace(full, correlation=Correlation(-0.61, 0.03, 13), out_of_domain=side(-2.0, ["a"], "queries"))
    changed = replace(transfer, variants=[base, full, *rest])
    assert "| -0.61 (0.03) |" in text_of(pages.forgetting(changed))
    assert "one set: no interval over sets" in text_of(pages.average(changed))


def test_the_picture_shows_each_variant_and_an_arrow_a_pair(transfer):
    figure = transfer_picture.scatter(transfer)
    names = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert names == [["cross*", "full", "lora", ""], ["full", "lora", ""]]  # lowest first; the arrow has no words
    assert len(transfer_picture.scatter(replace(transfer, pairs=[])).axes) == 1
    drawn = io.BytesIO(), io.BytesIO()
    for target in drawn:
        style.save(transfer_picture.scatter(transfer), target)
    assert drawn[0].getvalue() == drawn[1].getvalue()
    empty = transfer_picture.scatter(replace(transfer, variants=transfer.variants[:1], pairs=[]))
    assert not empty.axes and "No variant" in empty.texts[0].get_text()
