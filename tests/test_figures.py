"""The pictures say what the figures say: signs, gaps, shares and colours, read back from the drawn figure."""

from dataclasses import replace

import numpy as np
import pytest

from stages.evaluation.results import Result
from stages.reporting import figures, style
from stages.reporting.training_logs import SeedRun, TrainingLog
from tests import plants


def bar(difference: float, low: float, high: float, **changed) -> Result:
    return plants.result("x", plants.comparison(difference, low=low, high=high, **changed))


def test_a_bar_has_the_colour_of_its_verdict():
    from matplotlib.colors import to_hex

    here = {
        "up": bar(0.05, 0.01, 0.09, verdict="better"),
        "down": bar(-0.1, -0.15, -0.05, verdict="worse"),
        "unclear": bar(-0.01, -0.03, 0.01),
        "one-cluster": bar(-0.2, -0.2, -0.2, detectable=None),
        "published": bar(-0.02, -0.03, -0.01, verdict="worse"),
        "base": plants.result("base"),
    }
    names = [name for name in here if name != "base"]
    there = {name: here[name] for name in names[:4]}
    figure = figures.changes(names, {"here test, RR@10": here, "there test, RR@10": there})
    drawn = [
        [(round(bar.get_width(), 6), to_hex(bar.get_facecolor())) for bar in axes.patches if bar.get_height() < 0.8]
        for axes in figure.axes
    ]
    reach = [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches if bar.get_height() > 0.8]
    assert reach == [pytest.approx((-4, 8))] * 4  # one-cluster has none
    blue, red, grey = (to_hex(colour) for colour in (style.BETTER, style.WORSE, style.UNCLEAR))
    assert drawn[0] == [(10, blue), (-20, red), (-2, grey), (-40, grey), (-4, red)]
    assert drawn[1] == drawn[0][:4]
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "−20.0  [−30.0, −10.0]" in words and "−40.0" in words and words.count("no run") == 1
    assert figure.axes[0].get_title(loc="left") == "here test, RR@10, base 0.500\n1,200 queries, one seed"


def test_several_seeds_are_dots_in_per_cent_of_the_base():
    several = replace(bar(0.05, 0.0, 0.1), by_seed_run={"seed-1": 0.5, "seed-2": 0.6})
    figure = figures.changes(["x"], {"here": {"x": several}})
    dots = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert list(dots.get_xdata()) == pytest.approx([0, 20])
    assert figure.axes[0].get_title(loc="left").endswith("2 seeds")
    assert figure.legends[0].get_texts()[-1].get_text() == "one seed"


def log(scale: float, last: float) -> SeedRun:
    losses = [{"step": step, "loss": scale * (17 - step)} for step in range(1, 16)]
    entries = [{"step": 0, "RR@10": 0.8}, *losses, {"step": 16, "loss": scale, "RR@10": last}]
    return SeedRun(1, 16, 1, 1, 1, 1, entries)


def test_validation_is_averaged_over_seeds():
    lines = style.lines(["small", "large", "reranker"])
    logs = {
        "small": [log(0.02, 0.6), log(0.02, 0.7)],
        "large": [log(2, 0.4)],
        "reranker": [SeedRun(1, 1, 1, 1, 1, 1, [])],
    }
    figure = figures.curves({name: TrainingLog(name, runs) for name, runs in logs.items()}, lines)
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() == 2]
    assert [line.get_ydata()[-1] for line in thick] == pytest.approx([0.65, 0.4])
    assert thick[0].get_color() == lines["small"]["color"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["small", "large", "before training, 0.800", "one seed (thick: the mean)"]


def test_the_panels_of_a_projection_share_their_limits():
    rng = np.random.default_rng(0)
    points = {"base": rng.normal(size=(20, 2)), "far": rng.normal(size=(20, 2)) + 30}
    figure = figures.projection(points, {"base": "base", "far": "far"}, style.lines(["far"]), "what it is")
    limits = {(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}
    assert len(limits) == 1 and [axes.get_title(loc="left") for axes in figure.axes] == ["base", "far"]
    (left, right), (low, high) = limits.pop()
    everything = np.vstack(list(points.values()))
    assert (everything > [left, low]).all() and (everything < [right, high]).all()


def test_a_study_with_nothing_to_draw_still_has_its_pictures(tmp_path):
    empty = [figures.changes([], {"here": {}}), figures.curves({}, {}), figures.projection({}, {}, {}, "")]
    for number, figure in enumerate(empty):
        style.save(figure, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_colours_do_not_repeat_before_the_dash_changes():
    lines = style.lines(f"variant-{number}" for number in range(2 * len(style.VARIANTS)))
    assert len({(line["color"], str(line["linestyle"])) for line in lines.values()}) == len(lines)
