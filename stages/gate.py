"""Gate: did a change cost any variant more than chance explains? It reads committed files alone."""

from pathlib import Path

import click

from stages import params
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import per_query, regressions, revisions
from stages.evaluation.per_query import PerQuery
from stages.evaluation.regressions import Revised
from stages.params.report import Report
from stages.reporting import gate as pages


@click.command()
@click.argument("revision", metavar="REV")
@click.option("--out", type=click.Path(path_type=Path), help="a file that gets the summary, too")
def main(revision: str, out: Path | None) -> None:
    """Compare every variant's per-query values with those of git revision REV, on the target in domain.

    A variant got worse when its p-value, corrected over the variants that changed, is below report.significance and it
    lost more than gate.tolerance per cent of its earlier value. A variant or corpus whose name alone changed is
    compared under its new name. Prints a summary in Markdown. Exits with 0 when no variant got worse, 1 when one did,
    and 2 when the two cannot be compared.
    """
    try:
        summary, worse = _gate(revision)
        if out:
            with publish(out) as draft:
                draft.write_text(summary)
    except UserError as error:
        click.echo(f"cannot compare: {error}", err=True)
        raise SystemExit(2)
    click.echo(summary, nl=False)
    raise SystemExit(1 if worse else 0)


def _gate(revision: str) -> tuple[str, bool]:
    """The summary, and whether any variant got worse."""
    study, short = params.load(), revisions.commit(revision)
    settings, target = revisions.settings(revision), study.report.in_domain
    now, before = per_query.read(), revisions.table(revision)
    corpus = regressions.earlier_corpus(target.corpus, study.corpora[target.corpus].source, settings)
    then = target.model_copy(update={"corpus": corpus})
    variants = per_query.variants(now, target)
    earlier = per_query.variants(before, then, revisions.name_of(revision))
    blocks = {name: block.model_dump() for name, block in study.variants.items()}
    names = regressions.earlier_names(variants, earlier, blocks, regressions.variants_of(settings))
    if not names:
        raise UserError(
            f"{revisions.name_of(revision)}: none of its variants ({', '.join(earlier)}) is still there on "
            f"{target.corpus} {target.split}, under its name or its recipe; name a later revision"
        )
    sides = {
        variant: (per_query.of(now, variant, target), per_query.of(before, name, then))
        for variant, name in names.items()
    }
    revised = [_revised(variant, *pair, study.report, revision) for variant, pair in sides.items()]
    revised = regressions.judged(revised, study.report.significance, study.gate.tolerance)
    notes = [
        *pages.of_settings(study, settings, short, {corpus: target.corpus}),
        *pages.of_names({target.corpus: corpus}, "source"),
        *pages.of_names(names, "recipe"),
        *pages.of_variants(variants, earlier, names),
        *pages.of_queries(list(sides.values()), short),
        *pages.of_seeds(sides),
    ]
    return pages.summary(revised, notes, study, short), any(entry.verdict == regressions.FELL for entry in revised)


def _revised(variant: str, now: PerQuery, before: PerQuery, report: Report, revision: str) -> Revised:
    now, before = per_query.common(now, before)
    if not len(now.query_ids):
        raise UserError(
            f"{revisions.name_of(revision)}: has no query of variant '{variant}' in common with the workspace's; the "
            "collection is another one, so name a revision that has this one"
        )
    return Revised(variant, now, before, per_query.compare(now, before, report.significance, report.resamples))


if __name__ == "__main__":
    main()
