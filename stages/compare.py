"""Compare: two variants on request, from the committed per-query values."""

from collections.abc import Sequence
from pathlib import Path

import click

from stages import params
from stages.collections import excerpts
from stages.core.errors import UserError
from stages.evaluation import comparison, per_query, regressions, revisions
from stages.evaluation.comparison import Comparison
from stages.evaluation.differences import most_changed
from stages.evaluation.per_query import BASE_CHECKPOINT, PerQuery
from stages.params.corpora import Corpus
from stages.params.report import Report, Target
from stages.reporting import changes

LENGTH = 200
CORPORA = Path("data/corpora")


@click.command()
@click.argument("variant")
@click.argument("other")
@click.option("--before", metavar="REV", help="OTHER as it was at this git revision")
@click.option("--corpus", help="where, if not that of report.in_domain")
@click.option("--split", help="a judged split of it, if not that of report.in_domain")
@click.option("--measure", help="by what, if not that of report.in_domain")
@click.option("--shown", type=click.IntRange(min=0), help="so many queries each way, if not report.shown")
def main(
    variant: str,
    other: str,
    before: str | None,
    corpus: str | None,
    split: str | None,
    measure: str | None,
    shown: int | None,
) -> None:
    """Say by how much VARIANT differs from OTHER, how far that could be chance, and which queries moved most.

    With --before REV and the same name twice: what a change did to a variant, query by query. Texts are shown where the
    corpus is in data/corpora.
    """
    study = params.load()
    if variant == other and before is None:
        raise UserError(f"{variant}: is compared with itself; name another variant, or a revision with --before REV")
    given = {"corpus": corpus, "split": split, "measure": measure}
    target = study.report.in_domain.model_copy(update={key: value for key, value in given.items() if value})
    then = target if before is None else _at(before, target, study.corpora.get(target.corpus))
    one, two = per_query.common(_values(variant, target, None), _values(other, then, before))
    if not len(one.query_ids):
        raise UserError(
            f"{revisions.name_of(before)}: has no query of {target.corpus} {target.split} in common with the "
            "workspace's; name a revision of the same collection"
        )
    names = (variant, other if before is None else f"{other} at {revisions.commit(before)}")
    click.echo(_figures(one, two, names, target, study.report))
    gained, lost = most_changed(two, one, study.report.shown if shown is None else shown)
    texts = _texts(target, [query.query_id for query in [*gained, *lost]], study.corpora.get(target.corpus))
    for kind, queries in (("gained", gained), ("lost", lost)):
        if queries:
            click.echo(f"\n{kind} most: rank of the first relevant passage under {names[1]} -> {names[0]}")
        for query in queries:
            click.echo(f"  {query.query_id}  {query.before} -> {query.after}  ({query.change:+.4f})")
            for line in texts.get(query.query_id, []):
                click.echo(f"      {line}")


def _at(revision: str, target: Target, corpus: Corpus | None) -> Target:
    """The target under the name that its corpus had at a revision."""
    if corpus is None:
        return target
    name = regressions.earlier_corpus(target.corpus, corpus.source, revisions.settings(revision))
    return target.model_copy(update={"corpus": name})


def _values(variant: str, target: Target, revision: str | None) -> PerQuery:
    table, name = revisions.table(revision), revisions.name_of(revision)
    variants = per_query.variants(table, target, name)
    if variant not in variants:
        raise UserError(
            f"{name}: no variant is called '{variant}' on {target.corpus} {target.split}; "
            f"there are: {', '.join(variants)}"
        )
    return per_query.of(table, variant, target)


def _figures(one: PerQuery, other: PerQuery, names: tuple[str, str], target: Target, report: Report) -> str:
    """The figures, one on each line, in the measure's unit and in per cent of the other's value."""
    base = other.mean
    compared = per_query.compare(one, other, report.significance, report.resamples)
    verdict = comparison.verdict(compared, compared.p, report.significance, report.margin / 100 * base)
    detectable = "none: no query differs, or there is one cluster"
    if compared.detectable is not None:
        detectable = _with_share([compared.detectable], base).replace("+", "")
    figures = {
        "value": f"{one.mean:.4f} minus {base:.4f}",
        "difference": _with_share([compared.difference], base),
        f"{100 * (1 - report.significance):g} % interval": _with_share([compared.low, compared.high], base),
        "p": f"{compared.p:.4f}, of this pair alone",
        "better / worse / equal": f"{compared.better} / {compared.worse} / {compared.equal}",
        "detectable at 80 % power": detectable,
        "verdict": f"{verdict} (margin {report.margin:g} %)",
    }
    return "\n".join(
        [
            f"{names[0]} minus {names[1]}: {target}, {_counted(compared)}",
            _seeds(one.seed_runs, other.seed_runs),
            *(f"{name:26}{figure}" for name, figure in figures.items()),
        ]
    )


def _counted(compared: Comparison) -> str:
    return f"{compared.queries} queries in {compared.clusters} clusters"


def _with_share(values: Sequence[float], base: float) -> str:
    """Values in the measure's unit and, in brackets, in per cent of the base where that is not 0."""
    shares = " to ".join(changes.signed(comparison.per_cent(value, base)) for value in values)
    return " to ".join(changes.signed(value, 4) for value in values) + (f"  ({shares} %)" if base else "")


def _seeds(seed_runs: list[str], other: list[str]) -> str:
    if len(seed_runs) == len(other) == 1:
        if seed_runs == other == BASE_CHECKPOINT:
            return "no seeds: neither is fine-tuned"
        return "one seed: this judges the checkpoint, not the recipe"
    return f"{len(seed_runs)} and {len(other)} seed runs{', paired by seed' if seed_runs == other else ''}"


def _texts(target: Target, queries: list[str], corpus: Corpus | None) -> dict[str, list[str]]:
    """query_id -> its text, and the id and beginning of a most relevant passage; none where the corpus is not here."""
    folder = CORPORA / target.corpus
    files = (f"topics/{target.split}", f"qrels/{target.split}", "docs")
    if not queries or not all((folder / f"{name}.parquet").is_file() for name in files):
        return {}
    rel = corpus.judged[target.split].rel if corpus and target.split in corpus.judged else 1
    texts = {}
    for query, excerpt in excerpts.read(folder, target.split, queries, rel).items():
        texts[query] = [f"query    {_line(excerpt.query)}"]
        if excerpt.passage_id:
            texts[query].append(f"passage  {excerpt.passage_id}: {_line(excerpt.passage)}")
    return texts


def _line(text: str) -> str:
    return " ".join(text.split())[:LENGTH]


if __name__ == "__main__":
    main()
