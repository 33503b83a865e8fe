"""What fine-tuning costs out of domain, as Markdown, from the figures of stages.transfer."""
from stages.reporting.tables import markdown


def page(found: dict, picture: str) -> str:
    """The whole page; one sentence in place of the tables where nothing is out of domain."""
    parts = ["# In and out of domain\n", average(found)]
    if measured(found):
        parts += [f"![In-domain change against the change out of domain]({picture})\n",
                  "## What is forgotten, and where\n", forgetting(found),
                  "## LoRA beside full fine-tuning\n", pairs(found), "## The sets\n", _sets(found)]
    return "\n".join(parts)


def measured(found: dict) -> bool:
    """Whether any row was measured out of domain."""
    return any(row["outside"] for row in found["variants"])


def average(found: dict) -> str:
    """Each row's in-domain value and its mean over the other sets, with changes against the base on the same sets."""
    if not measured(found):
        sets = ", ".join(found["sets"])
        return (f"The study measures one set ({sets}), so that nothing is out of domain. Name another corpus in "
                f"`params.yaml` to see what a row costs or gains there.\n")
    measure, base = found["measure"], found["base"]
    heads = ["variant", "taught on", f"{measure} in domain", "change % (interval)", f"mean {measure} out of domain",
             f"`{base}` on the same", "change % (interval)", "sets won"]
    lines = [[f"**{row['variant']}**", row["taught"] or "–", *_inside(row, base), *_outside(row, base)]
             for row in found["variants"]]
    return f"{markdown(heads, lines)}\n{_note(found)}\n"


def forgetting(found: dict) -> str:
    """One table a teaching corpus: rows by sets, the sets from the most to the least like what taught the rows."""
    parts = []
    for corpus, alike in found["similarity"].items():
        rows = [row for row in found["variants"] if row["taught"] == corpus and row["changes"]]
        if not rows:
            continue
        home = rows[0]["home"]
        names = sorted(alike, key=lambda name: (name != home, -alike[name]))
        told = any(row["correlation"] for row in rows)
        lines = [["*similarity*", *(f"{alike[name]:.2f}" for name in names), *([""] if told else [])]]
        lines += [[f"**{row['variant']}**", *(_signed(row["changes"].get(name)) for name in names),
                   *([_correlation(row["correlation"])] if told else [])] for row in rows]
        heads = ["variant", *(f"{name} (taught)" if name == home else name for name in names),
                 *(["ρ (p)"] if told else [])]
        parts.append(f"Taught on {corpus}; change in per cent of `{found['base']}` on each set:\n\n"
                     f"{markdown(heads, lines)}")
    if not parts:
        return "No row of this study was taught.\n"
    counted = ("ρ is Spearman's, of change and similarity over the sets out of domain, uncorrected; the sets are few "
               "and share much else." if any(row["correlation"] for row in found["variants"]) else
               "With fewer than 5 sets out of domain no correlation is given.")
    part = "; ".join(f"{corpus}: {count:,} of {of:,}" for corpus, (count, of) in found["passages"].items()
                     if count < of)
    return "\n".join(parts) + (
        f"\nSimilarity is weighted Jaccard of word frequencies between the passages of the set and of what taught "
        f"(Thakur et al. 2021): 1 is the same words equally often. {counted}"
        f"{f' Passages counted, evenly spaced: {part}.' if part else ''}\n")


def pairs(found: dict) -> str:
    """LoRA against full fine-tuning of the same start, triplets and fit, in domain and out of it."""
    pairs = [pair for pair in found["pairs"] if pair["inside"] or pair["outside"]]
    if not pairs:
        return "No two rows of this study differ only in that one is fully fine-tuned and the other by LoRA.\n"
    heads = ["LoRA against full", "in domain", "difference", "% of full", "% of base", "out of domain",
             "difference (interval)", "% of full", "% of base", "sets won by LoRA"]
    lines = []
    for pair in pairs:
        lines.append([f"**{pair['lora']}** against **{pair['full']}**", *_difference(pair["inside"], False),
                      *_difference(pair["outside"], True)])
    return (f"{markdown(heads, lines)}\nDifferences are LoRA minus full in {found['measure']}; out of domain over the "
            f"means of the sets, with a {_level(found)} interval over {_over(pairs)}. The rows of a pair "
            f"differ in their tune blocks only, rates included.\n")


def _inside(row: dict, base: str) -> list[str]:
    if not row["inside"]:
        return ["–", "–"]
    return [_value(row["inside"]["value"], row), "" if row["variant"] == base else _change(row["inside"])]


def _outside(row: dict, base: str) -> list[str]:
    found = row["outside"]
    if not found:
        return ["–"] * 4
    if row["variant"] == base:
        return [_value(found["value"], row), "", "", ""]
    return [_value(found["value"], row), f"{found['against']:.4f}", _change(found),
            f"{found['won']} of {len(found['sets'])}"]


def _difference(found: dict | None, interval: bool) -> list[str]:
    if not found:
        return ["–"] * (5 if interval else 4)
    ends = f" ({found['low']:+.4f} to {found['high']:+.4f})" if interval and found["over"] else ""
    cells = [f"{found['value']:.4f} against {found['against']:.4f}", f"{found['difference']:+.4f}{ends}",
             _signed(found["difference %"]), _signed(found["difference % of base"])]
    return [*cells, f"{found['won']} of {len(found['sets'])}"] if interval else cells


def _change(found: dict) -> str:
    if found["difference %"] is None:
        return "–"
    ends = f" ({found['low %']:+.1f} to {found['high %']:+.1f})" if found["over"] else ""
    return f"{found['difference %']:+.1f}{ends}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}"


def _value(value: float, row: dict) -> str:
    return f"{value:.4f}{'*' if row['part'] else ''}"


def _correlation(found: dict | None) -> str:
    return "–" if not found or found["rho"] is None else f"{found['rho']:+.2f} ({found['p']:.2g})"


def _level(found: dict) -> str:
    return f"{100 * (1 - found['alpha']):g} %"


def _over(entries: list[dict]) -> str:
    """What the intervals out of domain are over, in words."""
    kinds = {entry["outside"]["over"] for entry in entries if entry["outside"]}
    one = "clusters of queries (one set: no interval over sets, and another set may differ)"
    return ", or ".join(words for kind, words in (("sets", "sets"), ("queries", one)) if kind in kinds) or "nothing"


def _note(found: dict) -> str:
    """What is in domain, what is out of it, what the intervals are over, and what a star means."""
    counts = sorted({len(row["outside"]["sets"]) for row in found["variants"] if row["outside"]})
    few = [row["part"] for row in found["variants"] if row["part"]]
    told = [f"In domain is the corpus that taught a row, for an untouched row {_reference(found)}. Out of domain is "
            f"the mean over the other sets ({' or '.join(map(str, counts))} a row), each counting once; the corpus "
            f"that taught a row is left out of `{found['base']}` beside it too.",
            f"Changes are in per cent of `{found['base']}`, with {_level(found)} intervals: in domain over clusters of "
            f"queries, out of domain over {_over(found['variants'])}.",
            "Sets won are those on which the row is above the base."]
    if few:
        told.append(f"*: measured on part of the queries, {few[0]['queries']:,} of {few[0]['of']:,} on all sets "
                    f"together, and compared with `{found['base']}` on those.")
    return " ".join(told)


def _reference(found: dict) -> str:
    return next((row["home"] for row in found["variants"] if not row["taught"]), found["variants"][0]["home"])


def _sets(found: dict) -> str:
    """What each set is made of."""
    return "".join(f"- {name}: {'mean of ' * (len(parts) > 1)}{', '.join(parts)}\n"
                   for name, parts in found["sets"].items())
