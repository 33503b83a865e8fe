"""The report's tables as Markdown, from results that are already computed."""
from stages.evaluation.significance import per_cent


def degradation(entries: list[dict], report, rows: dict, seeds: list[int]) -> str:
    """The first table: each row's primary measure, its change against the base and its verdict, in and out of domain.

    Change, interval and what could have been detected are in per cent of the base's value; better / worse / equal count
    queries.
    """
    places = [place for place in (report.in_domain, report.out_of_domain) if place]
    heads = ["variant", "start, tune, triplets, fit"]
    for place in places:
        heads += [f"{place.measure} {place.corpus} {place.split}", "change % (interval)", "detectable %",
                  "better / worse / equal", "verdict"]
    lines = []
    for row, names in rows.items():
        line = [f"**{row}**", made_of(names)]
        for place in places:
            line += _against_base(_find(entries, row, place.corpus, place.split, place.measure), row == report.base)
        lines.append(line)
    over = ("clusters of queries: how far the queries could be chance, not how far the seed could" if len(seeds) == 1
            else "clusters of queries and over seeds")
    test = "a randomisation test" if len(seeds) == 1 else "a t test over queries and seeds"
    part = _part(entries, places)
    return (f"{markdown(heads, lines)}\n{_seeds(seeds)} {part}Change is in per cent of `{report.base}`, with a "
            f"{100 * (1 - report.significance):g} % interval over {over}. Detectable is the smallest change that such a test, "
            f"uncorrected, would find 4 times in 5. Worse and better: the p of {test}, corrected (Holm) over the rows of "
            f"a column, is below {report.significance:g}; no difference: surely less than {report.margin:g} %.\n")


def made_of(names) -> str:
    """A row's names as a cell; a reranker's begin with what it reranks, an interpolation says what it lies between."""
    if hasattr(names, "of"):
        return f"between {names.checkpoint} and {names.trained}"
    first = getattr(names, "first", None)
    return (f"after {first}: " if first else "") + ", ".join([names.checkpoint, names.tuning, names.triplets, names.recipe])


def pairs(found: list[dict], report, logs: dict[str, dict]) -> str:
    """Rows compared with each other, on the queries that both have, and how soon each reached what both reached."""
    lines = []
    for entry in found:
        low, difference, high = (f"{per_cent(entry, entry[key]):+.1f}" for key in ("low", "difference", "high"))
        lines.append([f"**{entry['variant']}** against **{entry['against']}**", f"{entry['corpus']} {entry['split']}",
                      entry["measure"], f"{entry['value']:.4f} against {entry['base']:.4f}", f"{entry['queries']:,}",
                      f"{difference} ({low} to {high})",
                      f"{entry['better']} / {entry['worse']} / {entry['equal']}", entry["verdict"],
                      steps_to_quality(*(logs.get(entry[side], {"seed_runs": []}) for side in ("variant", "against")))])
    if not lines:
        return "No two rows to be compared were both measured.\n"
    heads = ["variants", "on", "measure", "values", "queries", "change % (interval)", "better / worse / equal", "verdict",
             "steps to the same quality"]
    return (f"{markdown(heads, lines)}\nChange in per cent of the second row's value, {100 * (1 - report.significance):g} % "
            f"interval; the pairs of a place are one family. The same quality is the best that both rows reached on the "
            f"validation sample that is watched while they train (the mean over their seeds), and the steps are those "
            f"after which each first had it.\n")


def steps_to_quality(one: dict, other: dict) -> str:
    """Steps after which each of two rows first ranked validation as well as both did.

    – where one was not watched, or they were by different measures (a reranker's is RR among a few candidates).
    """
    measure = next((name for name in ("RR@10", "RR of 5") if _watched(one["seed_runs"], name)), None)
    watched = [_watched(log["seed_runs"], measure) for log in (one, other)]
    if not all(watched):
        return "–"
    quality = min(max(figures.values()) for figures in watched)
    steps = [next(step for step, figure in figures.items() if figure >= quality) for figures in watched]
    return f"{steps[0]} against {steps[1]} ({quality:.3f})"


def _watched(copies: list[dict], name: str | None) -> dict[int, float]:
    """Step -> the mean over copies of a measure that was watched there, for the steps that all copies have."""
    logs = [{entry["step"]: entry[name] for entry in copy["log"] if name in entry} for copy in copies]
    return {step: sum(log[step] for log in logs) / len(logs) for step in (logs[0] if logs else {})
            if all(step in log for log in logs)}


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
            few = [entry for entry in entries if (entry["corpus"], entry["split"]) == (corpus, split)
                   and entry.get("of", 0) > entry.get("queries", 0)]
            note = f" *: on {few[0]['queries']:,} of {few[0]['of']:,} queries." if few else ""
            parts.append(f"### {corpus} {split}\n\nRelevant from grade {rules.rel}.{note}\n\n"
                         f"{markdown(['variant', *names], lines)}")
    return "\n".join(parts)


def training(logs: dict[str, dict], rows: dict) -> str:
    """What each trained row moved and how its loss and validation went, one line a seed."""
    lines = []
    for row, log in logs.items():
        for copy in log["seed_runs"]:
            losses = [entry["loss"] for entry in copy["log"] if "loss" in entry]
            looks = {entry["step"]: entry["RR@10"] for entry in copy["log"] if "RR@10" in entry}
            watched = list(looks.values())
            kept = looks.get(copy.get("best_step"), watched[-1] if watched else None)
            lines.append([row, copy["seed"], copy["steps"], f"{copy['trainable']:,}",
                          f"{100 * copy['trainable'] / copy['total']:.3f}", f"{copy['changed']} of {copy['tensors']}",
                          f"{losses[0]:.3f}", f"{losses[-1]:.3f}", *([f"{value:.3f}" for value in
                          (watched[0], max(watched), kept)] if watched else ["–"] * 3)])
    heads = ["variant", "seed", "steps", "weights trained", "% of all", "tensors changed", "first loss", "last loss",
             "validation RR@10 before", "best", "kept"]
    return markdown(heads, lines) + "\nValidation is a small fixed sample: it shows when a fall begins, not its size.\n"


def alphas(logs: dict[str, dict]) -> str:
    """What each alpha of an interpolation came to on the validation sample; nothing where no row is one."""
    lines = [[row, copy["seed_run"], *(f"**{figure:.3f}**" if float(alpha) == copy["alpha"] else f"{figure:.3f}"
                                   for alpha, figure in copy["RR@10"].items())]
             for row, log in logs.items() for copy in log.get("between", [])]
    tried = next((copy["RR@10"] for log in logs.values() for copy in log.get("between", [])), None)
    if not tried:
        return ""
    return (f"\nInterpolations, validation RR@10 at each alpha (0 is the start, 1 the trained row; bold was taken):\n\n"
            f"{markdown(['variant', 'seed_run', *(f'{float(alpha):g}' for alpha in tried)], lines)}")


def space(projection: dict) -> str:
    """The figures that stand beside the projection."""
    if not projection["variants"]:
        return "No row has vectors.\n"
    heads = list(next(iter(projection["variants"].values())))
    lines = [[row, *(figures[head] for head in heads)] for row, figures in projection["variants"].items()]
    return markdown(["variant", *(head.replace("_", " ") for head in heads)], lines)


def diagnosis(found: dict) -> str:
    """The figures of every row's space, and their rank correlation with the change over trained rows."""
    if not found["geometry"]:
        return "No row has vectors.\n"
    figures = list(dict.fromkeys(name for space in found["geometry"].values() for name in space))
    lines = [[row, *(_figure(space.get(name)) for name in figures)] for row, space in found["geometry"].items()]
    lines += [[head, *(_figure(found["correlation"].get(name, {}).get(key)) for name in figures)]
              for head, key in (("*ρ with the change*", "rho"), ("*p*", "p"))]
    count = max((entry["n"] for entry in found["correlation"].values()), default=0)
    return (markdown(["variant", *(name.replace("_", " ") for name in figures)], lines) +
            f"\nSpearman's ρ over n = {count} trained rows; with so many figures tried, one small p says little.\n")


def hygiene(found: dict) -> str:
    """What the order of equal scores and half precision could change, row by row."""
    names = list(dict.fromkeys(name for row in found["hygiene"].values() for name in row))
    lines = [[row, *(_figure(figures.get(name)) for name in names)] for row, figures in found["hygiene"].items()]
    return markdown(["variant", *(name.replace("_", " ") for name in names)], lines)


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
    right = [lines and not str(lines[-1][at]).strip("*`")[:1].isalpha() for at in range(len(heads))]
    rule = ["---:" if flag else "---" for flag in right]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in [heads, rule, *lines])


def _find(entries: list[dict], row: str, corpus: str, split: str, measure: str) -> dict | None:
    return next((entry for entry in entries if (entry["variant"], entry["corpus"], entry["split"], entry["measure"]) ==
                 (row, corpus, split, measure)), None)


def _against_base(entry: dict | None, is_base: bool) -> list[str]:
    if entry is None:
        return ["–"] * 5
    if is_base or "difference" not in entry:
        return [_value(entry), "", "", "", ""]
    low, difference, high = (per_cent(entry, entry[key]) for key in ("low", "difference", "high"))
    detectable = "–" if entry["detectable"] is None else f"{per_cent(entry, entry['detectable']):.1f}"
    return [_value(entry), f"{difference:+.1f} ({low:+.1f} to {high:+.1f})", detectable,
            f"{entry['better']} / {entry['worse']} / {entry['equal']}", entry["verdict"]]


def _part(entries: list[dict], places: list) -> str:
    """What the star means, where a row was measured on a part of the queries."""
    told = []
    for place in places:
        here = [entry for entry in entries if (entry["corpus"], entry["split"], entry["measure"]) ==
                (place.corpus, place.split, place.measure) and entry.get("of", 0) > entry.get("queries", 0)]
        told += [f"{here[0]['queries']:,} of the {here[0]['of']:,} queries of {place.corpus} {place.split}, on which the "
                 f"base has {here[0]['base']:.4f}" for _ in here[:1]]
    return f"*: rerankers are measured on {', and '.join(told)}; their changes are on those. " if told else ""


def _figure(value) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"


def _value(entry: dict | None) -> str:
    if entry is None:
        return "–"
    star = "*" if entry.get("of", 0) > entry.get("queries", 0) else ""
    return f"{entry['value']:.4f}" + (f" ± {entry['spread']:.4f}" if entry["spread"] is not None else "") + star


def _seeds(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"One seed ({seeds[0]}): another could move a trained row by some points either way."
    return f"Trained rows: mean ± standard deviation over {len(seeds)} seeds ({', '.join(map(str, seeds))})."
