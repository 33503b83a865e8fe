"""The picture of transfer: each row's change in domain against its mean change out of domain, and full to LoRA."""
from stages.reporting import plotting

MARKERS = {"trained": "o", "interpolated": "s", "untouched": "D"}
GREY = "0.45"


@plotting.styled
def scatter(found: dict):
    """Rows of stages.transfer as points, an arrow from full fine-tuning to LoRA for each pair of one lesson.

    Both axes are in per cent of the base. Names stand in a column at the right, in the order of the points' heights,
    each joined to its point. Where only some rows are of a pair, a second panel has these alone, on a scale of their
    own. A row without a change on both axes is left out.
    """
    from matplotlib.figure import Figure
    rows = sorted((row for row in found["variants"] if row["variant"] != found["base"] and all(
        row[side] and row[side]["difference %"] is not None for side in ("inside", "outside"))),
        key=lambda row: row["outside"]["difference %"])
    if not rows:
        figure = Figure(figsize=(9, 1.2), layout="constrained")
        said = "No row was measured both in domain and out of it."
        figure.text(0.5, 0.5, said, ha="center", va="center", color="0.3")
        return figure
    names = {row["variant"] for row in rows}
    pairs = [(pair["full"], pair["lora"]) for pair in found["pairs"] if {pair["full"], pair["lora"]} <= names]
    paired = [row for row in rows if any(row["variant"] in pair for pair in pairs)]
    panels = [rows, paired] if 0 < len(paired) < len(rows) else [rows]
    heights = [max(3.4, 0.6 + 0.22 * len(panel)) for panel in panels]
    figure = Figure(figsize=(9, 0.5 + sum(heights)), layout="constrained")
    look = plotting.looks([row["variant"] for row in found["variants"] if row["made"] == "trained"])
    for axes, panel in zip(figure.subplots(len(panels), height_ratios=heights, squeeze=False)[:, 0], panels):
        _panel(axes, panel, pairs, look)
        axes.set_ylabel(f"change of the mean {found['measure']}\nout of domain, %")
    figure.axes[-1].set_xlabel(f"change of {found['measure']} in domain, % of {found['base']}")
    if len(panels) > 1:
        figure.axes[0].set_title("all rows", loc="left")
        figure.axes[1].set_title("full fine-tuning and LoRA of the same lesson, enlarged", loc="left")
    figure.legend(handles=_keys(found, {row["made"] for row in rows}, pairs), loc="outside lower center", ncols=6,
                  handlelength=1.2, columnspacing=1.4)
    return figure


def _panel(axes, rows: list[dict], pairs: list[tuple[str, str]], look: dict) -> None:
    """Some rows, lowest first, with the arrows between them and the lines where nothing changes."""
    places = {row["variant"]: (row["inside"]["difference %"], row["outside"]["difference %"]) for row in rows}
    axes.axhline(0, color="0.2", linewidth=0.8, zorder=1)
    axes.axvline(0, color="0.2", linewidth=0.8, zorder=1)
    for at, row in enumerate(rows):
        _point(axes, row, places[row["variant"]], (at + 0.5) / len(rows), look)
    for full, lora in pairs:
        axes.annotate("", places[lora], places[full], zorder=4, arrowprops={
            "arrowstyle": "-|>", "color": "0.25", "linewidth": 1.1, "shrinkA": 4, "shrinkB": 4})
    axes.plot(0, 0, "+", color="0.1", markersize=9, markeredgewidth=1.6, zorder=5)
    axes.margins(0.08)
    axes.grid(color="0.94", linewidth=0.8)
    axes.set_axisbelow(True)


def _point(axes, row: dict, place: tuple[float, float], height: float, look: dict) -> None:
    """A row's marker, its interval out of domain, and its name at a height (0 to 1) of the right margin."""
    line = look.get(row["variant"], {"color": GREY, "linestyle": "-"})
    if row["outside"]["over"]:
        axes.plot([place[0]] * 2, [row["outside"]["low %"], row["outside"]["high %"]], color=line["color"], linewidth=1,
                  alpha=0.35, zorder=2)
    axes.plot(*place, MARKERS[row["made"]], color=line["color"], markersize=6, markeredgecolor="white",
              markeredgewidth=0.6, zorder=5)
    axes.annotate(f"{row['variant']}{'*' if row['part'] else ''}", place, (1.05, height), textcoords="axes fraction",
                  va="center", color="0.15", arrowprops={
                      "arrowstyle": "-", "linewidth": 0.7, "alpha": 0.6, "shrinkA": 1, "shrinkB": 4,
                      "relpos": (0, 0.5), **line})


def _keys(found: dict, made: set[str], pairs: list) -> list:
    """What the marks of the picture mean."""
    from matplotlib.lines import Line2D
    keys = [Line2D([], [], color=GREY, marker=marker, markersize=6, linestyle="", label=kind)
            for kind, marker in MARKERS.items() if kind in made]
    keys.append(Line2D([], [], color="0.1", marker="+", markersize=8, markeredgewidth=1.6, linestyle="",
                       label=found["base"]))
    keys.append(Line2D([], [], color=GREY, linewidth=1, alpha=0.5, label="interval out of domain"))
    if pairs:
        keys.append(Line2D([], [], color="0.25", marker=">", markersize=5, linewidth=1.2,
                           label="from full to LoRA, same lesson"))
    return keys
