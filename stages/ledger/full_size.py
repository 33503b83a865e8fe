"""Whether the study at hand is the one that a paper's claim is about, and the figure that it then gives."""
from typing import NamedTuple

import numpy as np

from stages.evaluation import revisions
from stages.evaluation import significance

WITHOUT_TEXT = 0.005  # the share of a collection's passages that may have no text, and so are not on disk


class Place(NamedTuple):
    corpus: str
    split: str
    measure: str


def places(needs) -> list[Place]:
    """Where a need's figure is measured; a corpus written corpus/split has a split of its own."""
    named = (corpus.partition("/") for corpus in needs.corpora)
    return [Place(corpus, split or needs.split, needs.measure) for corpus, _, split in named]


def missing(needs, here, paper, sizes: dict[str, dict], scales: dict) -> str | None:
    """Why the study at hand cannot judge what a claim needs; None where it can.

    here and paper are studies (of params.yaml and of the file that the claim names, None where that is not written
    yet), sizes maps a corpus to its {"passages", "queries": {split: count}} on disk, scales one to a ledger's Scale.
    """
    if paper is None:
        return f"{needs.study} is not written yet"
    splits = {place.corpus: place.split for place in places(needs)}
    taught = [paper.trained_on(row) for row in needs.named if row in paper.variants]
    for corpus, split in ({corpus: None for corpus in taught if corpus} | splits).items():
        if reason := _other_corpus(corpus, split, here, paper, sizes.get(corpus), scales.get(corpus)):
            return reason
    reranked = any(row in here.rerankers for row in needs.named)
    if reranked and here.rerank.precision not in ("float32", paper.rerank.precision):
        return f"this study reranks in {here.rerank.precision}, the paper's in {paper.rerank.precision}"
    if here.index.precision not in ("float32", paper.index.precision):
        return f"this study encodes in {here.index.precision}, the paper's in {paper.index.precision}"
    for row in needs.named:
        if row not in paper.variants:
            return f"{needs.study} has no row {row}"
        if row not in here.variants:
            return f"this study has no row {row}"
        if differs := _first_difference(recipe(here, row, paper), recipe(paper, row, paper)):
            return f"row {row} is not that of {needs.study}: {differs} differs"
    return None


def _other_corpus(corpus: str, split: str | None, here, paper, size: dict | None, scale) -> str | None:
    """Why a corpus is not the paper's, or its judged split is not; split None is a corpus that only teaches."""
    if corpus not in here.corpora:
        return f"this study has no corpus {corpus}"
    mine, theirs, name = here.corpora[corpus], paper.corpora.get(corpus), f"{corpus} {split}" if split else corpus
    if theirs is None or split and split not in theirs.judged:
        return f"the paper's study has no judged split {split} of {corpus}"
    if differs := _first_difference(_of_split(mine, split), _of_split(theirs, split)):
        return f"{name} is not the paper's: {differs} differs"
    if size is None:
        return f"{corpus} is not on disk"
    if scale is None:
        return f"the ledger does not say how large {corpus} is"
    if not (1 - WITHOUT_TEXT) * scale.passages <= size["passages"] <= scale.passages:
        return f"{name} has {size['passages']:,} passages, the paper's {scale.passages:,}"
    if split and size["queries"].get(split) != scale.queries.get(split):
        return f"{name} has {size['queries'].get(split, 0):,} queries, the paper's {scale.queries.get(split, 0):,}"
    return None


def _of_split(corpus, split: str | None) -> dict[str, object]:
    """A corpus's block as far as it bears on one judged split."""
    return corpus.model_dump(exclude={"judged", "publish", "group"}) | {"judgments": corpus.judged.get(split)}


def recipe(study, row: str, paper) -> dict[str, object]:
    """All that makes a row what it is, by block.

    A checkpoint is known by its hash, wherever it comes from, or where the paper's study has none, by its name on the
    hub: the revision is what that study leaves to be pinned.
    """
    names = study.variants[row]
    if row in study.interpolations:
        return {"of": recipe(study, names.trained, paper), "alphas": names.alphas}
    start = study.checkpoints[names.checkpoint]
    hashed = paper.checkpoints.get(names.checkpoint, start).sha256
    taught = study.triplets[names.triplets]
    made = {"start": start.sha256 if hashed else start.source.rpartition("@")[0] or start.source,
            **start.model_dump(exclude={"source", "sha256", "remote_code"}),
            "tuning": study.tunings[names.tuning], "recipe": study.recipes.get(names.recipe)}
    if taught.size:
        pool = study.pools.get(taught.negatives.removeprefix("pools/"))
        made |= {"triplets": taught, "pool": pool, "miner": pool and recipe(study, pool.retriever, paper)}
    if row in study.rerankers:
        made |= {"first": recipe(study, names.first_stage, paper), "depth": study.rerank.depth,
                 "queries": study.rerank.queries}
    return made


def _first_difference(one: dict, other: dict) -> str | None:
    return next((part for part in {**one, **other} if one.get(part) != other.get(part)), None)


def figure(needs, table, diagnosis: dict, recorded: list[dict], alpha: float,
           resamples: int) -> float | tuple[float, float] | None:
    """What the study at hand gives for what a claim needs: a value, or the 1 - alpha interval of a difference.

    table holds the per-query values (see revisions.table), diagnosis is reports/diagnosis.json, recorded are the costs
    of the stages (see costs.recorded), which measures that begin with gpu_ are figures of. A change is in per
    cent, a difference in the measure's unit. Over several corpora the interval is Student's over their differences.
    None where a row was not measured there.
    """
    if needs.measure.startswith("gpu_"):
        return _cost(needs, recorded)
    where = places(needs)
    if not all(_measured(table, place, row) for place in where for row in needs.named):
        return None
    if needs.figure == "correlation":
        return _correlation(needs, table, where[0], diagnosis, alpha)
    rows = [revisions.per_query(table, needs.row, place) for place in where]
    if needs.figure == "value":
        return float(np.mean([row.values.mean() for row in rows]))
    others = [revisions.per_query(table, needs.against, place) for place in where]
    if len(where) == 1:
        one, other, clusters = revisions.common(rows[0], others[0])
        found = revisions.change(one, other, clusters, alpha, resamples)
        ends = (found["low"], found["high"])
    else:
        ends = _over_corpora([one.values.mean() - other.values.mean() for one, other in zip(rows, others)], alpha)
    base = np.mean([other.values.mean() for other in others])
    return tuple(significance.per_cent({"base": base}, end) for end in ends) if needs.figure == "change" else ends


def _cost(needs, recorded: list[dict]) -> tuple[float, float] | None:
    """Range over copies of the change of a figure that training recorded, in per cent.

    None where a side has fewer than two copies that were trained in one go: one run says nothing of the next.
    """
    found = [[entry[needs.measure] for entry in recorded if entry["stage"] == "train" and needs.measure in entry
              and not entry["resumed"] and entry["name"].startswith(f"{row}.")] for row in (needs.row, needs.against)]
    changes = [100 * (one / other - 1) for one in found[0] for other in found[1]]
    return (min(changes), max(changes)) if min(map(len, found)) > 1 else None


def _measured(table, place: Place, row: str) -> bool:
    import pyarrow.compute as pc
    return place.measure in table.column_names and bool(len(table.filter(
        (pc.field("variant") == row) & (pc.field("corpus") == place.corpus) & (pc.field("split") == place.split))))


def _over_corpora(differences: list[float], alpha: float) -> tuple[float, float]:
    from scipy.stats import t
    reach = t.ppf(1 - alpha / 2, len(differences) - 1) * np.std(differences, ddof=1) / np.sqrt(len(differences))
    return float(np.mean(differences) - reach), float(np.mean(differences) + reach)


def _correlation(needs, table, place: Place, diagnosis: dict, alpha: float) -> tuple[float, float] | None:
    """Interval of Spearman's correlation over the rows, by Fisher's z with the variance of Bonett and Wright (2000).

    None where the spaces were looked at in another corpus, or a row's was not.
    """
    from scipy.stats import norm, spearmanr
    spaces = diagnosis["geometry"]
    if diagnosis["sample"]["corpus"] != place.corpus or not all(row in spaces for row in needs.rows):
        return None
    values = [revisions.per_query(table, row, place).values.mean() for row in needs.rows]
    figures = [spaces[row][needs.of] for row in needs.rows]
    rho = float(np.clip(spearmanr(figures, values).statistic, -0.999999, 0.999999))
    reach = norm.ppf(1 - alpha / 2) * np.sqrt((1 + rho ** 2 / 2) / (len(values) - 3))
    return float(np.tanh(np.arctanh(rho) - reach)), float(np.tanh(np.arctanh(rho) + reach))
