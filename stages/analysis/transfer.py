"""What rows cost or gain out of domain: values by set, means over sets with intervals, and LoRA beside full."""
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.analysis import geometry
from stages.evaluation import revisions

FEWEST = 5   # sets that a correlation with similarity needs


def sets(corpora: dict, primary) -> dict[str, list]:
    """Set -> its places (corpus, split, measure): one corpus, or all corpora that share a group.

    A corpus is measured on primary's split where it judges that, else on the first that it judges; one that judges
    none is in no set.
    """
    found: dict[str, list] = {}
    for name, corpus in corpora.items():
        if corpus.judged:
            split = primary.split if primary.split in corpus.judged else next(iter(corpus.judged))
            place = primary.model_copy(update={"corpus": name, "split": split})
            found.setdefault(set_of(corpora, name), []).append(place)
    return found


def set_of(corpora: dict, corpus: str) -> str:
    """The name of the set that a corpus is in; a group may bear the name of a corpus, and then holds it."""
    return corpora[corpus].group or corpus


def values(table: pa.Table, places: dict[str, list], base: str) -> dict[str, dict[str, dict]]:
    """Row -> set -> {"value", "base", "queries", "of"}, the mean of the set's places, each counting once.

    table is stages.evaluate's, plain. A row's value and the base's are on the queries that both have, `queries` of the
    base's `of`, and over all copies. A row that lacks a place of a set has no value there.
    """
    found: dict[str, dict[str, dict]] = {}
    for name, spots in places.items():
        measured = [_at(table, spot, base) for spot in spots]
        for row in measured[0]:
            if all(row in spot for spot in measured):
                parts = [spot[row] for spot in measured]
                found.setdefault(row, {})[name] = {
                    "value": _mean(parts, "value"), "base": _mean(parts, "base"),
                    "queries": sum(part["queries"] for part in parts), "of": sum(part["of"] for part in parts)}
    return found


def over_sets(ones: dict[str, float], others: dict[str, float], names: list[str], alpha: float) -> dict | None:
    """The mean over sets of ones - others, in the measure's unit, on the named sets that both have; None without any.

    low and high are the 1 - alpha t interval with the sets as the sample, None for one set. won counts the sets on
    which ones is above others.
    """
    from scipy.stats import t
    shared = [name for name in names if name in ones and name in others]
    if not shared:
        return None
    one, other = (np.array([side[name] for name in shared], np.float64) for side in (ones, others))
    differences = one - other
    mean, n = float(differences.mean()), len(shared)
    reach = float(t.ppf(1 - alpha / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return {"sets": shared, "value": float(one.mean()), "against": float(other.mean()), "difference": mean,
            "low": None if reach is None else mean - reach, "high": None if reach is None else mean + reach,
            "over": None if reach is None else "sets", "won": int((differences > 0).sum())}


def on_queries(table: pa.Table, row: str, against: str, places: list, report) -> dict:
    """The ends of the interval over clusters of queries, for the one place that a single set has; else none."""
    if len(places) > 1:
        return {"low": None, "high": None, "over": None}
    one, other, clusters = revisions.common(*(revisions.per_query(table, name, places[0]) for name in (row, against)))
    found = revisions.change(one, other, clusters, report.significance, report.resamples)
    return {"low": found["low"], "high": found["high"], "over": "queries"}


def changes(measured: dict[str, dict]) -> dict[str, float | None]:
    """Set -> a row's change in per cent of the base's value there; None where the base has 0."""
    return {name: per_cent(entry["value"] - entry["base"], entry["base"]) for name, entry in measured.items()}


def correlation(changed: dict[str, float | None], alike: dict[str, float], outside: list[str]) -> dict | None:
    """Spearman's correlation of change with similarity over the sets outside; None with fewer than 5 of them."""
    known = [name for name in outside if changed.get(name) is not None and name in alike]
    if len(known) < FEWEST:
        return None
    return geometry.correlation([alike[name] for name in known], [changed[name] for name in known])


def tuned_alike(rows: dict, tunes: dict) -> list[tuple[str, str]]:
    """(full, LoRA): each two trained rows that differ in nothing but their tune blocks, one full and one lora."""
    blocks = {row: block for row, block in rows.items() if hasattr(block, "tuning")}
    kinds = {row: tunes[block.tuning].kind for row, block in blocks.items()}
    return [(full, lora) for full in blocks if kinds[full] == "full" for lora in blocks if kinds[lora] == "lora"
            and _lesson(blocks[full]) == _lesson(blocks[lora])]


def in_per_cent(found: dict) -> dict:
    """Difference, low and high of over_sets in per cent of what is compared against."""
    return {f"{key} %": None if found[key] is None else per_cent(found[key], found["against"])
            for key in ("difference", "low", "high")}


def per_cent(part: float, whole: float) -> float | None:
    """A part in per cent of the whole; None where that is 0."""
    return 100 * part / whole if whole else None


def _at(table: pa.Table, place, base: str) -> dict[str, dict]:
    """Row -> its value and the base's at one place; nothing where the base was not measured."""
    part = table.filter((pc.field("corpus") == place.corpus) & (pc.field("split") == place.split))
    rows = pc.unique(part["variant"]).to_pylist()
    if base not in rows:
        return {}
    whole = revisions.per_query(part, base, place)
    found = {}
    for row in rows:
        one, other, _ = revisions.common(revisions.per_query(part, row, place), whole)
        found[row] = {"value": float(one.values.mean()), "base": float(other.values.mean()),
                      "queries": len(one.query_ids), "of": len(whole.query_ids)}
    return found


def _mean(parts: list[dict], name: str) -> float:
    return float(np.mean([part[name] for part in parts]))


def _lesson(block):
    return block.model_copy(update={"tuning": None})
