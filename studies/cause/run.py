"""The cause study: every part of studies/cause run through the study's own stages, each in a clone of its own.

`python -m studies.cause run` runs all parts, a thread or more each, and goes on where it was stopped: DVC keeps
what is finished. What it found is committed under reports/cause, where `dvc repro cause` judges it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studies import clones, collecting
from studies.collecting import CORPUS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from sentence_transformers import SentenceTransformer

    from stages.params import Study

PARTS = ("default", "default-lora", "msmarco", "medquad")
WORK = Path(".scratch/cause")
FOUND = Path("reports/cause")
RAW = ("raw5", "raw02")  # the variants whose loss saw the distance of raw vectors


@click.group()
def main() -> None:
    """Why did fine-tuning hurt? Controlled contrasts, as variants of params files."""


@main.command()
@click.argument("part", type=click.Choice(PARTS))
def params(part: str) -> None:
    """Print PART's params.yaml: studies/cause/common.yaml with the part's own blocks."""
    click.echo(_params(part), nl=False)


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option(
    "--jobs",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="parts that run at once; the cores are shared among them",
)
@click.option(
    "--collections",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder with msmarco-mini and medquad; without it those parts are left out",
)
@click.option("--seeds", help="other seeds, such as 1,2,3; what they find goes to reports/cause-1-2-3")
def run(parts: tuple[str, ...], jobs: int, collections: Path | None, seeds: str | None) -> None:
    """Run PARTS (all by default) from the committed code and write what they found to reports/cause."""
    if seeds and not all(seed.isdecimal() for seed in seeds.split(",")):
        raise SystemExit(f"--seeds {seeds}: give whole numbers with commas between them, such as 1,2,3")
    chosen = [part for part in parts or PARTS if collections or part.startswith("default")]
    for part in (part for part in parts or PARTS if part not in chosen):
        click.echo(f"{part}: left out; it needs --collections, a folder with {part}'s texts")
    with ThreadPoolExecutor(jobs) as pool:
        failed = [
            part
            for part, ok in zip(chosen, pool.map(lambda part: _run(part, jobs, collections, seeds), chosen))
            if not ok
        ]
    if failed:
        raise SystemExit(f"{', '.join(failed)}: stopped; see {WORK}/<part>.log, then run the same command again")


@main.command()
@click.argument("part", type=click.Choice(PARTS))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def collect(part: str, folder: Path, out: Path) -> None:
    """Read what a run of PART left in FOLDER and write OUT/<part>.parquet (per query) and OUT/<part>.json."""
    from ruamel.yaml import YAML

    from stages.core.files import publish
    from stages.params import parse

    study = parse(YAML(typ="safe").load(_params(part)))
    with publish(out / f"{part}.parquet") as draft:
        _per_query(folder, study, draft)
    with publish(out / f"{part}.json") as draft:
        content = {**collecting.header(part, folder), "variants": collecting.cells(folder, study)}
        draft.write_text(json.dumps(content, indent=1) + "\n")


def _params(part: str, seeds: str | None = None, root: Path = Path()) -> str:
    """The text of a part's params.yaml; a block of the part takes the place of the common one."""
    changed = {"seeds": [int(seed) for seed in seeds.split(",")]} if seeds else {}
    return clones.merged([root / f"studies/cause/{name}.yaml" for name in ("common", part)], **changed)


def _run(part: str, jobs: int, collections: Path | None, seeds: str | None) -> bool:
    """One part in its own clone of the commit; True if it ended well."""
    name = part if not seeds else f"{part}.{seeds.replace(',', '-')}"
    folder = WORK / name
    clones.make(folder, collections)
    start = time.time()
    click.echo(f"{name}: begins; tail -f {folder}.log")
    with open(f"{folder}.log", "a") as log:
        done = clones.reproduce(folder, _params(part, seeds, folder), ["evaluate"], jobs, log)
        if done:
            out = FOUND if not seeds else FOUND.with_name(f"{FOUND.name}-{seeds.replace(',', '-')}")
            command = [sys.executable, "-m", "studies.cause", "collect", part, str(folder), str(out)]
            done = subprocess.run(command, env=clones.environment(jobs), stdout=log, stderr=log).returncode == 0
    click.echo(f"{name}: {'done' if done else 'stopped'} after {(time.time() - start) / 60:.0f} min")
    return done


def _per_query(folder: Path, study: Study, draft: Path) -> None:
    """Per-query values with their clusters; variants trained on raw vectors once more, as `<variant>/euclidean`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables([collecting.per_query(folder, study), *_by_distance(folder, study)])
    pq.write_table(table, draft, compression="zstd", compression_level=19)


def _by_distance(folder: Path, study: Study) -> Iterator[pa.Table]:
    """The raw models ranked by Euclidean distance of their raw vectors, the quantity that their loss saw."""
    import pyarrow.parquet as pq

    from stages.models import encoding

    docs = pq.read_table(folder / "data/corpora" / CORPUS / "docs.parquet")
    for variant in RAW if set(RAW) <= study.retrievers.keys() else ():
        for seed_run in sorted(path for path in (folder / "data/models" / variant).iterdir() if path.is_dir()):
            model = encoding.load_encoder(seed_run)
            passages = _raw(model, docs["text"].to_pylist(), study.index.precision)
            for split in study.corpora[CORPUS].judged:
                names = {"variant": f"{variant}/euclidean", "seed_run": seed_run.name, "split": split}
                yield _ranked_by_distance(folder, study, model, docs["doc_id"], passages, names)


def _ranked_by_distance(
    folder: Path,
    study: Study,
    model: SentenceTransformer,
    doc_ids: pa.ChunkedArray,
    passages: np.ndarray,
    names: dict[str, str],
) -> pa.Table:
    import faiss
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stages.evaluation import measures
    from stages.retrieval import runs

    corpus, split = folder / "data/corpora" / CORPUS, names["split"]
    topics = pq.read_table(corpus / f"topics/{split}.parquet").to_pydict()
    queries = _raw(model, topics["text"], study.index.precision)
    depth = min(study.search.depth, len(passages))
    squares, top = faiss.knn(queries, passages, depth, metric=faiss.METRIC_L2)
    run = runs.table(topics["query_id"], doc_ids.combine_chunks(), -squares, top)
    qrels = pq.read_table(corpus / f"qrels/{split}.parquet")
    values = measures.per_query([run], qrels, study.measures, study.corpora[CORPUS].judged[split].rel)
    clusters = dict(zip(topics["query_id"], topics["cluster"], strict=True))
    ids = list(values[study.measures[0]])
    return pa.table(
        {
            **{key: [value] * len(ids) for key, value in names.items()},
            "query_id": ids,
            **{name: [values[name][query] for query in ids] for name in study.measures},
            "cluster": [clusters[query] for query in ids],
        }
    )


def _raw(model: SentenceTransformer, texts: list[str], precision: str) -> np.ndarray:
    """Vectors before any normalisation, float32 (texts, dimension), in the order given."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    from stages.models import encoding

    body = [part for part in model if not isinstance(part, Normalize)]
    raw = SentenceTransformer(modules=body, device=str(model.device)).eval()
    with encoding.autocast(model, precision):
        return raw.encode(texts, prompt="", show_progress_bar=False)


if __name__ == "__main__":
    main()
