"""Gate: did a change cost any row more than chance explains? Told from the committed files alone."""
from pathlib import Path

import click

from stages import params
from stages.evaluation import revisions
from stages.evaluation import significance
from stages.reporting import gate_summary
from stages.core.errors import UserError
from stages.core.files import publish


@click.command()
@click.argument("revision", metavar="REV")
@click.option("--out", type=click.Path(path_type=Path), help="the summary goes to this file, too")
def main(revision: str, out: Path | None) -> None:
    """Compare every row's per-query values with those of git revision REV, on the primary measure.

    A row fell when its p-value, corrected over the rows that changed, is below report.significance and it lost more than
    gate.tolerance per cent of its earlier value. A row whose name alone changed is compared under its new name.
    Prints a summary in Markdown. Ends with 0 when no row fell, 1 when one did, and 2 when the two cannot be compared.
    """
    try:
        summary, fell = _gate(revision)
        if out:
            with publish(out) as draft:
                draft.write_text(summary)
    except UserError as error:
        click.echo(f"cannot compare: {error}", err=True)
        raise SystemExit(2)
    click.echo(summary, nl=False)
    raise SystemExit(1 if fell else 0)


def _gate(revision: str) -> tuple[str, bool]:
    """The summary, and whether any row fell."""
    study, short = params.load(), revisions.commit(revision)
    earlier, place = _blocks(revision), study.report.in_domain
    now, before = revisions.table(), revisions.table(revision)
    rows, earlier_rows = revisions.rows(now, place), revisions.rows(before, place, revision)
    was = _same_rows(rows, earlier_rows, {name: row.model_dump() for name, row in study.variants.items()},
                     _rows_of(earlier))
    if not was:
        raise UserError(f"{revisions.name_of(revision)}: none of its rows ({', '.join(earlier_rows)}) is still there on "
                      f"{place.corpus} {place.split}, under its name or its recipe; name a later revision")
    pairs = {row: (revisions.per_query(now, row, place), revisions.per_query(before, old, place))
             for row, old in was.items()}
    entries = [_entry(row, *pair, study.report, revision) for row, pair in pairs.items()]
    changed = [entry for entry in entries if entry["better"] or entry["worse"]]
    corrected = dict(zip((entry["variant"] for entry in changed), significance.holm([entry["p"] for entry in changed])))
    for entry in entries:
        p = entry["p_family"] = corrected.get(entry["variant"], 1.0)
        entry["verdict"] = _verdict(entry, p, study.report.significance, study.gate.tolerance)
    notes = [*gate_summary.of_settings(study, earlier, short), *gate_summary.of_rows(rows, earlier_rows, was),
             *gate_summary.of_queries(pairs, short), *gate_summary.of_seeds(pairs)]
    return gate_summary.markdown(entries, notes, study, short), any(entry["verdict"] == "fell" for entry in entries)


def _blocks(revision: str) -> dict:
    """params.yaml at a revision as it was written; it may be of a form that today's code would not accept."""
    from ruamel.yaml import YAML, YAMLError
    try:
        blocks = YAML(typ="safe").load(revisions.read(revision, "params.yaml"))
    except YAMLError:
        blocks = None
    if not isinstance(blocks, dict):
        raise UserError(f"{revision}: its params.yaml cannot be read as YAML; name another revision")
    return blocks


def _rows_of(blocks: dict) -> dict:
    """Retrievers and rerankers of an earlier params.yaml, whatever its form."""
    tables = [blocks.get(name) for name in ("retrievers", "rerankers")]
    return {row: names for table in tables if isinstance(table, dict) for row, names in table.items()}


def _same_rows(rows: list[str], earlier_rows: list[str], recipes: dict, earlier_recipes: dict) -> dict[str, str]:
    """row -> its earlier name: the same one, or that of a row that is gone and had the same recipe."""
    def recipe(table, row):
        names, keys = table.get(row), ("start", "tuning", "triplets", "recipe", "first")
        return [names.get(key) for key in keys] if isinstance(names, dict) else None
    gone = [row for row in earlier_rows if row not in rows]
    was = {}
    for row in rows:
        said = recipe(recipes, row)
        same = [old for old in gone if said and said == recipe(earlier_recipes, old)]
        if row in earlier_rows:
            was[row] = row
        elif same:
            was[row] = same[0]
            gone.remove(same[0])
    return was


def _entry(row: str, now, before, report, revision: str) -> dict:
    """What significance.change finds on the common queries, with both values and what _lost lists."""
    now, before, clusters = revisions.common(now, before)
    if not len(clusters):
        raise UserError(f"{revisions.name_of(revision)}: has no query of row '{row}' in common with the workspace's; the "
                      f"collection is another one, so name a revision that has this one")
    found = revisions.change(now, before, clusters, report.significance, report.resamples)
    return found | {"variant": row, "before": float(before.values.mean()), "now": float(now.values.mean()),
                    "sides": (now, before)}


def _verdict(entry: dict, p: float, alpha: float, tolerance: float) -> str:
    """fell, worse within tolerance, better, unchanged (query by query), no difference (beyond it) or cannot tell."""
    if not entry["better"] and not entry["worse"]:
        return "unchanged"
    allowed = tolerance / 100 * entry["before"]
    verdict = significance.verdict(entry, p, alpha, allowed)
    if verdict == "worse":
        return "fell" if -entry["difference"] > allowed else "worse within tolerance"
    return verdict


if __name__ == "__main__":
    main()
