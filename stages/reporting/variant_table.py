"""The table of variants for a paper: value, change, interval and verdict, in LaTeX or Markdown."""
import re

from stages.reporting import tables
from stages.evaluation.significance import per_cent
from stages.core.errors import UserError

HEADS = ["Value", "Change %", "Interval %", "Verdict"]
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
           "–": "--", **{sign: f"\\{sign}" for sign in "&%$#_{}"}}


def markdown(entries: list[dict], report, rows: dict, seeds: list[int]) -> str:
    """A Markdown table with its caption below; the best value of each place is bold."""
    heads = ["Row", *(f"{_name(place)}: {head}" if head == "Value" else head for place in _places(report)
                      for head in HEADS)]
    return (tables.markdown(heads, _lines(entries, report, rows, str, "**{}**".format)) + "\n"
            + caption(entries, report, seeds) + "\n")


def latex(entries: list[dict], report, rows: dict, seeds: list[int]) -> str:
    r"""A LaTeX table* that needs only \usepackage{booktabs}; the best value of each place is bold."""
    import pandas as pd
    places = _places(report)
    heads = [("", "Row"), *((escaped(_name(place)), escaped(head)) for place in places for head in HEADS)]
    frame = pd.DataFrame(_lines(entries, report, rows, escaped, r"\textbf{{{}}}".format),
                         columns=pd.MultiIndex.from_tuples(heads))
    small = [{"selector": "small", "props": ":{};"}]
    text = frame.style.hide(axis="index").set_table_styles(small).to_latex(
        environment="table*", position="t", position_float="centering", hrules=True, multicol_align="c",
        column_format="l" + "rrrl" * len(places), caption=escaped(caption(entries, report, seeds)),
        label="tab:variants")
    return "% needs \\usepackage{booktabs}\n" + text


def caption(entries: list[dict], report, seeds: list[int]) -> str:
    """One paragraph: base, measures, splits, queries, seeds and test."""
    told = []
    for place in _places(report):
        judged = max(_judged(entries, place), key=lambda entry: entry["queries"])
        told.append(f"{_name(place)} ({judged['queries']:,} queries in {judged['clusters']:,} clusters)")
    if len(seeds) == 1:
        copies = f"Trained rows: one seed ({seeds[0]})"
        over, test = "clusters of queries", "a randomisation test"
    else:
        copies = f"Trained rows: mean ± standard deviation over {len(seeds)} seeds ({', '.join(map(str, seeds))})"
        over = "clusters of queries and over seeds"
        test = "a t test over queries and seeds (for untrained rows a randomisation test)"
    return (f"Every row against {report.base}: {' and '.join(told)}. Change and its {100 * (1 - report.significance):g} % "
            f"interval, over {over}, are in per cent of {report.base}. {copies}. Better and worse: the p of {test}, "
            f"corrected (Holm) over the rows of a column, is below {report.significance:g}; no difference: surely less than "
            f"{report.margin:g} %. The best value is bold.")


def escaped(text: str) -> str:
    """Plain text as LaTeX; the sign before a number becomes a mathematical one."""
    plain = "".join(SPECIAL.get(sign, sign) for sign in text)
    return re.sub(r"(?<![\w-])([+-])(?=\d)", r"$\1$", plain)


def _lines(entries: list[dict], report, rows: dict, plain, strong) -> list[list[str]]:
    """A line a row; plain puts a cell's text into the form that is written, strong makes such a cell bold."""
    lines = [[plain(row)] for row in rows]
    for place in _places(report):
        _judged(entries, place)
        found = {entry["variant"]: entry for entry in _at(entries, place)}
        best = max(entry["value"] for row, entry in found.items() if row in rows and not _on_part(entry))
        for line, row in zip(lines, rows):
            value, *others = (plain(cell) for cell in _cells(found.get(row)))
            whole = row in found and not _on_part(found[row])
            line += [strong(value) if whole and found[row]["value"] == best else value, *others]
    return lines


def _on_part(entry: dict) -> bool:
    """Whether a row was measured on a part of the queries, as a reranker is."""
    return entry.get("of", 0) > entry.get("queries", 0)


def _cells(entry: dict | None) -> list[str]:
    if entry is None:
        return ["–"] * len(HEADS)
    value = f"{entry['value']:.4f}" + ("" if entry["spread"] is None else f" ± {entry['spread']:.4f}")
    value += f" (of {entry['queries']})" if _on_part(entry) else ""
    if "verdict" not in entry:
        return [value, "", "", ""]
    low, change, high = (per_cent(entry, entry[key]) for key in ("low", "difference", "high"))
    return [value, f"{change:+.1f}", f"{low:+.1f} to {high:+.1f}", entry["verdict"]]


def _places(report) -> list:
    return [place for place in (report.in_domain, report.out_of_domain) if place]


def _name(place) -> str:
    return f"{place.measure}, {place.corpus} {place.split}"


def _at(entries: list[dict], place) -> list[dict]:
    return [entry for entry in entries if (entry["corpus"], entry["split"], entry["measure"]) ==
            (place.corpus, place.split, place.measure)]


def _judged(entries: list[dict], place) -> list[dict]:
    judged = [entry for entry in _at(entries, place) if "verdict" in entry]
    if not judged:
        raise UserError(f"reports/results.json: no row has a verdict on {_name(place)}; run dvc repro evaluate")
    return judged
