"""Score: the triplets of another block, with a teacher's scores of every positive and negative."""

import shutil
from functools import partial
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import params
from stages.core import code, costs, fingerprint, scratch, threads
from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import architectures, encoding, model_folder, precision
from stages.negatives import teacher as teachers

folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("name", metavar="BLOCK")
@click.option("--triplets", type=folder, required=True, help="the triplets that are scored, one file for each seed")
@click.option(
    "--teacher",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="a reranker's models, a checkpoint that reranks, or a file of scores",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of the block")
def main(name: str, triplets: Path, teacher: Path, out: Path) -> None:
    """Write the triplets of BLOCK: those of another block with a teacher's scores, the same in everything else.

    Columns positive_score, negative_score, negative_score_2 and so on are the teacher's, raw: a cross-encoder's logit,
    the sum of late interaction, or what a file says. A model reads query and passage as it does when it reranks, cut
    where it cuts, in rerank.precision. Of a reranker with a model for each seed the seed's own scores the triplets of
    that seed. A triplet with a passage that a file does not score is left out; where it leaves out more than half, or
    is no such file, the stage stops. Scores that a killed run finished are not computed again.
    """
    study = params.load()
    threads.limit(study.threads)
    batch_tokens, computed_in = study.rerank.batch_tokens, precision.chosen(study.rerank.precision)
    with publish(out) as draft:
        draft.mkdir()
        for seed in study.seeds:
            table = pq.read_table(triplets / f"seed-{seed}.parquet")
            scored = teachers.with_scores(table, _scores(name, seed, table, teacher, batch_tokens, computed_in))
            if len(scored) < len(table) / 2:
                raise UserError(
                    f"scored.{name}.teacher: {teacher} scores all passages of only {len(scored)} of {len(table)} "
                    f"triplets; give it scores of the pairs in {triplets}"
                )
            kept = _agreement(scored)
            click.echo(f"{name}: seed {seed}, {len(scored)} of {len(table)} triplets have all scores, {kept}")
            pq.write_table(scored, draft / f"seed-{seed}.parquet", compression="zstd")
        if (triplets / "validation").is_dir():
            shutil.copytree(triplets / "validation", draft / "validation")


def _scores(name: str, seed: int, table: pa.Table, teacher: Path, batch_tokens: int, computed_in: str) -> np.ndarray:
    """The scores (n, 1 + negatives) of a seed's triplets, by a file or by a model that is loaded for them."""
    if teacher.is_file():
        return teachers.by_file(table, teacher)
    model = _model(name, seed, teacher)
    architecture = model_folder.describe(model).architecture
    module = architectures.load_module(architecture)
    made_by = [code.fingerprint("stages.score", architectures.module(architecture)), encoding.versions()]
    key = fingerprint.of_values(
        name, seed, fingerprint.of_folder(model), table.to_pydict(), batch_tokens, computed_in, made_by
    )
    clock = costs.Clock()
    with scratch.workspace("score", key) as work:
        loaded = module.load(model)
        score = partial(module.score, loaded, batch_tokens=batch_tokens, precision=computed_in)
        scores = teachers.by_model(table, score, work)
    seconds = clock.seconds()
    costs.record(
        "score", f"{name}.seed-{seed}", pairs=scores.size, seconds=seconds, pairs_per_second=scores.size / seconds
    )
    return scores


def _model(name: str, seed: int, teacher: Path) -> Path:
    """The model of a teacher that scores a seed's triplets: the seed's own, or the only one."""
    if (teacher / model_folder.NAME).is_file():
        return teacher
    runs = {path.name: path for path in model_folder.seed_runs(teacher)}
    if f"seed-{seed}" not in runs and len(runs) > 1:
        raise UserError(
            f"scored.{name}.teacher: {teacher} has {', '.join(runs)} and none of seed {seed}; train it again"
        )
    return runs.get(f"seed-{seed}") or next(iter(runs.values()))


def _agreement(scored: pa.Table) -> str:
    """In how many triplets the teacher ranks the positive above all negatives, and its mean lead over one of them."""
    names = [name for name in scored.column_names if name.startswith("negative_score")]
    leads = np.array([scored["positive_score"].to_numpy() - scored[name].to_numpy() for name in names])
    share = float((leads > 0).all(axis=0).mean())
    return f"and in {100 * share:.1f} % the teacher ranks the positive first, {leads.mean():.3g} ahead in the mean"


if __name__ == "__main__":
    main()
