"""Fuse: the runs of other variants as one, by reciprocal ranks or a weighted sum of scores."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pyarrow as pa

from stages import params
from stages.collections import canonical
from stages.core import costs
from stages.core.errors import UserError
from stages.core.files import publish
from stages.evaluation import measures
from stages.evaluation.per_query import BASE_CHECKPOINT
from stages.models import model_folder
from stages.params import Study
from stages.params.variants import Fusion, WeightedSum
from stages.retrieval import fusion, runs

QUERIES = 4096  # fused at a time
folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("variant")
@click.option("--runs", "ranked", type=folder, required=True, help="the runs of all variants, its members' among them")
@click.option("--corpora", type=folder, required=True, help="the corpora, with their judgments")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="runs, one folder a corpus and seed run")
@click.option("--log", type=click.Path(path_type=Path), required=True, help="the weights that were tried, JSON")
def main(variant: str, ranked: Path, corpora: Path, out: Path, log: Path) -> None:
    """Fuse the runs of VARIANT's members for the judged splits of every corpus.

    Members that were trained with the same seeds are fused seed by seed; one without fine-tuning goes with each seed of
    the others. Of a weighted sum a grid of weights is measured on report.chosen_on, as a mean over seeds. Where
    params.yaml gives no weights, those that rank best there are taken; no other split's judgments are read. A split
    that one of the members has no run of is skipped.
    """
    study = params.load()
    block, clock, queries = study.fusions[variant], costs.Clock(), 0
    record: dict[str, object] = {"variant": variant, "seed_runs": []}
    if block.kind == "weighted":
        tried = _tried(study, block, ranked, corpora)
        weights = fusion.best(tried) if block.weights is None else tuple(block.weights)
        block = block.model_copy(update={"weights": list(weights)})
        measured = [{"weights": list(one), "value": value} for one, value in tried.items()]
        record["fused"] = {"of": block.of, "weights": list(weights), "tried": measured}
        click.echo(f"{variant}: {', '.join(f'{name} {weight:g}' for name, weight in zip(block.of, weights))}")
    with publish(out) as draft:
        draft.mkdir()
        for corpus, collection in study.corpora.items():
            for seed_run, folders in _seed_runs(block, ranked, corpus).items():
                for split in collection.judged:
                    members = _members(folders, split)
                    if members is None:
                        click.echo(f"{variant} {seed_run} {corpus} {split}: skipped, one of {block.of} has no run")
                        continue
                    target = draft / corpus / seed_run / f"{split}.parquet"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    parts = runs.side_by_side(members, QUERIES)
                    queries += runs.write((_fused(block, part, study.search.depth) for part in parts), target)
    with publish(log) as draft:
        draft.write_text(json.dumps(record, indent=1) + "\n")
    costs.record("fuse", variant, queries_per_second=queries / clock.seconds())


def _fused(block: Fusion, members: Sequence[pa.Table], depth: int) -> pa.Table:
    if isinstance(block, WeightedSum):
        return fusion.weighted_sum(members, block.weights or [], depth)
    return fusion.reciprocal_ranks(members, block.k, depth)


def _tried(study: Study, block: WeightedSum, ranked: Path, corpora: Path) -> dict[tuple[float, ...], float]:
    """Weights -> the report's measure on report.chosen_on, the mean over queries and seed runs, for the whole grid.

    Nothing where that names no split beside the one that judges, or a member has no run of it.
    """
    target = study.report.choosing
    if target is None or target == study.report.in_domain or target.split not in study.corpora[target.corpus].judged:
        return {}
    rel = study.corpora[target.corpus].judged[target.split].rel
    qrels = canonical.qrels(corpora / target.corpus, target.split)
    folders = _seed_runs(block, ranked, target.corpus).values()
    sides = [members for one in folders if (members := _members(one, target.split)) is not None]
    tried: dict[tuple[float, ...], float] = {}
    for weights in fusion.grid(len(block.of)) if sides else ():
        values = [
            value
            for members in sides
            for value in measures.per_query(
                (
                    fusion.weighted_sum(part, weights, study.search.depth)
                    for part in runs.side_by_side(members, QUERIES)
                ),
                qrels,
                [target.measure],
                rel,
            )[target.measure].values()
        ]
        tried[weights] = round(sum(values) / len(values), 6)
    return tried


def _seed_runs(block: Fusion, ranked: Path, corpus: str) -> dict[str, list[Path]]:
    """Seed run of a fusion on a corpus -> the folder of each member's; none where a member has no run there.

    Raises UserError where two members were trained with different seeds.
    """
    folders = [ranked / name / corpus for name in block.of]
    named = [[path.name for path in model_folder.seed_runs(one)] if one.is_dir() else [] for one in folders]
    if not all(named):
        return {}
    seeds = next((names for names in named if names != BASE_CHECKPOINT), BASE_CHECKPOINT)
    for one, names in zip(folders, named, strict=True):
        if names not in (BASE_CHECKPOINT, seeds):
            raise UserError(
                f"{one}: has seed runs {', '.join(names)}, and another member has {', '.join(seeds)}; train both with "
                "the same seeds"
            )
    return {
        seed: [one / (seed if seed in names else names[0]) for one, names in zip(folders, named, strict=True)]
        for seed in seeds
    }


def _members(folders: Sequence[Path], split: str) -> list[Path] | None:
    """The run of each member on a split; None where one of them has none."""
    paths = [one / f"{split}.parquet" for one in folders]
    return paths if all(path.is_file() for path in paths) else None


if __name__ == "__main__":
    main()
