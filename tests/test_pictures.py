"""The pictures say what the figures say: signs, gaps, shares and colours, read back from the drawn figure."""
import numpy as np
import pytest

from stages.reporting import plotting


def entry(difference: float, low: float, high: float, **more) -> dict:
    return {"base": 0.5, "difference": difference, "low": low, "high": high, "detectable": 0.02, "queries": 1200,
            "seeds": 1, "by_seed_run": {"pretrained": 0.5 + difference}, "verdict": "cannot tell", **more}


def words(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_bar_has_the_colour_of_its_verdict():
    from matplotlib.colors import to_hex
    rows = ["up", "down", "unclear", "one-cluster", "published"]
    home = {"up": entry(0.05, 0.01, 0.09, verdict="better"), "down": entry(-0.1, -0.15, -0.05, verdict="worse"),
            "unclear": entry(-0.01, -0.03, 0.01), "one-cluster": entry(-0.2, -0.2, -0.2, detectable=None),
            "published": entry(-0.02, -0.03, -0.01, verdict="worse")}
    away = {row: home[row] for row in rows[:4]}
    figure = plotting.degradation(rows, {"here test, RR@10": home, "there test, RR@10": away})
    drawn = [[(round(bar.get_width(), 6), to_hex(bar.get_facecolor())) for bar in axes.patches if bar.get_y() != 0]
             for axes in figure.axes]
    blue, red, grey = (to_hex(colour) for colour in (plotting.BETTER, plotting.WORSE, plotting.UNCLEAR))
    assert drawn[0] == [(10, blue), (-20, red), (-2, grey), (-40, grey), (-4, red)]
    assert drawn[1] == drawn[0][:4]
    said = words(figure)
    assert "−20.0  [−30.0, −10.0]" in said and "−40.0" in said and said.count("no run") == 1 and "±4.0 %" in said
    assert figure.axes[0].get_title(loc="left") == "here test, RR@10, base 0.500\n1,200 queries, one seed"


def test_losses_of_unlike_margins_begin_at_one_and_seeds_are_averaged():
    def log(scale: float, last: float) -> list[dict]:
        return [{"step": 0, "RR@10": 0.8}, *({"step": step, "loss": scale * (17 - step)} for step in range(1, 16)),
                {"step": 16, "loss": scale, "RR@10": last}]
    look = plotting.looks(["small", "large"])
    figure = plotting.curves({"small": [log(0.02, 0.6), log(0.02, 0.7)], "large": [log(2, 0.4)]}, look)
    thick = [[line for line in axes.lines if line.get_linewidth() == 2] for axes in figure.axes]
    for small, large in [thick[0]]:
        assert np.allclose(small.get_ydata(), large.get_ydata()) and small.get_ydata()[0] == 1
        assert small.get_xdata()[0] == 2                         # 16 steps: a running mean over two
    assert [line.get_ydata()[-1] for line in thick[1]] == pytest.approx([0.65, 0.4])
    assert thick[0][0].get_color() == thick[1][0].get_color() == look["small"]["color"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["small, loss 0.31 → 0.03", "large, loss 31 → 3", "untrained, 0.800"]


def test_the_panels_of_a_projection_share_their_limits():
    rng = np.random.default_rng(0)
    points = {"base": rng.normal(size=(20, 2)), "far": rng.normal(size=(20, 2)) + 30}
    figure = plotting.projection(points, {"base": "base", "far": "far"}, plotting.looks(["far"]), "what it is")
    limits = {(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}
    assert len(limits) == 1 and [axes.get_title(loc="left") for axes in figure.axes] == ["base", "far"]
    (left, right), (low, high) = limits.pop()
    everything = np.vstack(list(points.values()))
    assert (everything > [left, low]).all() and (everything < [right, high]).all()


def test_a_study_with_nothing_to_draw_still_has_its_pictures(tmp_path):
    for number, figure in enumerate([plotting.degradation([], {"here test, RR@10": {}}), plotting.curves({}, {}),
                                     plotting.projection({}, {}, {}, "")]):
        plotting.save(figure, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_colours_do_not_repeat_before_the_dash_changes():
    found = plotting.looks([f"row-{number}" for number in range(2 * len(plotting.ROWS))])
    assert len({(look["color"], str(look["linestyle"])) for look in found.values()}) == len(found)
