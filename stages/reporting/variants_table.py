"""The tables of variants: value, change and verdict of each, in and out of domain.

The main one asks what fine-tuning does to the base: variants of its architecture, and what is compared without any
fine-tuning. Other architectures and interpolations have a table of their own, as have hybrids and rerankers. One source
for the report and the README (`tables`), for the page and for a paper (`readings`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stages.core.errors import UserError
from stages.evaluation import results as files
from stages.evaluation.results import Result
from stages.params import Study
from stages.params.models import SEARCHING
from stages.reporting import changes, hybrids, latex
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Text, code, strong, text

DOMAINS = ("in domain", "out of domain")


@dataclass(frozen=True)
class Reading:
    """A variant's result on a target in words: – where it was not measured, "" where there is nothing to compare."""

    value: str = NOTHING
    change: str = NOTHING
    interval: str = ""
    verdict: str = NOTHING
    p: str = NOTHING
    detectable: str = NOTHING
    queries: str = NOTHING
    best: bool = False


def readings(study: Study, results: Sequence[Result]) -> dict[str, list[Reading]]:
    """Variant -> its reading on each of the report's targets; the best value on all queries of a target is marked."""
    by_target = [files.at(results, target) for target in study.report.targets]
    best = [
        max((one.value for one in by_variant.values() if not one.on_part), default=None) for by_variant in by_target
    ]
    return {
        variant: [
            _reading(by_variant.get(variant), top, study.report.base)
            for by_variant, top in zip(by_target, best, strict=True)
        ]
        for variant in study.variants
    }


def tables(study: Study, results: Sequence[Result]) -> dict[str, Table]:
    """What a table has -> the table, of those that the study has variants for."""
    made = {
        "Variants": variants(study, results),
        "Other architectures and interpolations": others(study, results),
        "Hybrids": fusions(study, results),
        "Rerankers": rerankers(study, results),
    }
    return {label: table for label, table in made.items() if table}


def main_variants(study: Study) -> list[str]:
    """The retrievers but for those of another architecture than the base's that could be fine-tuned."""
    kinds = {name: study.checkpoints[block.checkpoint].architecture for name, block in study.trained.items()}
    base = kinds[study.report.base]
    return [name for name, kind in kinds.items() if kind == base or not {kind, base} <= set(SEARCHING)]


def other_variants(study: Study) -> list[str]:
    """The variants that search and are not in the main table: other architectures, and interpolations."""
    main = main_variants(study)
    return [name for name in study.searchers if name not in main]


def variants(study: Study, results: Sequence[Result]) -> Table:
    """The main table in at most seven columns, and what the columns mean."""
    notes: list[str | Text] = [_targets(study, results), _meaning(study), *_of_nothing(study, results)]
    return _table(study, readings(study, results), main_variants(study), notes)


def others(study: Study, results: Sequence[Result]) -> Table | None:
    """Other architectures and interpolations under the same heads, below the base; None without any."""
    note = "Retrievers of another architecture than the base's, and interpolations of weights, next to the base."
    return _below_base(study, results, other_variants(study), note)


def fusions(study: Study, results: Sequence[Result]) -> Table | None:
    """The fusions under the same heads, below the base; None without any."""
    return _below_base(study, results, list(study.fusions), hybrids.note(study))


def _below_base(study: Study, results: Sequence[Result], names: Sequence[str], note: str | Text) -> Table | None:
    return _table(study, readings(study, results), [study.report.base, *names], [note]) if names else None


def rerankers(study: Study, results: Sequence[Result]) -> Table | None:
    """The rerankers under the same heads, below the base on the queries that they reranked; None without any."""
    if not study.rerankers:
        return None
    base = base_on_part(study, results)
    shown = {**base, **readings(study, results)}
    return _table(study, shown, [*base, *study.rerankers], [_reranked(study, results)])


def _table(
    study: Study, shown: Mapping[str, Sequence[Reading]], names: Iterable[str], notes: Sequence[str | Text]
) -> Table:
    """The named variants, each with three columns a target."""
    heads = ["variant"]
    for target, domain in zip(study.report.targets, DOMAINS, strict=False):
        heads += [f"{target.measure} {domain}", f"change {domain}, % (interval)", f"verdict {domain}"]
    lines = [[name, *(cell for one in shown[name] for cell in _cells(one))] for name in names]
    return Table(heads, lines, notes)


def base_on_part(study: Study, results: Sequence[Result]) -> dict[str, list[Reading]]:
    """The base's values on the queries that were reranked, under a name of their own."""
    values = []
    for target in study.report.targets:
        here = files.at(results, target)
        base = next((here[name].base for name in study.rerankers if name in here), None)
        values.append(Reading(NOTHING if base is None else f"{base:.4f}", "", "", "", "", "", ""))
    return {f"{study.report.base}, on the same queries": values}


def _reranked(study: Study, results: Sequence[Result]) -> str:
    queries = []
    for target in study.report.targets:
        here = files.at(results, target)
        one = next((here[name] for name in study.rerankers if name in here and here[name].comparison), None)
        if one and one.comparison:
            queries.append(f"{one.comparison.queries:,} of the {one.of:,} queries of {target.corpus} {target.split}")
    first = list(dict.fromkeys(block.first_stage for block in study.rerankers.values()))
    on = f", on {' and '.join(queries)}" if queries else ""
    return f"Rerankers rerank the first {study.rerank.depth} passages that {' or '.join(first)} retrieves{on}."


def sureness(study: Study, results: Sequence[Result]) -> Table:
    """What is behind the verdicts: corrected p, minimum detectable effect, queries by the sign of their change."""
    shown = readings(study, results)
    heads = ["variant"]
    for domain in DOMAINS[: len(study.report.targets)]:
        heads += [
            f"corrected p {domain}",
            f"minimum detectable effect {domain}, %",
            f"queries better / worse / equal {domain}",
        ]
    lines = [
        [name, *(cell for one in shown[name] for cell in (one.p, one.detectable, one.queries))]
        for name in study.variants
        if name != study.report.base
    ]
    note = (
        f"The minimum detectable effect is the change that a test at {study.report.significance:g}, uncorrected, would "
        "find in 80 % of such samples of queries. p is corrected (Holm) over all variants of its column."
    )
    return Table(heads, lines, [note])


def caption(study: Study, results: Sequence[Result]) -> list[str | Text]:
    """What a table for a paper says below it. Raises UserError where a target has no verdict."""
    for target in study.report.targets:
        if not any(one.comparison and one.comparison.verdict for one in files.at(results, target).values()):
            raise UserError(f"reports/results.json: no variant has a verdict on {target}; run dvc repro evaluate")
    best = "The best value on all queries is bold."
    return [_targets(study, results), _meaning(study), *_of_nothing(study, results), best]


def _of_nothing(study: Study, results: Sequence[Result]) -> list[Text]:
    """That the base has 0 on a target, of which nothing is a per cent."""
    named = [
        str(target)
        for target in study.report.targets
        if any(one.comparison and not one.base for one in files.at(results, target).values())
    ]
    where = " and ".join(named)
    base = code(study.report.base)
    return [text(base, f" has 0 on {where}: {NOTHING} stands where a change would be in per cent of it.")] * bool(named)


def _targets(study: Study, results: Sequence[Result]) -> str:
    """Which corpus, split and queries a domain is."""
    parts: list[str] = []
    for target, domain in zip(study.report.targets, DOMAINS, strict=False):
        compared = [one.comparison for one in files.at(results, target).values() if one.comparison]
        whole = max(compared, key=lambda one: one.queries, default=None)
        lacking = max((one.unanswerable for one in files.at(results, target).values()), default=0)
        none = f", {lacking:,} of them without a relevant passage: they count 0" if lacking else ""
        size = f" ({whole.queries:,} queries in {whole.clusters:,} clusters{none})" if whole else ""
        parts.append(f"{domain.capitalize() if not parts else domain} is {target.corpus} {target.split}{size}")
    return ", ".join(parts) + "."


def _meaning(study: Study) -> Text:
    """What change, interval and verdicts are."""
    report, several = study.report, len(study.seeds) > 1
    seeds = ", ".join(map(str, study.seeds))
    test = (
        "t test over queries and seeds (a randomisation test without fine-tuning)" if several else "randomisation test"
    )
    over = "queries and seeds" if several else "queries"
    return text(
        f"Values of fine-tuned variants are mean ± standard deviation over {len(study.seeds)} seeds ({seeds}). "
        if several
        else "",
        "Changes are in per cent of ",
        code(report.base),
        f", with {100 * (1 - report.significance):g} % intervals over {over}",
        "" if several else f"; with one seed ({seeds}) they do not say how far another seed would move a variant",
        f". Better and worse: a {test}, corrected for the number of variants (Holm), finds the change at p < "
        f"{report.significance:g}. No difference: the change is surely smaller than {report.margin:g} %. Cannot tell: "
        "these queries show neither.",
    )


def _cells(one: Reading) -> list[Cell]:
    change = f"{one.change} ({one.interval})" if one.interval else one.change
    return [strong(one.value) if one.best else one.value, change, one.verdict]


def _reading(result: Result | None, best: float | None, base: str) -> Reading:
    if result is None:
        return Reading()
    spread = f" ± {result.spread:.4f}" if result.spread is not None else ""
    value, top = f"{result.value:.4f}{spread}", result.value == best and not result.on_part
    compared = result.comparison
    if compared is None:
        return Reading(value, "", "", "", "", "", "", top)
    return Reading(
        value,
        changes.signed(result.change()),
        changes.interval(result),
        compared.verdict or "",
        changes.p_value(compared.p_family),
        changes.detectable(result),
        f"{compared.better} / {compared.worse} / {compared.equal}",
        top,
    )


def paper(study: Study, results: Sequence[Result]) -> str:
    """The tables as one in LaTeX, a rule between them; rerankers come after the base on the same queries."""
    shown = {**readings(study, results), **base_on_part(study, results)}
    lines = {name: [name, *(cell for one in cells for cell in _paper_cells(one))] for name, cells in shown.items()}
    groups = [(str(target), 4) for target in study.report.targets]
    heads = ["Variant", *(["Value", "Change %", "Interval %", "Verdict"] * len(groups))]
    named = [names for names in (main_variants(study), other_variants(study), list(study.fusions)) if names]
    parts = [[lines[name] for name in names] for names in named]
    notes = [*caption(study, results), *([hybrids.note(study)] if study.fusions else [])]
    if study.rerankers:
        parts.append([lines[name] for name in [*base_on_part(study, results), *study.rerankers]])
        notes.append(_reranked(study, results))
    return latex.table(groups, heads, parts, notes)


def _paper_cells(one: Reading) -> list[Cell]:
    return [strong(one.value) if one.best else one.value, one.change, one.interval, one.verdict]
