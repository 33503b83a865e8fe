"""The three pictures of the study, as matplotlib figures 9 inches wide: plain data in, always the same bytes out."""
from functools import wraps
from pathlib import Path

import numpy as np

from stages.evaluation.significance import per_cent

DPI = 150
STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8.5, "legend.frameon": False,
         "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "0.4", "xtick.color": "0.3",
         "ytick.color": "0.3", "xtick.labelcolor": "0.1", "ytick.labelcolor": "0.1"}
# Okabe and Ito (2008), and Tol's muted scheme (2021): told apart with any colour vision.
BETTER, WORSE, UNCLEAR = "#0072B2", "#D55E00", "0.65"
QUERY, PASSAGE = "#D55E00", "#0072B2"
ROWS = ["#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499"]
DASHES = ["-", (0, (4, 1.5)), (0, (1, 1.2))]


def styled(draw):
    """Draw in one style, whatever matplotlibrc the machine has."""
    @wraps(draw)
    def in_style(*args, **kwargs):
        import matplotlib
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return draw(*args, **kwargs)
    return in_style


@styled
def save(figure, path: Path) -> None:
    """Write a figure as PNG; neither the library's version nor a date is in it."""
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None}, facecolor="white")


def looks(rows: list[str]) -> dict[str, dict]:
    """A colour, and where colours run out a dash, for each row by its place; the same in every picture."""
    return {row: {"color": ROWS[place % len(ROWS)], "linestyle": DASHES[place // len(ROWS) % len(DASHES)]}
            for place, row in enumerate(rows)}


@styled
def degradation(rows: list[str], places: dict[str, dict[str, dict]]):
    """Each row's change against the base in per cent of the base's value, one panel a place on one scale.

    places maps a panel's title to row -> entry of results.json (difference, low, high, base, detectable, verdict,
    queries, seeds, by_copy); a row without an entry is said to have none.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    figure = _figure(1.9 + 0.33 * max(2, len(rows)))
    panels = figure.subplots(1, len(places), sharex=True, sharey=True, squeeze=False)[0]
    several = False
    for axes, (title, entries) in zip(panels, places.items()):
        drawn = {row: entry for row, entry in entries.items() if row in rows and entry.get("base")}
        several |= max((entry["seeds"] for entry in drawn.values()), default=1) > 1
        axes.set_title(_heading(title, drawn), loc="left", linespacing=1.4, pad=18)
        _band(axes, drawn)
        for at, row in enumerate(rows):
            if row in drawn:
                _bar(axes, at, drawn[row])
            else:
                axes.text(1.02, at, "no run", transform=axes.get_yaxis_transform(), va="center", color="0.5")
        axes.axvline(0, color="0.2", linewidth=0.8)
        axes.set_xlabel("change against the base, %")
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    keys = [Patch(color=BETTER, label="better"), Patch(color=WORSE, label="worse"),
            Patch(color=UNCLEAR, label="cannot tell, or\nno difference"),
            Line2D([], [], color="0.15", linewidth=1.2, label="interval"),
            Patch(color="0.92", label="below the median\ndetectable change")]
    if several:
        keys.append(Line2D([], [], color="0.15", marker="o", markersize=3, markerfacecolor="white", linestyle="",
                           label="one seed"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), handlelength=1.2, columnspacing=1.4)
    return figure


def _heading(title: str, entries: dict[str, dict]) -> str:
    if not entries:
        return f"{title}\nno row was measured here"
    seeds = max(entry["seeds"] for entry in entries.values())
    some = next(iter(entries.values()))
    return (f"{title}, base {some['base']:.3f}\n{max(entry['queries'] for entry in entries.values()):,} queries, "
            f"{'one seed' if seeds == 1 else f'{seeds} seeds'}")


def _band(axes, entries: dict[str, dict]) -> None:
    sizes = [per_cent(entry, entry["detectable"]) for entry in entries.values() if entry["detectable"] is not None]
    if sizes:
        half = float(np.median(sizes))
        axes.axvspan(-half, half, color="0.92", linewidth=0, zorder=0)
        axes.text(0, 1.01, f"±{half:.1f} %", transform=axes.get_xaxis_transform(), ha="center", va="bottom",
                  fontsize=8, color="0.4")


def _bar(axes, at: int, entry: dict) -> None:
    change, low, high = (per_cent(entry, entry[key]) for key in ("difference", "low", "high"))
    judged = entry["detectable"] is not None
    colour = {"worse": WORSE, "better": BETTER}.get(entry["verdict"], UNCLEAR)
    axes.barh(at, change, height=0.62, color=colour, zorder=2)
    words = f"{change:+.1f}"
    if judged:
        axes.plot([low, high], [at, at], color="0.15", linewidth=1.2, zorder=3)
        words += f"  [{low:+.1f}, {high:+.1f}]"
    if entry["seeds"] > 1:
        seeds = [per_cent(entry, value - entry["base"]) for value in entry["by_seed_run"].values()]
        axes.plot(seeds, [at] * len(seeds), "o", markersize=3, color="0.15", markerfacecolor="white",
                  markeredgewidth=0.7, zorder=4)
    axes.text(1.02, at, words.replace("-", "\N{MINUS SIGN}"), transform=axes.get_yaxis_transform(), va="center",
              fontsize=8.5, color="0.35" if colour == UNCLEAR else colour)


@styled
def curves(logs: dict[str, list[list[dict]]], look: dict[str, dict]):
    """Training loss and validation RR@10 by step; logs maps a row to its copies' logs, as in reports/training.

    Losses of unlike margins share a panel as parts of what they began at: the running mean over an eighth of the
    steps, divided by its first value. The key gives the losses themselves.
    """
    from matplotlib.lines import Line2D
    if not any(logs.values()):
        return _notice("No row of this study is trained.")
    figure = _figure(3.6 + 0.2 * -(-len(logs) // 3))
    left, right = figure.subplots(1, 2, sharex=True)
    keys, starts = [], set()
    for row, copies in logs.items():
        losses = [_running({entry["step"]: entry["loss"] for entry in log if "loss" in entry}) for log in copies]
        losses = [values for values in losses if values]
        scaled = [{step: value / _first(values) for step, value in values.items()} for values in losses
                  if _first(values) > 0]
        watched = [{entry["step"]: entry["RR@10"] for entry in log if "RR@10" in entry} for log in copies]
        watched = [values for values in watched if values]
        starts |= {round(_first(values), 4) for values in watched if 0 in values}
        _lines(left, scaled, look[row], marker="")
        _lines(right, watched, look[row], marker="o")
        span = [np.mean([list(values.values())[end] for values in losses]) for end in (0, -1)] if losses else []
        label = f"{row}, loss {span[0]:.2g} → {span[1]:.2g}" if span else row
        keys.append(Line2D([], [], linewidth=2, **look[row], label=label))
    left.axhline(1, color="0.6", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    left.set_title("training loss, running mean as a share of its first value", loc="left")
    left.set_ylim(bottom=0)
    right.set_title("RR@10 on a fixed sample of validation queries", loc="left")
    for start in sorted(starts):
        right.axhline(start, color="0.3", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    if starts:
        keys.append(Line2D([], [], color="0.3", linewidth=1, linestyle=(0, (4, 3)),
                           label=f"untrained, {', '.join(f'{start:.3f}' for start in sorted(starts))}"))
    else:
        right.text(0.5, 0.5, "not watched: the corpus has no validation queries", transform=right.transAxes,
                   ha="center", color="0.4", fontsize=8.5)
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.grid(axis="y", color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
    if max(len(copies) for copies in logs.values()) > 1:
        keys.append(Line2D([], [], color="0.4", linewidth=0.7, label="one seed (thick: the mean)"))
    figure.legend(handles=keys, loc="outside lower center", ncols=3, handlelength=2.2, columnspacing=1.6)
    return figure


def _running(losses: dict[int, float]) -> dict[int, float]:
    """Running mean over an eighth of the steps, at each window's last step."""
    steps, window = sorted(losses), max(1, len(losses) // 8)
    means = np.convolve([losses[step] for step in steps], np.full(window, 1 / window), "valid") if steps else []
    return dict(zip(steps[window - 1:], means))


def _first(values: dict[int, float]) -> float:
    return values[min(values)]


def _lines(axes, copies: list[dict[int, float]], look: dict, marker: str) -> None:
    """Each copy as a thin line where there are several, and their mean over the steps they share."""
    if not copies:
        return
    for values in copies if len(copies) > 1 else []:
        axes.plot(list(values), list(values.values()), linewidth=0.7, alpha=0.55, **look)
    steps = sorted(set.intersection(*(set(values) for values in copies)))
    few = marker if len(steps) <= 40 else ""
    axes.plot(steps, [np.mean([values[step] for values in copies]) for step in steps], linewidth=2, marker=few,
              markersize=3.5, **look)


@styled
def projection(points: dict[str, np.ndarray], titles: dict[str, str], look: dict[str, dict], line: str):
    """One panel a row, all with the same limits: n queries, their n passages, and a line from each to its own."""
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D
    if not points:
        return _notice("No row of this study has vectors.")
    across = min(4, len(points))
    down = -(-len(points) // across)
    figure = _figure(0.62 + down * (9 / across + 0.3) if across > 2 else 5.6)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    cloud = np.vstack(list(points.values()))
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    centre, reach = (low + high) / 2, 0.54 * (high - low).max()
    for axes in panels[len(points):]:
        axes.remove()
    for axes, (row, place) in zip(panels, points.items()):
        half = len(place) // 2
        axes.add_collection(LineCollection(np.stack([place[:half], place[half:]], axis=1), colors="0.45",
                                           linewidths=0.35, alpha=0.5, zorder=1))
        mixed = np.stack([place[:half], place[half:]], axis=1).reshape(-1, 2)  # in turn: no group hides the other
        axes.scatter(*mixed.T, s=4.5, c=[QUERY, PASSAGE] * half, linewidths=0, alpha=0.85, zorder=2)
        axes.set(xlim=(centre[0] - reach, centre[0] + reach), ylim=(centre[1] - reach, centre[1] + reach),
                 xticks=[], yticks=[], aspect="equal")
        axes.set_title(titles[row], fontsize=8.5, loc="left", linespacing=1.35)
        for side in axes.spines.values():
            side.set(visible=True, color="0.8", linewidth=0.8)
        if row in look:
            axes.spines["top"].set(color=look[row]["color"], linestyle=look[row]["linestyle"], linewidth=3)
    keys = [Line2D([], [], color=QUERY, marker="o", markersize=4, linestyle="", label="query"),
            Line2D([], [], color=PASSAGE, marker="o", markersize=4, linestyle="", label="its relevant passage"),
            Line2D([], [], color="0.45", linewidth=0.8, label="one pair")]
    figure.legend(handles=keys, loc="outside upper left", ncols=3, handlelength=1.2, columnspacing=1.4)
    figure.supxlabel(line, fontsize=8, color="0.25")
    return figure


def _figure(height: float):
    """A figure of 9 x `height` inches that no window or global state knows."""
    from matplotlib.figure import Figure
    return Figure(figsize=(9, height), layout="constrained")


def _notice(sentence: str):
    figure = _figure(1.2)
    figure.text(0.5, 0.5, sentence, ha="center", va="center", color="0.3")
    return figure
