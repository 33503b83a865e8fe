"""The study's answer, from the verdicts of its rows: fine-tune (which row), do not, or cannot tell."""
from stages.evaluation.significance import per_cent


def answer(entries: list[dict], report, trained: list[str]) -> dict:
    """{"advice": "fine-tune" | "do not" | "cannot tell", "variant", "why"} from results entries.

    Fine-tune: some trained row is better on the primary measure, and of these one is chosen that is not worse
    outside, where there is one; the highest lower end of the interval decides. Do not: every trained row is worse, or
    differs by less than the margin. Cannot tell: anything else.
    """
    inside, outside = (_verdicts(entries, place) for place in (report.in_domain, report.out_of_domain))
    judged = {row: inside[row] for row in trained if row in inside}
    better = [row for row in judged if judged[row]["verdict"] == "better"]
    harmless = [row for row in better if outside.get(row, {}).get("verdict") != "worse"]
    if better:
        row = max(harmless or better, key=lambda name: judged[name]["low"])
        return {"advice": "fine-tune", "variant": row, "inside": judged[row], "outside": outside.get(row)}
    if judged and all(entry["verdict"] in ("worse", "no difference") for entry in judged.values()):
        return {"advice": "do not", "variant": None}
    nearest = max(judged, key=lambda name: judged[name]["difference"], default=None)
    return {"advice": "cannot tell", "variant": nearest, "inside": judged.get(nearest), "outside": outside.get(nearest)}


def candidates(study, logs: dict[str, dict]) -> list[str]:
    """The rows that the answer may name: trained retrievers, and interpolations between them and their starts.

    Only those that were taught on the primary corpus or on one of its group.
    """
    def home(corpus: str) -> str:
        return study.corpora[corpus].group or corpus

    return [row for row in study.searchers if (row in study.interpolations or row in logs and logs[row]["seed_runs"])
            and home(study.trained_on(row)) == home(study.report.in_domain.corpus)]


def sentences(entries: list[dict], study, logs: dict[str, dict]) -> str:
    """The answer as the Markdown that opens the report and the README: advice, intervals, cost, and its limits."""
    report = study.report
    trained = candidates(study, logs)
    found = answer(entries, report, trained)
    place = report.in_domain
    judged = [entry for row, entry in _verdicts(entries, place).items() if row in trained]
    if not judged:
        lines = [f"**No answer yet:** no trained retriever has been measured on {place.corpus} {place.split}."]
        return "\n\n".join([*lines, *_reranked(entries, study)]) + "\n"
    counts = ", ".join(f"{sum(entry['verdict'] == verdict for entry in judged)} {verdict}" for verdict in
                       ("better", "worse", "no difference", "cannot tell"))
    queries, clusters = judged[0]["queries"], judged[0]["clusters"]
    lines = [{"fine-tune": f"**Fine-tune: `{found['variant']}`.** {_told(found['inside'], place, report)}",
              "do not": "**Do not fine-tune** in any of the ways tried: each is worse, or no better than the margin of "
                        f"{report.margin:g} %.",
              "cannot tell": f"**Cannot tell with {queries:,} queries.** The nearest to a gain is `{found['variant']}`: "
                             f"{_told(found.get('inside'), place, report)}"}[found["advice"]]]
    if report.out_of_domain and found.get("outside"):
        lines.append(f"Outside what taught it: {_told(found['outside'], report.out_of_domain, report)}")
        if found["advice"] == "fine-tune" and found["outside"]["verdict"] == "worse":
            lines.append("**It is worse there:** use it for this collection only.")
    elif found["advice"] == "fine-tune":
        lines.append("Nothing was measured outside what taught it: give `report.out_of_domain` a second corpus.")
    if found["variant"]:
        lines.append(_cost(found["variant"], study, logs))
    mixes = sum(row in study.interpolations for row in trained)
    lines.append(f"Of {len(judged)} trained rows{f' ({mixes} mixed with its start)' if mixes else ''} on {place.measure} of {place.corpus} {place.split} ({queries:,} queries "
                 f"in {clusters:,} clusters): {counts}. {_limits(study, judged)}")
    lines += _reranked(entries, study)
    return "\n\n".join(lines) + "\n"


def _reranked(entries: list[dict], study) -> list[str]:
    """What the best reranker makes of what another row ranks first; nothing where there is none."""
    place = study.report.in_domain
    judged = {row: entry for row, entry in _verdicts(entries, place).items() if row in study.rerankers}
    if not judged:
        return []
    row = max(judged, key=lambda name: judged[name]["low"])
    entry, outside = judged[row], _verdicts(entries, study.report.out_of_domain).get(row)
    part = f", on {entry['queries']:,} of the queries" if entry["queries"] < entry.get("of", 0) else ""
    there = f" Outside: {_told(outside, study.report.out_of_domain, study.report)}" if outside else ""
    return [f"Of {len(judged)} rerankers the best is `{row}`, which orders again what `{study.rerankers[row].first_stage}` ranks "
            f"first. Against `{study.report.base}`{part}: {_told(entry, place, study.report)}{there}"]


def _verdicts(entries: list[dict], place) -> dict[str, dict]:
    """Row -> its entry at a place, for those that have a verdict."""
    return {entry["variant"]: entry for entry in entries if place and "verdict" in entry and
            (entry["corpus"], entry["split"], entry["measure"]) == (place.corpus, place.split, place.measure)}


def _told(entry: dict, place, report) -> str:
    low, difference, high = (per_cent(entry, entry[key]) for key in ("low", "difference", "high"))
    return (f"{place.measure} {entry['base']:.4f} becomes {entry['base'] + entry['difference']:.4f} on {place.corpus} "
            f"{place.split}, {difference:+.1f} % ({100 * (1 - report.significance):g} % interval {low:+.1f} to {high:+.1f}, "
            f"{entry['verdict']}).")


def _cost(row: str, study, logs: dict[str, dict]) -> str:
    trained = study.interpolations[row].trained if row in study.interpolations else row
    copy, names = logs[trained]["seed_runs"][0], study.retrievers[trained]
    fit = study.recipes[names.recipe]
    unit = "pairs" if fit.loss.kind == "contrastive" else "triplets"
    return (f"Its cost: {copy['steps']:,} steps of {fit.batch} {unit} with {copy['trainable']:,} weights trained "
            f"({100 * copy['trainable'] / copy['total']:.2f} % of the model), and encoding the whole collection "
            f"with it.{' Then its weights are mixed with those it started from.' if trained != row else ''}")


def _limits(study, judged: list[dict]) -> str:
    if len(study.seeds) == 1:
        scope = (f"One seed ({study.seeds[0]}): this judges these checkpoints; another seed may move a row by some points,"
                 f" so before you trust a recipe run it with `-S 'seeds=[1,2,3]'`.")
    else:
        scope = f"{len(study.seeds)} seeds: the intervals count both queries and seeds, so they judge the recipes."
    return f"{scope} A row that was chosen because it came out best will look a little better than it is."
