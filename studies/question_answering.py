"""MRR@10 as arXiv 2506.18297 has it: each query's own passages of MS MARCO v1.1, reranked.

    hf download microsoft/ms_marco --repo-type dataset --include 'v1.1/validation*' --local-dir qa
    python -m studies.question_answering qa/v1.1 data/models/minilm-lion-3/seed-12

That set is one of question answering, of some 8 passages a query, and the figure is not one of passage ranking
(claim P2.4). Where a query has no selected passage its value is 0; the mean without such queries stands beside it.
Nobody has run it at full size here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from stages.core import yaml_file
from stages.core.errors import UserError
from stages.ledger import quantities
from stages.models import model_folder

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
PRINTED = Path("stages/ledger/printed_tables.yaml")
DEPTH = 10


@dataclass(frozen=True)
class Asked:
    """A query with its own passages, and for each whether it was selected for an answer."""

    query: str
    passages: list[str]
    selected: list[bool]


@click.command()
@click.argument("folder", type=FOLDER)
@click.argument("models", nargs=-1, type=FOLDER)
@click.option("--batch-tokens", default=16384, show_default=True)
@click.option(
    "--precision", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16", "float16"])
)
def main(folder: Path, models: tuple[Path, ...], batch_tokens: int, precision: str) -> None:
    """Print MRR@10 of rerankers on the parquet files of FOLDER, and what a random order would have."""
    for model in models:
        check_model(model)
    asked = list(read(folder))
    answered = [one for one in asked if any(one.selected)]
    by_chance = [quantities.chance_reciprocal_rank(len(one.passages)) for one in answered if sum(one.selected) == 1]
    printed = yaml_file.load(PRINTED)["P2"]["appendix"]["minilm_lion_3"]["rr"]
    click.echo(
        f"{len(asked):,} queries, {len(answered):,} with a selected passage; P2 prints {printed:.4f} as the best"
    )
    if by_chance:
        click.echo(f"random order, of one selected passage: {np.mean(by_chance):.4f}")
    for model in models:
        values = reciprocal_ranks(asked, scores(model, asked, batch_tokens, precision))
        with_answer = [value for value, one in zip(values, asked, strict=True) if any(one.selected)]
        click.echo(
            f"{model}: MRR@10 {np.mean(values):.4f}, over queries with a selected passage {np.mean(with_answer):.4f}"
        )


def check_model(folder: Path) -> None:
    """Raises UserError for what is not the folder of a cross-encoder of this pipeline."""
    if not (folder / model_folder.NAME).is_file():
        raise UserError(f"{folder}: has no {model_folder.NAME}; name one seed's folder, such as {_seed_of(folder)}")
    if (architecture := model_folder.describe(folder).architecture) != "cross-encoder":
        raise UserError(f"{folder}: is of architecture {architecture}; name a cross-encoder")


def _seed_of(folder: Path) -> Path:
    """The first model below a folder; where there is none, one as the pipeline would write it."""
    below = sorted(path.parent for path in folder.glob(f"seed-*/{model_folder.NAME}"))
    return below[0] if below else Path("data/models/minilm-lion-3/seed-12")


def read(folder: Path) -> Iterator[Asked]:
    """The rows of MS MARCO v1.1's parquet files in a folder; raises UserError for none, or of another form."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = sorted(folder.glob("validation*.parquet"))
    if not paths:
        raise UserError(f"{folder}: has no validation*.parquet; download microsoft/ms_marco, v1.1")
    for path in paths:
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{path}: cannot be read as parquet ({error}); download it again")
        if not {"query", "passages"} <= set(file.schema_arrow.names):
            raise UserError(f"{path}: has no columns query and passages; it is not of microsoft/ms_marco, v1.1")
        passages = file.schema_arrow.field("passages").type
        if not pa.types.is_struct(passages) or not {"passage_text", "is_selected"} <= {one.name for one in passages}:
            raise UserError(f"{path}: passages holds no passage_text and is_selected; it is not of ms_marco, v1.1")
        for batch in file.iter_batches(columns=["query", "passages"]):
            for row in batch.to_pylist():
                given = row["passages"]
                yield Asked(row["query"], given["passage_text"], [bool(one) for one in given["is_selected"]])


def scores(model: Path, asked: Sequence[Asked], batch_tokens: int, precision: str) -> list[np.ndarray]:
    """Each query's scores of its own passages, in their order."""
    from stages.models import cross_encoder

    reranker = cross_encoder.load(model)
    pairs = [(one.query, passage) for one in asked for passage in one.passages]
    found = cross_encoder.score(reranker, [q for q, _ in pairs], [p for _, p in pairs], batch_tokens, precision)
    return np.split(found, np.cumsum([len(one.passages) for one in asked])[:-1])


def reciprocal_ranks(asked: Sequence[Asked], found: Sequence[np.ndarray]) -> list[float]:
    """1 / rank of each query's first selected passage within 10, else 0; equal scores keep the order of the file."""
    values = []
    for one, own in zip(asked, found, strict=True):
        order = np.argsort(-own, kind="stable")[:DEPTH]
        hits = np.flatnonzero(np.array(one.selected, dtype=bool)[order])
        values.append(1 / (1 + int(hits[0])) if len(hits) else 0.0)
    return values


if __name__ == "__main__":
    main()
