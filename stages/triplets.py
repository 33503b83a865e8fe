"""Triplets: what a variant is trained on, drawn once per seed, and the sample that its training is validated on."""

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
    allow_judged, is never a negative.
    """
    study = params.load()
    block = study.triplets[name]
    with publish(out) as draft:
        draft.mkdir()
        if not block.size:
            return
        forbidden = leakage.forbidden(collection, list(study.corpora[block.corpus].judged), block.allow_judged)
        for seed in study.seeds:
            drawn = draw.draw(block, collection, pool, forbidden, seed)
            _check(name, block, drawn, forbidden)
            click.echo(f"{name}: seed {seed}, {_summary(block, drawn)}")
            table = columns.with_texts(drawn.triplets, collection, block.negatives_per_query)
            pq.write_table(table, draft / f"seed-{seed}.parquet", compression="zstd")
        if (collection / "topics" / "validation.parquet").exists():
            sample = study.validation_curve
            validation_sample.write(collection, sample.queries, sample.passages, draft / "validation")


def _check(name: str, block: Triplets, drawn: draw.Drawn, forbidden: leakage.Forbidden) -> None:
    """UserError where fewer than half of the triplets were drawn; RuntimeError where a negative is forbidden."""
    number = len(drawn.triplets)
    if number < block.size / 2:
        negatives = "an allowed negative" if block.negatives_per_query == 1 else "enough allowed negatives"
        raise UserError(
            f"triplets.{name}: only {number} of {block.size} triplets have {negatives}{_left_out(block, drawn)}; widen "
            f"its ranks or draw from another pool"
        )
    leaked = leakage.violations(drawn.triplets, forbidden)
    if len(leaked):
        raise RuntimeError(f"triplets.{name}: the draw holds forbidden negatives: {leaked.slice(0, 3).to_pylist()}")


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
