"""The sections of the report page as plain data for its template: words, cells and charts, no HTML."""
import base64
import json
import re
import statistics
import struct
from pathlib import Path

from stages.ledger import claims as ledger
from stages.negatives import hardness
from stages.reporting import advice
from stages.reporting import tables
from stages.reporting import transfer_page
from stages.reporting.page import charts
from stages.evaluation.significance import per_cent
from stages.reporting.markdown_parts import parts, plain

TONES = {"better": "better", "worse": "worse", ledger.HOLDS: "better", ledger.FAILS: "worse",
         ledger.CONTRADICTED: "worse"}
COLUMNS = ("value", "change", "detectable", "queries", "verdict")  # of a place in tables.degradation
COSTS = {"weights": "weights trained", "steps": "steps", "seconds": "training, s", "memory": "training peak, MB",
         "rate": "encoded passages/s", "pairs": "reranked pairs/s", "busy": "GPU busy in training, %",
         "taken": "GPU memory in training, MB"}


def answer(entries: list[dict], study, logs: dict[str, dict]) -> dict:
    """The sentences that open the report, and the change of the row they name at each place."""
    found = advice.answer(entries, study.report, advice.candidates(study, logs))
    places = [(study.report.in_domain, found.get("inside")), (study.report.out_of_domain, found.get("outside"))]
    first, *rest = parts(advice.sentences(entries, study, logs))
    return {"first": first, "rest": rest, "variant": found["variant"],
            "readings": [_reading(place, entry, study.report.significance) for place, entry in places if place and entry]}


def variants(entries: list[dict], report, rows: dict, seeds: list[int]) -> dict:
    """The table of variants with a group of columns a place; each value has the id of its line of the sources."""
    table, *notes = parts(tables.degradation(entries, report, rows, seeds))
    places = [place for place in (report.in_domain, report.out_of_domain) if place]
    groups = [f"{place.measure}, {place.corpus} {place.split}" for place in places]
    lines = []
    for row, cells in zip(rows, table["lines"]):
        words = iter(plain(cell) for cell in cells[2:])
        told = [{**dict(zip(COLUMNS, words)), "link": link(row, place)} for place in places]
        for place in told:
            change, _, interval = place["change"].partition(" ")
            place |= {"change": change, "interval": interval, "verdict": chip(place["verdict"])}
        lines.append({"variant": row, "made": plain(cells[1]), "base": row == report.base, "places": told})
    return {"groups": groups, "lines": lines, "notes": notes}


def degradation(entries: list[dict], report, rows: list[str]) -> list[dict]:
    """One panel a place: its title, what was measured there, and its chart; all on one scale."""
    others = [row for row in rows if row != report.base]
    panels = [(place, at(entries, place)) for place in (report.in_domain, report.out_of_domain) if place]
    ends = [per_cent(entry, entry.get(key, 0)) for _, found in panels for entry in found.values()
            for key in ("low", "high", "difference")] or [0]
    spare = 0.05 * (max(*ends, 1) - min(*ends, -1))
    reach = min(*ends, -1) - spare, max(*ends, 1) + spare
    drawn = []
    for number, (place, found) in enumerate(panels):
        some = next((entry for entry in found.values() if entry.get("base")), None)
        title = f"{place.corpus} {place.split}, {place.measure}"
        told = f"base {some['base']:.3f}, {some['queries']:,} queries" if some else "no row was measured here"
        chart = charts.degradation(others, found, reach, f"Bars: change of each row on {title}, with intervals")
        drawn.append({"id": f"chart-degradation-{number}", "title": title, "told": told, "chart": chart})
    return drawn


def transfer(found: dict) -> dict:
    """What rows cost out of domain, as the Markdown page has it; drawn is whether there is anything out of domain."""
    return {"average": parts(transfer_page.average(found)), "forgetting": parts(transfer_page.forgetting(found)),
            "pairs": parts(transfer_page.pairs(found)), "drawn": transfer_page.measured(found)}


def curves(logs: dict[str, dict], look: dict[str, dict]) -> dict:
    """The charts of loss and validation, with a key that gives each row's first and last mean loss."""
    kept = {row: [copy["log"] for copy in logs[row]["seed_runs"]] for row in look}
    keys = []
    for row in look:
        means = [charts.running_means([(entry["step"], entry["loss"]) for entry in log if "loss" in entry])
                 for log in kept[row]]
        ends = [statistics.fmean(found[end][1] for found in means if found) for end in (0, -1)] if any(means) else []
        keys.append({"variant": row, **look[row], "told": f"loss {ends[0]:.2g} → {ends[1]:.2g}" if ends else ""})
    validated = any("RR@10" in entry for copies in kept.values() for log in copies for entry in log)
    return {"keys": keys, "validated": validated, "table": parts(tables.training(logs, {})), "charts": {
        "chart-loss": charts.loss(kept, look, "Lines: training loss of each row by step"),
        **({"chart-validation": charts.watched(kept, look, "Lines: validation RR@10 of each row by step")}
           if validated else {})} if look else {}}


def space(entries: list[dict], report, found: dict, projected: dict, look: dict[str, dict]) -> dict:
    """Figures of every row's space over its change, what is said of each figure, and the tables."""
    figures: dict[str, dict[str, float]] = {}
    for row, values in found["geometry"].items():
        for name, value in values.items():
            figures.setdefault(name, {})[row] = value
    told = {}
    for name in figures:
        ranked = found["correlation"].get(name, {})
        told[name] = ("no rank correlation: fewer than three trained rows" if ranked.get("rho") is None else
                      f"Spearman's ρ with the change {ranked['rho']:+.2f}, p {ranked['p']:.2g}, "
                      f"n = {ranked['n']} trained rows")
    rows = {row: entry for row, entry in at(entries, report.in_domain).items() if row in found["geometry"]}
    return {"figures": {name: name.replace("_", " ") for name in figures}, "told": told,
            "table": parts(tables.diagnosis(found)), "projected": parts(tables.space(projected)),
            "chart": charts.scatter(rows, figures, look, "Points: a figure of each row's space and its change")
            if any(row in look for row in rows) else None}


def costs(entries: list[dict], report, logs: dict[str, dict], recorded: list[dict], look: dict[str, dict]) -> dict:
    """What each row cost beside its change. `recorded` are the figures of reports/costs, of the last run there.

    Weights and steps come from the training logs; seconds, memory and rates from what is recorded, the mean over a
    row's copies, and none where a copy was resumed.
    """
    changes = at(entries, report.in_domain)
    figures = {name: {} for name in COSTS}
    for row, log in logs.items():
        copies = log["seed_runs"]
        trained = _copies(recorded, "train", f"{row}.")
        encoded = _copies(recorded, "encode", f"{row}.{report.in_domain.corpus}.")
        resumed = any(found.get("resumed") for found in trained)
        for name, values in {
                "weights": [copy["trainable"] for copy in copies], "steps": [copy["steps"] for copy in copies],
                "seconds": [] if resumed else [found["train_seconds"] for found in trained],
                "memory": [found["peak_rss_mb"] for found in trained],
                "rate": [found["docs_per_second"] for found in encoded if "docs_per_second" in found],
                "pairs": [found["pairs_per_second"] for found in recorded
                          if (found["stage"], found["name"]) == ("rerank", row)],
                "busy": [found["gpu_mean_percent"] for found in trained if "gpu_mean_percent" in found],
                "taken": [found["gpu_peak_mb"] for found in trained if "gpu_peak_mb" in found]}.items():
            if values:
                figures[name][row] = statistics.fmean(values)
    lines = [{"variant": row, "change": f"{per_cent(changes[row], changes[row].get('difference', 0)):+.1f}"
              if row in changes and row != report.base else "–", "cells": [
        f"{figures[name][row]:,.0f}" if row in figures[name] else "–" for name in COSTS]} for row in logs]
    shown = {row: entry for row, entry in changes.items() if row in look}
    drawn = {name: figures[name] for name in ("seconds", "weights", "steps", "memory")
             if any(row in shown for row in figures[name])}
    without = any(found.get("gpu") == "none" for found in recorded)
    machines = sorted({found["machine"] for found in recorded if "machine" in found})
    return {"figures": {name: COSTS[name] for name in drawn}, "heads": list(COSTS.values()), "lines": lines,
            "machines": machines, "without": without, "chart": charts.scatter(
                shown, drawn, look, "Points: what each row cost and its change") if drawn else None}


def negatives(audit: dict) -> list[dict]:
    """The audit of the triplets, as the Markdown report has it."""
    return parts(tables.markdown(*hardness.table(audit)))


def cause(found: dict[str, dict]) -> list[dict]:
    """The answered questions of each collection of the cause study; a pair has its change, interval and verdict."""
    told = []
    for collection in found.values():
        rows = collection["variants"]
        told.append({
            "title": f"{collection['title']}: {collection['measure']} on {collection['split']}",
            "told": f"{rows[0]['queries']:,} queries, {len(rows)} rows, seeds a row: {rows[0]['seed_runs']}" if rows
            else "not run",
            "questions": [{"ask": question["ask"], "answer": question["answer"], "pairs": [_pair(pair) for pair in
                           question["pairs"]]} for question in collection["questions"]] if rows else []})
    return told


def claims(found: dict) -> dict:
    """The claims of the papers with what filters need: the papers, the verdicts that occur, what claims rest on."""
    listed = []
    for claim in found["claims"]:
        listed.append({**claim, "expected": amount(claim["expected"]), "found": amount(claim["found"]),
                       "tolerance": minus(" to ".join(f"{end:+g}" for end in claim["tolerance"]))
                       if claim.get("tolerance") else None, "verdict": chip(claim["verdict"])})
    given = [claim["verdict"]["words"] for claim in listed]
    counts = {verdict: given.count(verdict) for verdict in dict.fromkeys([*ledger.VERDICTS, *given])}
    return {"papers": found["papers"], "claims": listed, "rests": sorted({claim["rests"] for claim in listed}),
            "verdicts": [{**chip(verdict), "count": count} for verdict, count in counts.items()]}


def chip(verdict: str) -> dict:
    """A verdict's words and the tone that colours them."""
    return {"words": verdict, "tone": TONES.get(verdict, "unclear")}


def amount(value) -> str:
    """A claim's number, or the two ends of a range, or a word, as it is printed; – for none."""
    if value is None:
        return "–"
    if isinstance(value, (list, tuple)):
        return " to ".join(amount(end) for end in value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return minus(f"{value:,}" if isinstance(value, int) else f"{value:,.4g}")


def picture(path: Path) -> dict:
    """A PNG as {"uri", "width", "height"}: a data: URI and its size in pixels."""
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    return {"uri": "data:image/png;base64," + base64.b64encode(data).decode(), "width": width, "height": height}


def at(entries: list[dict], place) -> dict[str, dict]:
    """Row -> its results entry at a place's corpus, split and measure."""
    wanted = (place.corpus, place.split, place.measure)
    return {entry["variant"]: entry for entry in entries if (entry["corpus"], entry["split"], entry["measure"]) == wanted}


def link(row: str, place) -> str:
    """The id of the line that says where a row's number at a corpus, split and measure comes from."""
    return f"from-{row}-{place.corpus}-{place.split}-{place.measure}"


def minus(words: str) -> str:
    """Words with a minus sign before negative numbers; a range such as 51-200 keeps its hyphen."""
    return re.sub(r"(?<![\w-])-(?=[\d.])", "\N{MINUS SIGN}", words)


def render(page: dict) -> str:
    """The page's HTML from its sections, as stages.page gathers them.

    Raises ValueError when the charts' JavaScript could not stand in a script of the page.
    """
    import vl_convert
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    shelf = Environment(loader=FileSystemLoader(Path(__file__).parent / "page"), autoescape=True,
                        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shelf.filters["minus"] = minus
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    for mark in ("</script", "<script", "<!--"):
        if mark in bundle.lower():
            raise ValueError(f"the charts' JavaScript holds {mark}, which would end or hide a script of the page")
    return shelf.get_template("page.html.j2").render(
        **page, light=charts.LIGHT, dark=charts.DARK, bundle=Markup(bundle), charts=_charts(page))


def read(path: Path) -> dict | list:
    """What a JSON file holds."""
    return json.loads(path.read_text())


def _charts(page: dict) -> dict[str, dict]:
    """Element id -> specification, of all charts of the page."""
    found = {panel["id"]: panel["chart"] for panel in page["degradation"]} | page["curves"]["charts"]
    found |= {f"chart-{name}": page[name]["chart"] for name in ("space", "costs") if page[name]["chart"]}
    return found


def _reading(place, entry: dict, alpha: float) -> dict:
    low, change, high = (minus(f"{per_cent(entry, entry[key]):+.1f}") for key in ("low", "difference", "high"))
    return {"place": f"{place.measure}, {place.corpus} {place.split}", "change": f"{change} %",
            "interval": f"{100 * (1 - alpha):g} % interval {low} to {high}", "verdict": chip(entry["verdict"])}


def _copies(recorded: list[dict], stage: str, start: str) -> list[dict]:
    """What a stage recorded of the copies whose names are `start` and one more word."""
    return [found for found in recorded if found["stage"] == stage and found["name"].startswith(start)
            and "." not in found["name"][len(start):]]


def _pair(pair: dict) -> dict:
    if "difference %" not in pair:
        return {"says": pair["says"], "change": "–", "interval": "–", "p": "–", "detectable": "–",
                "verdict": chip(pair["verdict"])}
    p, detectable = pair["p_family"], pair.get("detectable %")
    return {"says": pair["says"], "change": minus(f"{pair['difference %']:+.1f}"),
            "interval": minus(f"{pair['low %']:+.1f} to {pair['high %']:+.1f}"),
            "p": "–" if p is None else f"{p:.2g}" if p >= 0.0001 else "< 0.0001",
            "detectable": "–" if detectable is None else f"{detectable:.1f}", "verdict": chip(pair["verdict"])}
