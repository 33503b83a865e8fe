"""How all pictures look: one style, one palette, a colour for each variant; PNG files of always the same bytes."""

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from stages.evaluation.comparison import BETTER as IS_BETTER
from stages.evaluation.comparison import WORSE as IS_WORSE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150
RC = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.4",
    "xtick.color": "0.3",
    "ytick.color": "0.3",
    "xtick.labelcolor": "0.1",
    "ytick.labelcolor": "0.1",
}
# Okabe and Ito (2008), and Tol's muted scheme (2021): distinct with any colour vision.
BETTER, WORSE, UNCLEAR = "#0072B2", "#D55E00", "0.65"
QUERY, PASSAGE = "#D55E00", "#0072B2"
VARIANTS = ["#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499"]
DASHES = ["-", (0, (4, 1.5)), (0, (1, 1.2))]
P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in this style, whatever matplotlibrc the machine has."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(RC)
            return draw(*args, **kwargs)

    return in_style


@styled
def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG; neither the library's version nor a date is in it."""
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None}, facecolor="white")


def blank(height: float) -> "Figure":
    """A figure of 9 x `height` inches that no window or global state knows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(9, height), layout="constrained")


def notice(sentence: str) -> "Figure":
    """A sentence in place of a picture that has nothing to show."""
    figure = blank(1.2)
    figure.text(0.5, 0.5, fill(sentence, 110), ha="center", va="center", color="0.3")
    return figure


def lines(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """{"color", "linestyle"} for each name, by its position: a colour, and where colours run out a dash."""
    return {
        name: {"color": VARIANTS[number % len(VARIANTS)], "linestyle": DASHES[number // len(VARIANTS) % len(DASHES)]}
        for number, name in enumerate(names)
    }


def of_verdict(verdict: str | None) -> str:
    """The colour of a verdict."""
    return {IS_BETTER: BETTER, IS_WORSE: WORSE}.get(verdict or "", UNCLEAR)
