"""The figure that the study at hand gives for what a claim needs."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.analysis.diagnosis import Diagnosis
from stages.evaluation import per_query
from stages.evaluation.comparison import per_cent
from stages.ledger.claims import Needs
from stages.params.report import Report, Target

Interval = tuple[float, float]


def figure(
    needs: Needs, table: pa.Table, diagnosis: Diagnosis, costs: list[dict[str, Any]], report: Report
) -> float | Interval | None:
    """A value, or the 1 - significance interval of a difference; None where a variant was not measured.

    table holds the per-query values (see per_query.read), costs are the figures of the stages (see costs.recorded). A
    change is in per cent, a difference in the measure's unit. Over several corpora the interval is Student's over
    their differences.
    """
    if needs.measure.startswith("gpu_"):
        return _cost(needs, costs)
    targets = needs.targets
    if not all(_measured(table, target, variant) for target in targets for variant in needs.named):
        return None
    if needs.figure == "correlation":
        return _correlation(needs, table, targets[0], diagnosis, report.significance)
    ones = [per_query.of(table, str(needs.variant), target) for target in targets]
    if needs.figure == "value":
        return float(np.mean([one.mean for one in ones]))
    others = [per_query.of(table, str(needs.against), target) for target in targets]
    if len(targets) == 1:
        compared = per_query.compare(*per_query.common(ones[0], others[0]), report.significance, report.resamples)
        ends = (compared.low, compared.high)
    else:
        differences = [one.mean - other.mean for one, other in zip(ones, others, strict=True)]
        ends = _over_corpora(differences, report.significance)
    if needs.figure == "difference":
        return ends
    base = float(np.mean([other.mean for other in others]))
    low, high = (per_cent(end, base) for end in ends)
    return None if low is None or high is None else (low, high)


def _cost(needs: Needs, costs: list[dict[str, Any]]) -> Interval | None:
    """Range over seed runs of the change of a figure that training recorded, in per cent.

    None where a side has fewer than two seed runs that were trained without interruption: one says nothing of the next.
    """
    trained = [entry for entry in costs if entry["stage"] == "train" and needs.measure in entry]
    ones, others = (
        [entry[needs.measure] for entry in trained if entry["name"].startswith(f"{side}.") and not entry["resumed"]]
        for side in (needs.variant, needs.against)
    )
    changes = [100 * (one / other - 1) for one in ones for other in others]
    return (min(changes), max(changes)) if min(len(ones), len(others)) > 1 else None


def _measured(table: pa.Table, target: Target, variant: str) -> bool:
    if target.measure not in table.column_names:
        return False
    return pc.any(pc.equal(per_query.on(table, target.corpus, target.split)["variant"], variant)).as_py() is True


def _over_corpora(differences: list[float], significance: float) -> Interval:
    from scipy.stats import t

    reach = t.ppf(1 - significance / 2, len(differences) - 1) * np.std(differences, ddof=1) / np.sqrt(len(differences))
    return float(np.mean(differences) - reach), float(np.mean(differences) + reach)


def _correlation(
    needs: Needs, table: pa.Table, target: Target, diagnosis: Diagnosis, significance: float
) -> Interval | None:
    """Interval of Spearman's correlation over variants: Fisher's z with the variance of Bonett and Wright (2000).

    None where the spaces were diagnosed on another corpus, or a variant's was not.
    """
    from scipy.stats import norm, spearmanr

    spaces = diagnosis.geometry
    if diagnosis.sample.corpus != target.corpus or not all(variant in spaces for variant in needs.named):
        return None
    values = [per_query.of(table, variant, target).mean for variant in needs.named]
    figures = [spaces[variant][str(needs.geometry)] for variant in needs.named]
    rho = float(np.clip(spearmanr(figures, values).statistic, -0.999999, 0.999999))
    reach = norm.ppf(1 - significance / 2) * np.sqrt((1 + rho**2 / 2) / (len(values) - 3))
    return float(np.tanh(np.arctanh(rho) - reach)), float(np.tanh(np.arctanh(rho) + reach))
