"""Transfer: what each row costs or gains on collections that did not teach it."""
import json
from pathlib import Path

import click

from stages import params
from stages.analysis import transfer
from stages.analysis import vocabulary
from stages.evaluation import revisions
from stages.reporting import plotting
from stages.reporting import transfer_page
from stages.reporting import transfer_picture
from stages.core.files import publish


@click.command()
@click.option("--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="per-query values, parquet")
@click.option("--corpora", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="the corpora, with their passages")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="all figures, JSON")
@click.option("--page", type=click.Path(path_type=Path), required=True, help="the tables, Markdown")
@click.option("--picture", type=click.Path(path_type=Path), required=True, help="in domain against out of domain, PNG")
def main(queries: Path, corpora: Path, out: Path, page: Path, picture: Path) -> None:
    """Compare every row with the base on what taught it and on all other sets, and LoRA with full fine-tuning.

    A set is a corpus, or the mean of all that share a group. The corpus that taught a row is never out of domain for
    it, nor in the mean of the base that it is compared with; for an untouched row that corpus is the primary one.
    """
    study = params.load()
    table = revisions.table(path=queries)
    places = transfer.sets(study.corpora, study.report.in_domain)
    domains = {row: _domain(study, row, places) for row in study.variants}
    values = transfer.values(table, places, study.report.base)
    taught = list(dict.fromkeys(domain["taught"] for domain in domains.values() if domain["taught"]))
    alike, passages = _similarities(corpora, study.corpora, taught, places)
    rows = [_row(study, row, domains[row], values.get(row, {}), alike, table, places) for row in study.variants]
    pairs = [_pair(study, full, lora, domains[full], values, table, places)
             for full, lora in transfer.tuned_alike(study.variants, study.tunings) if full in values and lora in values]
    found = _rounded({
        "measure": study.report.in_domain.measure, "base": study.report.base, "alpha": study.report.significance,
        "sets": {name: [f"{spot.corpus} {spot.split}" for spot in spots] for name, spots in places.items()},
        "passages": passages, "similarity": alike, "variants": rows, "pairs": pairs})
    with publish(out) as draft:
        draft.write_text(json.dumps(found, indent=1) + "\n")
    with publish(page) as draft:
        draft.write_text(transfer_page.page(found, picture.name))
    with publish(picture) as draft:
        plotting.save(transfer_picture.scatter(found), draft)


def _domain(study, row: str, places: dict) -> dict:
    """A row's teaching corpus, its home set, and the others; what taught a reranker's first stage is none of these."""
    block, taught = study.variants[row], study.trained_on(row)
    home = transfer.set_of(study.corpora, taught or study.report.in_domain.corpus)
    first = study.trained_on(block.first_stage) if row in study.rerankers else None
    inside = {home, *([transfer.set_of(study.corpora, first)] if first else [])}
    made = ("interpolated" if row in study.interpolations else "trained" if study.recipes[block.recipe] else "untouched")
    return {"made": made, "taught": taught, "home": home, "others": [name for name in places if name not in inside]}


def _similarities(corpora: Path, named: dict, taught: list[str], places: dict) -> tuple[dict, dict]:
    """Teaching corpus -> set -> mean similarity of its corpora's words; and corpus -> passages counted, of how many.

    Beside the teaching corpora the words of one corpus at a time are held.
    """
    counted = {}
    teachers = {}
    for corpus in taught:
        teachers[corpus], *counted[corpus] = vocabulary.frequencies(corpora / corpus / "docs.parquet")
    alike: dict[str, dict[str, list]] = {corpus: {} for corpus in taught}
    for name, spots in places.items() if taught else ():
        for spot in spots:
            words = teachers.get(spot.corpus)
            if words is None:
                words, *counted[spot.corpus] = vocabulary.frequencies(corpora / spot.corpus / "docs.parquet")
            for corpus, own in teachers.items():
                alike[corpus].setdefault(name, []).append(vocabulary.weighted_jaccard(own, words))
    return ({corpus: {name: sum(found) / len(found) for name, found in sets.items()} for corpus, sets in alike.items()},
            {corpus: counted[corpus] for corpus in named if corpus in counted})


def _row(study, row: str, domain: dict, measured: dict, alike: dict, table, places: dict) -> dict:
    """A row against the base: in domain, over the sets outside, and on every set."""
    base, report = study.report.base, study.report
    ones, others = ({name: entry[side] for name, entry in measured.items()} for side in ("value", "base"))
    changed = transfer.changes(measured)
    few = [entry for entry in measured.values() if entry["queries"] < entry["of"]]
    return {"variant": row, **domain, "part": {"queries": sum(entry["queries"] for entry in few),
                                           "of": sum(entry["of"] for entry in few)} if few else None,
            "inside": _compared(ones, others, [domain["home"]], (row, base), table, places, report),
            "outside": _compared(ones, others, domain["others"], (row, base), table, places, report),
            "changes": changed, "correlation": transfer.correlation(
                changed, alike[domain["taught"]], domain["others"]) if domain["taught"] else None}


def _pair(study, full: str, lora: str, domain: dict, values: dict, table, places: dict) -> dict:
    """LoRA against full fine-tuning of the same lesson, in domain and over the sets outside."""
    ones, others = ({name: entry["value"] for name, entry in values[row].items()} for row in (lora, full))
    found = {"full": full, "lora": lora, "home": domain["home"]}
    for side, names in (("inside", [domain["home"]]), ("outside", domain["others"])):
        compared = _compared(ones, others, names, (lora, full), table, places, study.report)
        if compared:
            base = sum(values[full][name]["base"] for name in compared["sets"]) / len(compared["sets"])
            compared |= {"base": base, "difference % of base": transfer.per_cent(compared["difference"], base)}
        found[side] = compared
    return found


def _compared(ones: dict, others: dict, names: list, rows: tuple, table, places: dict, report) -> dict | None:
    found = transfer.over_sets(ones, others, names, report.significance)
    if found and len(found["sets"]) == 1:
        found |= transfer.on_queries(table, *rows, places[found["sets"][0]], report)
    return found and {**found, **transfer.in_per_cent(found)}


def _rounded(value):
    """The same with every number to 6 digits, so that equal runs give equal bytes."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, 6) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
