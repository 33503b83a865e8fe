"""Whether the study at hand is the one that a paper's claim is about, and the figure that it then gives."""
from typing import NamedTuple

import numpy as np

from stages.lib import comparing, revisions


class Place(NamedTuple):
    corpus: str
    split: str
    measure: str


def missing(needs, here, paper, sizes: dict[str, dict], scales: dict) -> str | None:
    """Why the study at hand cannot judge what a claim needs; None where it can.

    here and paper are studies (of params.yaml and of the file that the claim names, None where that is not written
    yet), sizes maps a corpus to its {"passages", "queries": {split: count}} on disk, scales one to a ledger's Scale.
    """
    if paper is None:
        return f"{needs.study} is not written yet"
    for corpus in needs.corpora:
        if reason := _other_corpus(corpus, needs.split, here, paper, sizes.get(corpus), scales.get(corpus)):
            return reason
    rows = [row for row in (needs.row, needs.against) if row] or list(paper.retrievers)
    for row in rows:
        if row not in paper.retrievers:
            return f"{needs.study} has no row {row}"
        if row not in here.retrievers:
            return f"this study has no row {row}"
        if differs := _first_difference(recipe(here, row), recipe(paper, row)):
            return f"row {row} is not that of {needs.study}: {differs} differs"
    return None


def _other_corpus(corpus: str, split: str, here, paper, size: dict | None, scale) -> str | None:
    if corpus not in here.corpora:
        return f"this study has no corpus {corpus}"
    mine, theirs = here.corpora[corpus], paper.corpora.get(corpus)
    if theirs is None or split not in theirs.judged:
        return f"the paper's study has no judged split {split} of {corpus}"
    if mine.source != theirs.source or mine.judged.get(split) != theirs.judged[split]:
        return f"{corpus} {split} is not the paper's: its source or its judgments differ"
    if size is None:
        return f"{corpus} is not on disk"
    if scale and (size["passages"], size["queries"].get(split)) != (scale.passages, scale.queries.get(split)):
        return (f"{corpus} {split} has {size['passages']:,} passages and {size['queries'].get(split, 0):,} queries, "
                f"the paper's {scale.passages:,} and {scale.queries.get(split, 0):,}")
    return None


def recipe(study, row: str) -> dict[str, object]:
    """All that makes a row what it is, by block; a checkpoint with a hash is the same wherever it comes from."""
    names = study.retrievers[row]
    start = study.checkpoints[names.start]
    taught = study.triplets[names.triplets]
    pool = study.pools.get(taught.negatives.removeprefix("pools/"))
    return {"start": start.sha256 or start.source, "tokens": start.tokens, "tune": study.tunes[names.tune],
            "triplets": taught if taught.size else None, "pool": pool if taught.size else None,
            "fit": study.fits.get(names.fit)}


def _first_difference(one: dict, other: dict) -> str | None:
    return next((part for part in one if one[part] != other[part]), None)


def figure(needs, table, correlations: dict, alpha: float, resamples: int) -> float | tuple[float, float] | None:
    """What the study at hand gives for what a claim needs: a value, or the 1 - alpha interval of a difference.

    table holds the per-query values (see revisions.table), correlations reports/diagnosis.json's. A change is in per
    cent, a difference in the measure's unit. Over several corpora the interval is Student's over their differences.
    None where a row was not measured there.
    """
    if needs.figure == "correlation":
        return _correlation(correlations.get(needs.of), alpha)
    places = [Place(corpus, needs.split, needs.measure) for corpus in needs.corpora]
    if not all(_measured(table, place, row) for place in places for row in (needs.row, needs.against) if row):
        return None
    rows = [revisions.per_query(table, needs.row, place) for place in places]
    if needs.figure == "value":
        return float(np.mean([row.values.mean() for row in rows]))
    others = [revisions.per_query(table, needs.against, place) for place in places]
    if len(places) == 1:
        one, other, clusters = revisions.common(rows[0], others[0])
        found = revisions.change(one, other, clusters, alpha, resamples)
        ends = (found["low"], found["high"])
    else:
        ends = _over_corpora([one.values.mean() - other.values.mean() for one, other in zip(rows, others)], alpha)
    base = np.mean([other.values.mean() for other in others])
    return tuple(comparing.per_cent({"base": base}, end) for end in ends) if needs.figure == "change" else ends


def _measured(table, place: Place, row: str) -> bool:
    import pyarrow.compute as pc
    return place.measure in table.column_names and bool(len(table.filter(
        (pc.field("row") == row) & (pc.field("corpus") == place.corpus) & (pc.field("split") == place.split))))


def _over_corpora(differences: list[float], alpha: float) -> tuple[float, float]:
    from scipy.stats import t
    reach = t.ppf(1 - alpha / 2, len(differences) - 1) * np.std(differences, ddof=1) / np.sqrt(len(differences))
    return float(np.mean(differences) - reach), float(np.mean(differences) + reach)


def _correlation(found: dict | None, alpha: float) -> tuple[float, float] | None:
    """Interval of Spearman's correlation by Fisher's z with the variance of Bonett and Wright (2000)."""
    from scipy.stats import norm
    if not found or found["n"] < 4:
        return None
    rho = min(max(found["rho"], -0.999999), 0.999999)
    reach = norm.ppf(1 - alpha / 2) * np.sqrt((1 + rho ** 2 / 2) / (found["n"] - 3))
    return float(np.tanh(np.arctanh(rho) - reach)), float(np.tanh(np.arctanh(rho) + reach))
