"""The gate's summary in Markdown: what got worse, by how much, how sure, and what else differs between the sides."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.evaluation.comparison import CANNOT_TELL
from stages.evaluation.differences import most_changed
from stages.evaluation.per_query import PerQuery
from stages.evaluation.regressions import FELL, UNCHANGED, Revised
from stages.params import Study
from stages.params.report import Target
from stages.reporting import changes, markdown
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Items, Text, code, strong, text

# What decides the outcome, so that a change of it is named next to the outcome.
SETTINGS = ("report.in_domain", "report.base", "report.significance", "gate.tolerance")

Sides = tuple[PerQuery, PerQuery]  # now, before


def summary(revised: Sequence[Revised], notes: Sequence[Text], study: Study, short: str) -> str:
    """The outcome, notes, one line for each variant, and the queries that each variant that got worse lost most.

    short is the earlier commit.
    """
    worse = [entry for entry in revised if entry.verdict == FELL]
    items = [*_of_base(revised, study.report.base), *notes]
    blocks: list[markdown.Block] = [_outcome(revised, worse, study.report.in_domain, short)]
    blocks += [Items(tuple(items))] if items else []
    blocks.append(_table(revised, study))
    return "\n".join([markdown.document(blocks), *(_lost(entry, study.report.shown) for entry in worse)])


def of_settings(study: Study, earlier: Mapping[str, Any], short: str, corpora: Mapping[str, str]) -> list[Text]:
    """Settings of the outcome that are not those of the revision; one that it did not have is passed over.

    earlier are the revision's blocks of params.yaml; corpora maps the names of its corpora to today's.
    """
    notes, blocks = [], study.model_dump()
    for name in SETTINGS:
        block, key = name.split(".")
        known = earlier.get(block)
        now, before = blocks[block][key], known.get(key) if isinstance(known, dict) else None
        if isinstance(before, dict) and "corpus" in before:
            before = {**before, "corpus": corpora.get(before["corpus"], before["corpus"])}
        if before is not None and now != before:
            was = text(code(name), f" is {_setting(now)} and was {_setting(before)} at ", code(short))
            notes.append(text(was, f": here it is {_setting(now)}."))
    return notes


def of_names(names: Mapping[str, str], same: str) -> list[Text]:
    """What had another name; names maps a name to its earlier one; `same` says what shows it, such as the recipe."""
    return [
        text(code(name), " was called ", code(old), f": the {same} is the same.")
        for name, old in names.items()
        if name != old
    ]


def of_variants(variants: Sequence[str], earlier: Sequence[str], names: Mapping[str, str]) -> list[Text]:
    """Variants that are gone or new; names maps a variant to its earlier name."""
    gone = [name for name in earlier if name not in names.values()]
    new = [name for name in variants if name not in names]
    return [
        text(f"{what}, so not compared: ", _listed(some), ".") for what, some in (("Gone", gone), ("New", new)) if some
    ]


def of_queries(sides: Sequence[Sides], short: str) -> list[Text]:
    """How many queries are on one side only, and that neither table knows clusters; each sentence once."""
    notes: dict[Text, None] = {}
    for now, before in sides:
        ids, earlier = set(now.query_ids), set(before.query_ids)
        if ids != earlier:
            count = f"{len(ids & earlier)} queries are compared: {len(ids - earlier)} more are only in the workspace, "
            notes[text(f"{count}{len(earlier - ids)} only at ", code(short), ".")] = None
        if now.clusters is None and before.clusters is None:
            notes[
                text(
                    "Neither table names clusters: every query counts as its own, and where some belong together the "
                    "intervals are too narrow."
                )
            ] = None
    return list(notes)


def of_seeds(sides: Mapping[str, Sides]) -> list[Text]:
    """Variants whose seed runs are of other seeds now than before."""
    other = [variant for variant, (now, before) in sides.items() if now.seed_runs != before.seed_runs]
    return (
        [text("The seeds differ; compared are the seed runs that both sides have: ", _listed(other), ".")]
        if other
        else []
    )


def _of_base(revised: Sequence[Revised], base: str) -> list[Text]:
    verdict = next((entry.verdict for entry in revised if entry.variant == base), UNCHANGED)
    if verdict == UNCHANGED:
        return []
    moved = "got worse itself" if verdict == FELL else "is not what it was"
    return [
        text(
            "The base ",
            code(base),
            f" {moved}, though nothing trains it: the collection, its judgments, the checkpoint or the measuring code "
            "changed, and that is part of the other variants' changes, too.",
        )
    ]


def _outcome(revised: Sequence[Revised], worse: Sequence[Revised], target: Target, short: str) -> Text:
    where = text(f" on {target.measure} {target.corpus} {target.split} since ", code(short))
    if worse:
        sizes = ", ".join(f"{entry.variant} by {changes.size(entry).lstrip('+-')}" for entry in worse)
        return text(strong(f"{len(worse)} of {len(revised)} variants got worse"), where, f": {sizes}.")
    unsure = [entry.variant for entry in revised if entry.verdict == CANNOT_TELL]
    rest = f" The queries cannot tell about {', '.join(unsure)}." if unsure else ""
    return text(strong("No variant got worse"), where, f", of {len(revised)} compared.{rest}")


def _table(revised: Sequence[Revised], study: Study) -> Table:
    interval = f"{100 * (1 - study.report.significance):g} % interval"
    heads = ["variant", "before", "now", "change %", interval, "p (Holm)", "better / worse / equal", "verdict"]
    lines: list[list[Cell]] = []
    for entry in revised:
        compared, verdict = entry.comparison, entry.verdict or ""
        lines.append(
            [
                entry.variant,
                f"{entry.before.mean:.4f}",
                f"{entry.now.mean:.4f}",
                changes.signed(entry.change()),
                changes.interval(entry) or NOTHING,
                f"{compared.p_family:.4f}",
                f"{compared.better} / {compared.worse} / {compared.equal}",
                strong(verdict) if verdict == FELL else verdict,
            ]
        )
    return Table(heads, lines, [_explained(revised, study)])


def _explained(revised: Sequence[Revised], study: Study) -> str:
    first = revised[0].comparison
    one = all(entry.comparison.seed_runs == 1 for entry in revised)
    return (
        f"Change and interval are in per cent of before, over {first.queries} queries in {first.clusters} clusters. A "
        "variant got worse when p, corrected over the variants that changed, is below "
        f"{study.report.significance:g} and it lost more than {study.gate.tolerance:g} %."
        f"{' With one seed, this judges the checkpoints and not the recipes.' if one else ''}"
    )


def _lost(entry: Revised, shown: int) -> str:
    """The queries that lost most, ids only: a collection's texts may not be ours to publish."""
    _, lost = most_changed(entry.before, entry.now, shown)
    items = tuple(
        text(code(query.query_id), f": {query.before} -> {query.after} ({query.change:+.4f})") for query in lost
    )
    return (
        f"<details><summary>{entry.variant}: the queries that lost most, and the rank of their first relevant passage"
        f"</summary>\n\n{markdown.document([Items(items)])}\n</details>\n"
    )


def _setting(value: Any) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def _listed(names: Sequence[str]) -> Text:
    return text(*(part for at, name in enumerate(names) for part in ((", ",) if at else ()) + (code(name),)))
