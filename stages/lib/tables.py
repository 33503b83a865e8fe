"""The report's tables as Markdown, from results that are already computed."""
from stages.lib.comparing import per_cent


def degradation(entries: list[dict], report, rows: dict, seeds: list[int]) -> str:
    """The first table: each row's primary measure, its change against the base with an interval, in and out of domain.

    Change and interval are in per cent of the base's value; better / worse / equal count queries.
    """
    places = [place for place in (report.primary, report.outside) if place]
    heads = ["row", "start", "tune", "triplets", "fit"]
    for place in places:
        heads += [f"{place.measure} {place.corpus} {place.split}", "change", "95 % interval", "better / worse / equal"]
    lines = []
    for row, names in rows.items():
        line = [f"**{row}**", names.start, names.tune, names.triplets, names.fit]
        for place in places:
            line += _against_base(_find(entries, row, place.corpus, place.split, place.measure), row == report.base)
        lines.append(line)
    note = (f"{_seeds(seeds)} Change is in per cent of `{report.base}`; the interval is a bootstrap over clusters of "
            f"queries, which says how far the queries could be chance, not how far the seed could.")
    return f"{markdown(heads, lines)}\n{note} {_detectable(entries, report)}\n"


def measures(entries: list[dict], corpora: dict, rows: dict, names: list[str]) -> str:
    """One table for each corpus and split: rows by measures, spread over seeds where there are several."""
    parts = []
    for corpus, collection in corpora.items():
        for split, rules in collection.judged.items():
            lines = []
            for row in rows:
                found = [_find(entries, row, corpus, split, name) for name in names]
                if any(found):
                    lines.append([row, *(_value(entry) for entry in found)])
            parts.append(f"### {corpus} {split}\n\nRelevant from grade {rules.rel}.\n\n{markdown(['row', *names], lines)}")
    return "\n".join(parts)


def training(logs: dict[str, dict], rows: dict) -> str:
    """What each trained row moved and how its loss and validation went, one line a seed."""
    lines = []
    for row, log in logs.items():
        for copy in log["copies"]:
            losses = [entry["loss"] for entry in copy["log"] if "loss" in entry]
            watched = [entry["RR@10"] for entry in copy["log"] if "RR@10" in entry]
            lines.append([row, copy["seed"], copy["steps"], f"{copy['trainable']:,}",
                          f"{100 * copy['trainable'] / copy['total']:.3f}", f"{copy['changed']} of {copy['tensors']}",
                          f"{losses[0]:.3f}", f"{losses[-1]:.3f}", *([f"{value:.3f}" for value in
                          (watched[0], max(watched), watched[-1])] if watched else ["–"] * 3)])
    heads = ["row", "seed", "steps", "weights trained", "% of all", "tensors changed", "first loss", "last loss",
             "validation RR@10 before", "best", "after"]
    return markdown(heads, lines) + "\nValidation is a small fixed sample: it shows when a fall begins, not its size.\n"


def space(projection: dict) -> str:
    """The figures that stand beside the projection."""
    if not projection["rows"]:
        return "No row has vectors.\n"
    heads = list(next(iter(projection["rows"].values())))
    lines = [[row, *(figures[head] for head in heads)] for row, figures in projection["rows"].items()]
    return markdown(["row", *(head.replace("_", " ") for head in heads)], lines)


def collections(cards: dict[str, dict]) -> str:
    """Sizes of each corpus and what was left out of it."""
    lines, told = [], []
    for corpus, card in cards.items():
        for split, figures in card["splits"].items():
            lines.append([corpus, f"{card['documents']:,}", split, f"{figures['queries']:,}",
                          f"{figures['judgments']:,}", f"{figures['clusters']:,}"])
        for kind in ("dropped", "noted"):
            told += [f"- {corpus}, {kind}: {reason}: {count:,}" for reason, count in card[kind].items() if count]
        told.append(f"- {corpus}, read from: " + ", ".join(f"{name} {what[:12]}" for name, what in
                                                           card["origin"].items()))
    return markdown(["corpus", "passages", "split", "queries", "judgments", "clusters"], lines) + "\n" + \
        "\n".join(told) + "\n"


def costs(figures: list[dict]) -> str:
    """Every recorded figure, one line a stage and name."""
    lines = [[entry.pop("stage"), entry.pop("name"), ", ".join(f"{key} {value}" for key, value in entry.items())]
             for entry in (dict(figure) for figure in figures)]
    return markdown(["stage", "of", "figures"], lines)


def markdown(heads: list[str], lines: list[list]) -> str:
    """A Markdown table; numbers are right-aligned by their column's last entry."""
    right = [lines and not str(lines[-1][at]).strip("*")[:1].isalpha() for at in range(len(heads))]
    rule = ["---:" if flag else "---" for flag in right]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in [heads, rule, *lines])


def _find(entries: list[dict], row: str, corpus: str, split: str, measure: str) -> dict | None:
    return next((entry for entry in entries if (entry["row"], entry["corpus"], entry["split"], entry["measure"]) ==
                 (row, corpus, split, measure)), None)


def _against_base(entry: dict | None, is_base: bool) -> list[str]:
    if entry is None:
        return ["–"] * 4
    if is_base:
        return [_value(entry), "", "", ""]
    low, difference, high = (per_cent(entry, entry[key]) for key in ("low", "difference", "high"))
    return [_value(entry), f"{difference:+.1f} %", f"{low:+.1f} to {high:+.1f}",
            f"{entry['better']} / {entry['worse']} / {entry['equal']}"]


def _value(entry: dict | None) -> str:
    if entry is None:
        return "–"
    return f"{entry['value']:.4f}" + (f" ± {entry['spread']:.4f}" if entry["spread"] is not None else "")


def _seeds(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"One seed ({seeds[0]}): another could move a trained row by some points either way."
    return f"Trained rows: mean ± standard deviation over {len(seeds)} seeds ({', '.join(map(str, seeds))})."


def _detectable(entries: list[dict], report) -> str:
    """The smallest change that the splits could have shown, over the trained rows."""
    told = []
    for place in (report.primary, report.outside):
        found = [per_cent(entry, entry["detectable"]) for entry in entries if entry.get("detectable") and
                 place and (entry["corpus"], entry["split"], entry["measure"]) ==
                 (place.corpus, place.split, place.measure) and "untrained" not in entry["by_copy"]]
        if found:
            told.append(f"{min(found):.1f} to {max(found):.1f} % on {place.corpus} {place.split}")
    return f"Smallest change that a 5 % test would find 4 times in 5: {', '.join(told)}." if told else ""
