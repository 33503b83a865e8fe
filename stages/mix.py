"""Mix: triplets of two other blocks in shares, for training on a mix of collections."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages import params
from stages.collections import canonical
from stages.collections.checks import digests
from stages.core.errors import UserError
from stages.core.files import publish
from stages.negatives import mixing

folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("name", metavar="BLOCK")
@click.option("--first", type=folder, required=True, help="triplets of one block, whose validation sample is taken")
@click.option("--second", type=folder, required=True, help="triplets of another block")
@click.option("--corpora", type=folder, required=True, help="the corpora, with the queries of all splits")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of the block")
def main(name: str, first: Path, second: Path, corpora: Path, out: Path) -> None:
    """Write the triplets of BLOCK: those of two other blocks, in its shares to the whole triplet, for each seed.

    A triplet whose query has the text of a judged or validation query of any corpus, case and white space aside, is in
    no mix. The column `part` names the block that a triplet is from, of a mix in a mix the innermost. The columns are
    those that both blocks have. Every beginning of the table holds the shares too, so that a mix of mixes does.
    """
    study = params.load()
    mix = study.mixes[name]
    measured = np.unique(np.concatenate([*_measured(corpora)]))
    with publish(out) as draft:
        draft.mkdir()
        for seed in study.seeds:
            parts = []
            for block, path, rows in zip((mix.first, mix.second), (first, second), mix.rows, strict=True):
                table = pq.read_table(path / f"seed-{seed}.parquet")
                kept = table.filter(pa.array(~np.isin(digests(table["anchor"].to_pylist()), measured)))
                if len(kept) < rows:
                    raise UserError(
                        f"mixes.{name}: seed {seed} takes {rows} triplets of {block}, which has {len(kept)}"
                        f"{_left_out(len(table) - len(kept))}; raise its size, or lower mixes.{name}.size"
                    )
                click.echo(f"{name}: seed {seed}, {rows} triplets of {block}{_left_out(len(table) - len(kept))}")
                parts.append(mixing.named(kept.slice(0, rows), block))
            pq.write_table(mixing.mixed(*parts), draft / f"seed-{seed}.parquet", compression="zstd")
        if (first / "validation").is_dir():
            shutil.copytree(first / "validation", draft / "validation")


def _measured(corpora: Path) -> Iterator[np.ndarray]:
    """The digests of the queries of each split that is not trained on, of all corpora."""
    yield np.empty(0, np.uint64)
    for corpus in sorted(path for path in corpora.iterdir() if path.is_dir()):
        for path in sorted((corpus / "topics").glob("*.parquet")):
            if path.stem != "train":
                yield digests(canonical.topics(corpus, path.stem)["text"].to_pylist())


def _left_out(count: int) -> str:
    return f", {count} left out whose query is a judged or validation query" if count else ""


if __name__ == "__main__":
    main()
