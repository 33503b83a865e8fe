"""Examples: three queries with what the base and the chosen variant rank first, and where relevant passages went."""

from dataclasses import replace
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc

from stages import params
from stages.collections import canonical, excerpts, passages
from stages.collections.excerpts import Excerpt
from stages.core.files import publish
from stages.evaluation import choice, examples, per_query
from stages.evaluation import results as files
from stages.evaluation.examples import Example, Examples
from stages.params import Study
from stages.reporting import examples_table, markdown
from stages.retrieval import runs

folder = click.Path(exists=True, file_okay=False, path_type=Path)
file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--queries", type=file, required=True, help="per-query values, parquet")
@click.option("--results", type=file, required=True, help="means and comparisons with the base, JSON")
@click.option("--runs", "ranked", type=folder, required=True, help="the runs of all variants")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the examples, JSON")
@click.option("--texts", type=click.Path(path_type=Path), required=True, help="the same with all texts, Markdown")
def main(queries: Path, results: Path, ranked: Path, corpora: Path, out: Path, texts: Path) -> None:
    """Write down a gain, a loss and the median change of the variant that the report is about, in domain.

    The JSON has texts only where the corpus says publish: true. Of several seed runs the first is shown.
    """
    study = params.load()
    made, base = choice.choose(study, files.read(results)), study.report.base
    found = None if made is None else _of(study, (base, made.best.variant), per_query.read(queries), ranked, corpora)
    with publish(out) as draft:
        shown = study.corpora[study.report.in_domain.corpus].publish
        draft.write_text(examples.as_json(found if shown or found is None else examples.without_texts(found)))
    with publish(texts) as draft:
        draft.write_text(markdown.document(examples_table.blocks(found) or ["No variant was chosen."]))


def _of(study: Study, names: tuple[str, str], table: pa.Table, ranked: Path, corpora: Path) -> Examples:
    """The examples of two variants, the base and the chosen one."""
    target = study.report.in_domain
    corpus, collection = study.corpora[target.corpus], corpora / target.corpus
    before, after = per_query.common(*(per_query.of(table, name, target) for name in names))
    picked = examples.picked(after.values[0] - before.values[0])
    ids = [str(after.query_ids[at]) for at in picked.values()]
    known = excerpts.read(collection, target.split, ids, corpus.judged[target.split].rel)
    relevant = _relevant(collection, target.split, ids, corpus.judged[target.split].rel)
    old, new = (
        examples.first(
            runs.read(ranked / name / target.corpus / side.seed_runs[0] / f"{target.split}.parquet"), ids, relevant
        )
        for name, side in zip(names, (before, after), strict=True)
    )
    shown = [
        examples.example(kind, at, (before, after), (old[query], new[query]), known[query])
        for (kind, at), query in zip(picked.items(), ids, strict=True)
    ]
    return Examples(
        **examples.figures(target, names, before, after),
        texts=True,
        origin=canonical.card(collection).origin,
        shown=[_with_texts(one, known[one.query], collection) for one in shown],
    )


def _relevant(collection: Path, split: str, query_ids: list[str], rel: int) -> dict[str, set[str]]:
    """Query -> its passages from grade `rel`, for the queries named."""
    qrels = canonical.qrels(collection, split)
    asked = pc.is_in(qrels["query_id"], value_set=pa.array(query_ids, pa.string()))
    judged = qrels.filter(pc.and_(asked, pc.greater_equal(qrels["grade"], rel)))
    found: dict[str, set[str]] = {}
    for query, passage in zip(judged["query_id"].to_pylist(), judged["doc_id"].to_pylist(), strict=True):
        found.setdefault(query, set()).add(passage)
    return found


def _with_texts(one: Example, excerpt: Excerpt, collection: Path) -> Example:
    named = sorted({hit.passage for hit in (*one.before, *one.after)})
    texts = passages.texts(collection / "docs.parquet", pa.array(named, pa.string()))
    before, after = (
        [replace(hit, text=examples.cut(texts.get(hit.passage, ""))) for hit in hits]
        for hits in (one.before, one.after)
    )
    asked, answer = examples.cut(excerpt.query), examples.cut(excerpt.passage)
    return replace(one, before=before, after=after, text=asked, answer_text=answer)


if __name__ == "__main__":
    main()
