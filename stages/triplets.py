"""Triplets: what a variant is trained on, drawn once per seed, and the sample that its training is validated on."""

from dataclasses import replace
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import params
from stages.core.errors import UserError
from stages.core.files import publish
from stages.negatives import columns, draw, leakage, validation_sample
from stages.params.triplets import Triplets


@click.command()
@click.argument("name", metavar="BLOCK")
@click.option("--collection", type=click.Path(exists=True, path_type=Path), required=True, help="folder of the corpus")
@click.option(
    "--pool",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="what negatives come from: a pool, released triples, or the corpus itself",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of the block")
def main(name: str, collection: Path, pool: Path, out: Path) -> None:
    """Draw the triplets of BLOCK: a training query, a passage relevant to it, and passages not known to be relevant.

    Writes seed-<n>.parquet for each seed, with ids, texts and the rank each negative was drawn at, what a pool scored
    them where they come from one, and validation/{queries,passages}.parquet, the same validation sample for every seed.
    A passage that is relevant to the query, or to any judged or validation query of the corpus unless the block says
    allow_judged, is never a negative, nor is one with the text of such a passage or of the query, case and white space
    aside; where a judged split says drop_self, nor is the passage with the query's id.
    """
    study = params.load()
    block = study.triplets[name]
    with publish(out) as draft:
        draft.mkdir()
        if not block.size:
            return
        judged = study.corpora[block.corpus].judged
        drop_self = any(rules.drop_self for rules in judged.values())
        forbidden = leakage.forbidden(collection, list(judged), block.allow_judged, drop_self)
        if forbidden.by_text:
            click.echo(f"{name}: {forbidden.by_text} passages are kept from the negatives for their text alone")
        for seed in study.seeds:
            drawn = draw.draw(block, collection, pool, forbidden, seed)
            if len(drawn.triplets) < block.count / 2:
                raise UserError(f"triplets.{name}: {_too_few(block, collection, pool, forbidden, seed)}")
            leaked = leakage.violations(drawn.triplets, forbidden)
            if len(leaked):
                first = leaked.slice(0, 3).to_pylist()
                raise RuntimeError(f"triplets.{name}: the draw holds forbidden negatives: {first}")
            click.echo(f"{name}: seed {seed}, {_summary(block, drawn)}")
            table = columns.with_texts(drawn.triplets, collection, block.negatives_per_query)
            pq.write_table(table, draft / f"seed-{seed}.parquet", compression="zstd")
        if (collection / "topics" / "validation.parquet").exists():
            sample = study.validation_curve
            validation_sample.write(collection, sample.queries, sample.passages, draft / "validation")


def _too_few(block: Triplets, collection: Path, pool: Path, forbidden: leakage.Forbidden, seed: int) -> str:
    """How many triplets a block has, and which of its rules is the cause: the one without which there are enough."""

    def number(margins: bool, judged: bool) -> int:
        asked = block if margins else block.model_copy(update={"absolute_margin": None, "relative_margin": None})
        guard = forbidden if judged else replace(forbidden, passages=pa.array([], pa.string()))
        return len(draw.draw(asked, collection, pool, guard, seed).triplets)

    negatives = "an allowed negative" if block.negatives_per_query == 1 else "enough allowed negatives"
    said = f"only {number(True, True)} of {block.count} triplets have {negatives}"
    margins = " and ".join(name for name in ("absolute_margin", "relative_margin") if getattr(block, name) is not None)
    judged = "what is relevant to a judged query is none; say allow_judged: true, or give the corpus other passages"
    if margins and number(False, True) >= block.count / 2:
        return f"{said}; without {margins} there are enough: lower it, or draw from a deeper pool"
    if not block.allow_judged and number(True, False) >= block.count / 2:
        return f"{said}; {judged}"
    if margins and not block.allow_judged and number(False, False) >= block.count / 2:
        return f"{said}; lower {margins}, and {judged}"
    if block.ranks:
        return f"{said}; widen its ranks or draw from another pool"
    return f"{said}; say a smaller size, or draw from a pool"


def _summary(block: Triplets, drawn: draw.Drawn) -> str:
    table = drawn.triplets
    ranks = pa.chunked_array(
        [chunk for name in columns.numbered("rank", block.negatives_per_query) for chunk in table[name].chunks]
    )
    extremes = pc.min_max(ranks)
    return (
        f"{len(table)} triplets, {len(table['query_id'].unique())} queries, negatives at ranks "
        f"{extremes['min']}-{extremes['max']}{_left_out(block, drawn)}"
    )


def _left_out(block: Triplets, drawn: draw.Drawn) -> str:
    return f", {drawn.left_out} pairs left out by its margins" if block.has_margin else ""


if __name__ == "__main__":
    main()
