"""The gate's summary in Markdown: what fell, by how much, how sure, and what else differs between the two sides."""
from stages.evaluation import differences
from stages.evaluation import significance
from stages.reporting import tables

# What decides the outcome, so that a change which moves it is told beside the outcome.
SETTINGS = ("report.in_domain", "report.base", "report.significance", "gate.tolerance")


def markdown(entries: list[dict], notes: list[str], study, short: str) -> str:
    """The outcome, notes, one line a row, and the queries that each fallen row lost most.

    entries are significance.change's with row, before, now, p_family, verdict and sides; short is the earlier commit.
    """
    fell = [entry for entry in entries if entry["verdict"] == "fell"]
    parts = [_outcome(entries, fell, study.report.in_domain, short),
             "".join(f"- {note}\n" for note in [*_of_base(entries, study.report.base), *notes]),
             _table(entries, study.report), _legend(entries, study),
             *(_lost(entry, study.report.shown) for entry in fell)]
    return "\n".join(part for part in parts if part)


def _of_base(entries: list[dict], base: str) -> list[str]:
    verdict = next((entry["verdict"] for entry in entries if entry["variant"] == base), "unchanged")
    told = {"unchanged": None, "fell": "fell itself"}.get(verdict, "is not what it was")
    return [f"The base `{base}` {told}, though nothing trains it: the collection, its judgments, the checkpoint or the "
            f"code that measures changed, and the other rows' changes hold that, too."] if told else []


def of_settings(study, earlier: dict, short: str) -> list[str]:
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


def of_rows(rows: list[str], earlier_rows: list[str], was: dict[str, str]) -> list[str]:
    """Rows that were renamed, are gone or are new; was maps a row to its earlier name."""
    told = [f"`{row}` was called `{old}`: the recipe is the same." for row, old in was.items() if row != old]
    for names, what in (([row for row in earlier_rows if row not in was.values()], "Gone"),
                        ([row for row in rows if row not in was], "New")):
        told += [f"{what}, so not compared: {', '.join(f'`{name}`' for name in names)}."] if names else []
    return told


def of_queries(pairs: dict, short: str) -> list[str]:
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


def of_seeds(pairs: dict) -> list[str]:
    """Rows whose copies are of other seeds now than before."""
    other = [row for row, (now, before) in pairs.items() if now.copies != before.copies]
    return [f"Not the same seeds on both sides, so those that both have are compared: "
            f"{', '.join(f'`{row}`' for row in other)}."] if other else []


def _outcome(entries: list[dict], fell: list[dict], place, short: str) -> str:
    where = f"on {place.measure} {place.corpus} {place.split} since `{short}`"
    if fell:
        rows = ", ".join(f"{entry['variant']} by {abs(_per_cent(entry, entry['difference'])):.1f} %" for entry in fell)
        return f"**{len(fell)} of {len(entries)} rows fell** {where}: {rows}.\n"
    unsure = [entry["variant"] for entry in entries if entry["verdict"] == "cannot tell"]
    rest = f" of {', '.join(unsure)} the queries cannot tell." if unsure else ""
    return f"**No row fell** {where}, of {len(entries)} compared{';' if rest else '.'}{rest}\n"


def _table(entries: list[dict], report) -> str:
    heads = ["variant", "before", "now", "change %", f"{100 * (1 - report.significance):g} % interval", "p (Holm)",
             "better / worse / equal", "verdict"]
    lines = []
    for entry in entries:
        verdict = f"**{entry['verdict']}**" if entry["verdict"] == "fell" else entry["verdict"]
        lines.append([entry["variant"], f"{entry['before']:.4f}", f"{entry['now']:.4f}",
                      _shares(entry, "difference"), _shares(entry, "low", "high"), f"{entry['p_family']:.4f}",
                      f"{entry['better']} / {entry['worse']} / {entry['equal']}", verdict])
    return tables.markdown(heads, lines)


def _legend(entries: list[dict], study) -> str:
    one = all(entry["seed_runs"] == 1 for entry in entries)
    return (f"Change and interval are in per cent of before, over {entries[0]['queries']} queries in "
            f"{entries[0]['clusters']} clusters. A row fell when p, corrected over the rows that changed, is below "
            f"{study.report.significance:g} and it lost more than {study.gate.tolerance:g} %."
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
    return (f"<details><summary>{entry['variant']}: the queries that lost most, and the rank of their first relevant "
            f"passage</summary>\n\n{''.join(lines)}\n</details>\n")


def _shares(entry: dict, *keys: str) -> str:
    """Figures in per cent of before; – where that is 0."""
    return " to ".join(f"{_per_cent(entry, entry[key]):+.1f}" for key in keys) if entry["before"] else "–"


def _per_cent(entry: dict, value: float) -> float:
    return significance.per_cent({"base": entry["before"]}, value) + 0.0
