"""Gate: did a change cost any row more than chance explains? Told from the committed files alone."""
from pathlib import Path

import click

from stages.lib import comparing, differences, params, revisions, tables
from stages.lib.mistakes import Mistake
from stages.lib.publish import publish

# What decides the outcome, so that a change which moves it is told beside the outcome.
SETTINGS = ("report.primary", "report.base", "report.alpha", "gate.tolerance")


@click.command()
@click.argument("revision", metavar="REV")
@click.option("--out", type=click.Path(path_type=Path), help="the summary goes to this file, too")
def main(revision: str, out: Path | None) -> None:
    """Compare every row's per-query values with those of git revision REV, on the primary measure.

    A row fell when its p-value, corrected over the rows compared, is below report.alpha and it lost more than
    gate.tolerance per cent of its earlier value. A row whose name alone changed is compared under its new name.
    Prints a summary in Markdown. Ends with 0 when no row fell, 1 when one did, and 2 when the two cannot be compared.
    """
    try:
        summary, fell = _gate(revision)
        if out:
            with publish(out) as draft:
                draft.write_text(summary)
    except Mistake as mistake:
        click.echo(f"cannot compare: {mistake}", err=True)
        raise SystemExit(2)
    click.echo(summary, nl=False)
    raise SystemExit(1 if fell else 0)


def _gate(revision: str) -> tuple[str, bool]:
    """The summary, and whether any row fell."""
    study, short = params.load(), revisions.commit(revision)
    earlier, place = _blocks(revision), study.report.primary
    now, before = revisions.table(), revisions.table(revision)
    rows, earlier_rows = revisions.rows(now, place), revisions.rows(before, place, revision)
    was = _same_rows(rows, earlier_rows, {name: row.model_dump() for name, row in study.retrievers.items()},
                     earlier.get("retrievers"))
    if not was:
        raise Mistake(f"{revisions.name_of(revision)}: none of its rows ({', '.join(earlier_rows)}) is still there on "
                      f"{place.corpus} {place.split}, under its name or its recipe; name a later revision")
    pairs = {row: (revisions.per_query(now, row, place), revisions.per_query(before, old, place))
             for row, old in was.items()}
    entries = [_entry(row, *pair, study.report, revision) for row, pair in pairs.items()]
    for entry, p in zip(entries, comparing.holm([entry["p"] for entry in entries])):
        entry["p_family"], entry["verdict"] = p, _verdict(entry, p, study.report.alpha, study.gate.tolerance)
    notes = [*_of_base(entries, study.report.base), *_of_settings(study, earlier, short),
             *_of_rows(rows, earlier_rows, was), *_of_queries(pairs, short), *_of_seeds(pairs)]
    fell = [entry for entry in entries if entry["verdict"] == "fell"]
    parts = [_outcome(entries, fell, place, short), "".join(f"- {note}\n" for note in notes),
             _table(entries, study.report), _legend(entries, study),
             *(_lost(entry, study.report.shown) for entry in fell)]
    return "\n".join(part for part in parts if part), bool(fell)


def _blocks(revision: str) -> dict:
    """params.yaml at a revision as it was written; it may be of a form that today's code would not accept."""
    from ruamel.yaml import YAML, YAMLError
    try:
        blocks = YAML(typ="safe").load(revisions.read(revision, "params.yaml"))
    except YAMLError:
        blocks = None
    if not isinstance(blocks, dict):
        raise Mistake(f"{revision}: its params.yaml cannot be read as YAML; name another revision")
    return blocks


def _same_rows(rows: list[str], earlier_rows: list[str], recipes: dict, earlier_recipes) -> dict[str, str]:
    """row -> its earlier name: the same one, or that of a row that is gone and had the same recipe."""
    def recipe(table, row):
        names = table.get(row) if isinstance(table, dict) else None
        return [names.get(key) for key in ("start", "tune", "triplets", "fit")] if isinstance(names, dict) else None
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
    """What comparing.change finds on the common queries, with both values and what _lost lists."""
    now, before, clusters = revisions.common(now, before)
    if not len(clusters):
        raise Mistake(f"{revisions.name_of(revision)}: has no query of row '{row}' in common with the workspace's; the "
                      f"collection is another one, so name a revision that has this one")
    found = revisions.change(now, before, clusters, report.alpha, report.resamples)
    return found | {"row": row, "before": float(before.values.mean()), "now": float(now.values.mean()),
                    "sides": (now, before)}


def _verdict(entry: dict, p: float, alpha: float, tolerance: float) -> str:
    """fell, worse within tolerance, better, unchanged (query by query), no difference (beyond it) or cannot tell."""
    if not entry["better"] and not entry["worse"]:
        return "unchanged"
    allowed = tolerance / 100 * entry["before"]
    verdict = comparing.verdict(entry, p, alpha, allowed)
    if verdict == "worse":
        return "fell" if -entry["difference"] > allowed else "worse within tolerance"
    return verdict


def _of_base(entries: list[dict], base: str) -> list[str]:
    verdict = next((entry["verdict"] for entry in entries if entry["row"] == base), "unchanged")
    told = {"unchanged": None, "fell": "fell itself"}.get(verdict, "is not what it was")
    return [f"The base `{base}` {told}, though nothing trains it: the collection, its judgments, the checkpoint or the "
            f"code that measures changed, and the other rows' changes hold that, too."] if told else []


def _of_settings(study, earlier: dict, short: str) -> list[str]:
    """Settings of the outcome that are not those of the revision; one that it did not have is passed over."""
    told, blocks = [], study.model_dump()
    for name in SETTINGS:
        block, key = name.split(".")
        said = earlier.get(block)
        now, before = blocks[block][key], said.get(key) if isinstance(said, dict) else None
        if before is not None and now != before:
            told.append(f"`{name}` is {_setting(now)} and was {_setting(before)} at `{short}`: here it is "
                        f"{_setting(now)}.")
    return told


def _setting(value) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def _of_rows(rows: list[str], earlier_rows: list[str], was: dict[str, str]) -> list[str]:
    told = [f"`{row}` was called `{old}`: the recipe is the same." for row, old in was.items() if row != old]
    for names, what in (([row for row in earlier_rows if row not in was.values()], "Gone"),
                        ([row for row in rows if row not in was], "New")):
        told += [f"{what}, so not compared: {', '.join(f'`{name}`' for name in names)}."] if names else []
    return told


def _of_queries(pairs: dict, short: str) -> list[str]:
    """How many queries are on one side only, and that neither table knows clusters; each sentence once."""
    told = {}
    for now, before in pairs.values():
        ids, earlier = set(now.query_ids), set(before.query_ids)
        if ids != earlier:
            told[f"{len(ids & earlier)} queries are compared: {len(ids - earlier)} more are only in the workspace, "
                 f"{len(earlier - ids)} only at `{short}`."] = None
        if now.clusters is None and before.clusters is None:
            told["Neither table names clusters: every query counts as its own, and where some belong together the "
                 "intervals are too narrow."] = None
    return list(told)


def _of_seeds(pairs: dict) -> list[str]:
    other = [row for row, (now, before) in pairs.items() if now.copies != before.copies]
    return [f"Not the same seeds on both sides: {', '.join(f'`{row}`' for row in other)}."] if other else []


def _outcome(entries: list[dict], fell: list[dict], place, short: str) -> str:
    where = f"on {place.measure} {place.corpus} {place.split} since `{short}`"
    if fell:
        rows = ", ".join(f"{entry['row']} by {abs(_per_cent(entry, entry['difference'])):.1f} %" for entry in fell)
        return f"**{len(fell)} of {len(entries)} rows fell** {where}: {rows}.\n"
    unsure = [entry["row"] for entry in entries if entry["verdict"] == "cannot tell"]
    rest = f" of {', '.join(unsure)} the queries cannot tell." if unsure else ""
    return f"**No row fell** {where}, of {len(entries)} compared{';' if rest else '.'}{rest}\n"


def _table(entries: list[dict], report) -> str:
    heads = ["row", "before", "now", "change %", f"{100 * (1 - report.alpha):g} % interval", "p (Holm)",
             "better / worse / equal", "verdict"]
    lines = []
    for entry in entries:
        low, change, high = (_per_cent(entry, entry[key]) for key in ("low", "difference", "high"))
        verdict = f"**{entry['verdict']}**" if entry["verdict"] == "fell" else entry["verdict"]
        lines.append([entry["row"], f"{entry['before']:.4f}", f"{entry['now']:.4f}", f"{change:+.1f}",
                      f"{low:+.1f} to {high:+.1f}", f"{entry['p_family']:.4f}",
                      f"{entry['better']} / {entry['worse']} / {entry['equal']}", verdict])
    return tables.markdown(heads, lines)


def _legend(entries: list[dict], study) -> str:
    one = all(entry["copies"] == 1 for entry in entries)
    return (f"Change and interval are in per cent of before, over {entries[0]['queries']} queries in "
            f"{entries[0]['clusters']} clusters. A row fell when p, corrected over the {len(entries)} rows, is below "
            f"{study.report.alpha:g} and it lost more than {study.gate.tolerance:g} %."
            f"{' One seed: this judges the checkpoints, not the recipes.' if one else ''}\n")


def _lost(entry: dict, shown: int) -> str:
    """The queries that lost most, ids only: a collection's texts may not be ours to publish."""
    now, before = entry["sides"]
    change = now.values.mean(axis=0) - before.values.mean(axis=0)
    _, lost = differences.most(change, shown)
    lines = []
    for at in lost:
        before_rank, now_rank = (differences.ranks_as_text(None if side.ranks is None else side.ranks[:, at])
                                 for side in (before, now))
        lines.append(f"- `{now.query_ids[at]}`: {before_rank} -> {now_rank} ({change[at]:+.4f})\n")
    return (f"<details><summary>{entry['row']}: the queries that lost most, and the rank of their first relevant "
            f"passage</summary>\n\n{''.join(lines)}\n</details>\n")


def _per_cent(entry: dict, value: float) -> float:
    return comparing.per_cent({"base": entry["before"]}, value) + 0.0


if __name__ == "__main__":
    main()
