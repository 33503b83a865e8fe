"""Transfer: what each variant costs or gains on collections that it was not trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pyarrow as pa

from stages import params
from stages.analysis import sets, vocabulary
from stages.analysis.sets import SetValue
from stages.analysis.transfer import (
    Domain,
    Kind,
    OverSets,
    Part,
    Transfer,
    TuningPair,
    VariantTransfer,
    as_json,
    changes,
    correlation,
    over_sets,
    tuned_alike,
)
from stages.core.files import publish
from stages.evaluation import per_query
from stages.params import Study
from stages.params.report import Target
from stages.params.variants import Interpolation, Retriever
from stages.reporting import markdown, style, transfer_picture
from stages.reporting import transfer as pages

output = click.Path(path_type=Path)
Similarity = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Measured:
    """The per-query table, the targets of each set, and every variant's value on each set."""

    table: pa.Table
    targets: dict[str, list[Target]]
    values: dict[str, dict[str, SetValue]]


@click.command()
@click.option(
    "--queries",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="per-query values, parquet",
)
@click.option(
    "--corpora",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="the corpora, with their passages",
)
@click.option("--out", type=output, required=True, help="all figures, JSON")
@click.option("--page", type=output, required=True, help="the tables, Markdown")
@click.option("--picture", type=output, required=True, help="in domain against out of domain, PNG")
def main(queries: Path, corpora: Path, out: Path, page: Path, picture: Path) -> None:
    """Compare every variant with the base in and out of domain, and LoRA with full fine-tuning.

    A set is a corpus, or the mean of all that share a group. The corpus that a variant was trained on is never out of
    domain for it, nor in the mean of the base that it is compared with; a variant without fine-tuning has the corpus of
    report.in_domain for that.
    """
    study = params.load()
    table = per_query.read(queries)
    targets = sets.targets(study.corpora, study.report.in_domain)
    measured = Measured(table, targets, sets.values(table, targets, study.report.base))
    domains = {variant: _domain(study, variant, list(targets)) for variant in study.variants}
    training = list(dict.fromkeys(domain.trained_on for domain in domains.values() if domain.trained_on))
    similarity, passages = _similarities(corpora, list(study.corpora), training, targets)
    transfer = Transfer(
        measure=study.report.in_domain.measure,
        base=study.report.base,
        significance=study.report.significance,
        sets={name: [f"{target.corpus} {target.split}" for target in members] for name, members in targets.items()},
        passages=passages,
        similarity=similarity,
        variants=[_variant(study, name, domain, measured, similarity) for name, domain in domains.items()],
        pairs=[
            _pair(study, full, lora, domains[full], measured)
            for full, lora in tuned_alike(study.variants, study.tunings)
            if full in measured.values and lora in measured.values
        ],
    )
    with publish(out) as draft:
        draft.write_text(as_json(transfer))
    with publish(page) as draft:
        draft.write_text(markdown.document(pages.page(transfer, picture.name)))
    with publish(picture) as draft:
        style.save(transfer_picture.scatter(transfer), draft)


def _domain(study: Study, variant: str, names: Sequence[str]) -> Domain:
    """What is in domain for a variant; what else was trained on is neither in nor out of it.

    That are the further corpora of a mix, and what a reranker's first stage or another member of a fusion was trained
    on.
    """
    block, trained_on = study.variants[variant], study.trained_on(variant)
    in_domain = sets.set_of(study.corpora, trained_on or study.report.in_domain.corpus)
    read = study.corpora_of(variant)
    if variant in study.rerankers:
        read += study.corpora_of(study.rerankers[variant].first_stage)
    known = {in_domain, *(sets.set_of(study.corpora, corpus) for corpus in read)}
    kind: Kind = "interpolated" if isinstance(block, Interpolation) else "fused"
    if isinstance(block, Retriever):
        kind = "fine-tuned" if study.recipes[block.recipe] else "without fine-tuning"
    return Domain(kind, trained_on, in_domain, [name for name in names if name not in known])


def _similarities(
    corpora: Path, named: Sequence[str], training: Sequence[str], targets: Mapping[str, Sequence[Target]]
) -> tuple[Similarity, dict[str, tuple[int, int]]]:
    """Training corpus -> set -> mean similarity of its corpora's words; and corpus -> passages counted, of how many.

    Beside the training corpora the words of one corpus at a time are held.
    """
    words, counted = {}, {}
    for corpus in training:
        words[corpus], *counts = vocabulary.frequencies(corpora / corpus / "docs.parquet")
        counted[corpus] = (counts[0], counts[1])
    alike: dict[str, dict[str, list[float]]] = {corpus: {} for corpus in training}
    for name, members in targets.items() if training else ():
        for target in members:
            shares = words.get(target.corpus)
            if shares is None:
                shares, *counts = vocabulary.frequencies(corpora / target.corpus / "docs.parquet")
                counted[target.corpus] = (counts[0], counts[1])
            for corpus, own in words.items():
                alike[corpus].setdefault(name, []).append(vocabulary.weighted_jaccard(own, shares))
    means = {
        corpus: {name: sum(values) / len(values) for name, values in by_set.items()} for corpus, by_set in alike.items()
    }
    return means, {corpus: counted[corpus] for corpus in named if corpus in counted}


def _variant(study: Study, variant: str, domain: Domain, measured: Measured, similarity: Similarity) -> VariantTransfer:
    """A variant against the base: in domain, over the sets out of domain, and on every set."""
    own = measured.values.get(variant, {})
    values = {name: entry.value for name, entry in own.items()}
    base = {name: entry.base for name, entry in own.items()}
    changed = changes(own)
    partial = [(entry.queries, entry.of) for entry in own.values() if entry.queries < entry.of]
    both, alike = (variant, study.report.base), similarity.get(domain.trained_on or "")
    return VariantTransfer(
        variant=variant,
        domain=domain,
        part=Part(*(sum(count) for count in zip(*partial))) if partial else None,
        in_domain=_compared(study, values, base, [domain.in_domain_set], both, measured),
        out_of_domain=_compared(study, values, base, domain.out_of_domain_sets, both, measured),
        changes=changed,
        correlation=None if alike is None else correlation(changed, alike, domain.out_of_domain_sets),
    )


def _pair(study: Study, full: str, lora: str, domain: Domain, measured: Measured) -> TuningPair:
    """LoRA against full fine-tuning of the same recipe, in domain and over the sets out of domain."""
    values = {name: entry.value for name, entry in measured.values[lora].items()}
    others = {name: entry.value for name, entry in measured.values[full].items()}
    sides: list[OverSets | None] = []
    for names in ([domain.in_domain_set], domain.out_of_domain_sets):
        side = _compared(study, values, others, names, (lora, full), measured)
        if side:
            of_base = [measured.values[full][name].base for name in side.sets]
            side = replace(side, base=sum(of_base) / len(of_base))
        sides.append(side)
    return TuningPair(full, lora, *sides)


def _compared(
    study: Study,
    ones: Mapping[str, float],
    others: Mapping[str, float],
    names: Sequence[str],
    variants: tuple[str, str],
    measured: Measured,
) -> OverSets | None:
    """Over sets; of a single set that is one corpus, with an interval over clusters of queries."""
    side = over_sets(ones, others, names, study.report.significance)
    if side is None or len(side.sets) > 1 or len(measured.targets[side.sets[0]]) > 1:
        return side
    target = measured.targets[side.sets[0]][0]
    both = per_query.common(*(per_query.of(measured.table, variant, target) for variant in variants))
    interval = per_query.compare(*both, study.report.significance, study.report.resamples)
    return replace(side, low=interval.low, high=interval.high, over="queries")


if __name__ == "__main__":
    main()
