"""The saturation study's picture: each recipe's change along the ladder of starts, and the values themselves."""
from pathlib import Path

import numpy as np

from stages.reporting import plotting

HEIGHT = 3.6


def draw(found: dict[str, dict], asked: dict, path: Path) -> None:
    """Two panels for each collection that was run; a sentence where none was."""
    ran = {name: collection for name, collection in found.items() if collection["starts"]}
    plotting.save(_figure(ran, asked), path)


@plotting.styled
def _figure(ran: dict[str, dict], asked: dict):
    from matplotlib.figure import Figure
    if not ran:
        figure = Figure(figsize=(9, 1.2), layout="constrained")
        figure.text(0.5, 0.5, "The saturation study has not been run.", ha="center", va="center", color="0.3")
        return figure
    figure = Figure(figsize=(9, HEIGHT * len(ran) + 0.5), layout="constrained")
    panels = figure.subplots(len(ran), 2, squeeze=False)
    look = plotting.looks(list(asked["recipes"]))
    for (left, right), collection in zip(panels, ran.values()):
        _changes(left, collection, asked, look)
        _values(right, collection, asked, look)
    handles, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), columnspacing=1.4)
    return figure


def _changes(axes, collection: dict, asked: dict, look: dict) -> None:
    for number, recipe in enumerate(asked["recipes"]):
        rows = _on_ladder(collection["variants"], recipe, asked["ladder"])
        middle = [row["own"]["difference %"] for row in rows]
        reach = [[abs(row["own"][f"{end} %"] - row["own"]["difference %"]) for row in rows] for end in ("low", "high")]
        places = _dose([row["steps"] for row in rows]) + 0.1 * (number - (len(asked["recipes"]) - 1) / 2)
        axes.errorbar(places, middle, yerr=reach, marker="o", markersize=3.5, linewidth=1.2, capsize=2, **look[recipe])
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_title(f"{collection['title']}:\nchange against the row's own start, % of the base", loc="left")
    _ticks(axes, collection, asked)


def _values(axes, collection: dict, asked: dict, look: dict) -> None:
    starts = [start for start in collection["starts"] if start["level"] in asked["ladder"]]
    axes.plot(_dose([start["steps"] for start in starts]), [start["value"] for start in starts], color="0.15",
              linewidth=2, marker="s", markersize=4, label="the start")
    for recipe, says in asked["recipes"].items():
        rows = _on_ladder(collection["variants"], recipe, asked["ladder"])
        axes.plot(_dose([row["steps"] for row in rows]), [row["value"] for row in rows], marker="o", markersize=3.5,
                  linewidth=1.2, label=says, **look[recipe])
    axes.set_title(f"{collection['measure']} on {collection['split']}", loc="left")
    _ticks(axes, collection, asked)


def _on_ladder(rows: list[dict], recipe: str, ladder: list[str]) -> list[dict]:
    return [row for row in rows if row["recipe"] == recipe and row["level"] in ladder]


def _dose(steps: list[int]) -> np.ndarray:
    return np.log2(1 + np.array(steps, dtype=float))


def _ticks(axes, collection: dict, asked: dict) -> None:
    steps = [start["steps"] for start in collection["starts"] if start["level"] in asked["ladder"]]
    axes.set_xticks(_dose(steps), [f"{count:,}" for count in steps])
    axes.set_xlabel("steps by which the start was taught")
