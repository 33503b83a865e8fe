"""Encode: a variant's vectors of one corpus."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import pyarrow as pa

from stages import params
from stages.collections import canonical
from stages.core import code, costs, fingerprint, on_ray, scratch, threads
from stages.core.errors import UserError
from stages.core.files import link, publish
from stages.models import encoding, model_folder, precision, shards
from stages.models.shards import Job, Shard
from stages.params.report import Index
from stages.params.scale import Encoding
from stages.retrieval import bm25, runs, trec

CAPS = "caps.json"
KIND = "encode"  # of workspaces
folder = click.Path(exists=True, file_okay=False, path_type=Path)


def portion(context: click.Context, option: click.Parameter, said: str | None) -> tuple[int, int] | None:
    """K and N of K/N; raises UserError where K is none of 0 to N - 1, as the tasks of an array are numbered."""
    if said is None:
        return None
    which, _, of = said.partition("/")
    if not (which.isdecimal() and of.isdecimal() and int(which) < int(of)):
        raise UserError(f"--shard {said}: say K/N with K from 0 to N - 1, such as 0/16")
    return int(which), int(of)


@click.command()
@click.argument("variant")
@click.argument("corpus")
@click.option("--model", type=folder, required=True, help="the variant's models, one for each seed run")
@click.option("--collection", type=folder, required=True, help="the corpus")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="folder of indexes, one for each seed run")
@click.option("--shard", callback=portion, help="K/N: encode every N-th shard from the K-th (from 0), and no index")
def main(variant: str, corpus: str, model: Path, collection: Path, out: Path, shard: tuple[int, int] | None) -> None:
    """Encode the passages and queries of CORPUS with every seed run of VARIANT.

    Writes, for each seed run, docs.npy (one vector a passage, row number = document number, of unit length where the
    model's similarity is cosine), topics/<split>.npy, caps.json, how many texts the model did not read whole, and
    computed.json, the precision that it computed in; for BM25 its inverted index; for a published run its rankings.
    After a kill the next run goes on from the last whole shard. `scale.encoding` says what encodes. With --shard any
    number of processes, on all machines that share this folder, encode a share each; without it the stage then finds
    all shards done.
    """
    study = params.load()
    _require(model, collection)
    threads.limit(study.threads)
    if shard:
        return _portion(model, collection, study, shard)
    with ExitStack() as stack, publish(out) as draft:
        finished = []
        for seed_run in model_folder.seed_runs(model):
            target = draft / seed_run.name
            target.mkdir(parents=True)
            description = model_folder.describe(seed_run)
            match description.architecture:
                case "lexical":
                    language = canonical.language(collection)
                    bm25.build(canonical.texts(collection), target / "bm25", description.k1, description.b, language)
                case "published-run" if description.corpus == corpus:
                    run = _published(variant, next(seed_run.glob("run.*")), collection, description.split)
                    runs.write([run], target / f"{description.split}.parquet")
                case "published-run":
                    (target / "empty").touch()
                case _:
                    work = stack.enter_context(scratch.workspace(KIND, _key(seed_run, collection, study.index)))
                    job = _job(seed_run, collection, work, study)
                    made = _encode(f"{variant}.{corpus}.{seed_run.name}", job, study.scale.encoding)
                    finished += [(path, target / path.relative_to(job.work)) for path in made]
        for path, target in finished:
            link(path, target)


def _require(model: Path, collection: Path) -> None:
    """Raises UserError for folders that hold no models or no collection, as typed by hand with --shard."""
    seed_runs = model_folder.seed_runs(model)
    if not seed_runs or not all((seed_run / model_folder.NAME).is_file() for seed_run in seed_runs):
        raise UserError(
            f"--model {model}: not a variant's folder of models; name one that training wrote, in data/models"
        )
    if not (collection / "docs.parquet").is_file():
        raise UserError(f"--collection {collection}: not a downloaded corpus; name one in data/corpora")


def _published(variant: str, path: Path, collection: Path, split: str) -> pa.Table:
    """A published run; prints what it has in common with the corpus. Raises UserError where that is nothing."""
    run = trec.read(path)
    queries = canonical.topics(collection, split)["query_id"].combine_chunks()
    try:
        click.echo(f"{variant}: {trec.overlap(run, canonical.doc_ids(collection), queries)}")
    except UserError as error:
        raise UserError(f"{variant} on {collection.name} {split}: {error}")
    return run


def _job(model: Path, collection: Path, work: Path, study: params.Study) -> Job:
    return Job(model.absolute(), collection.absolute(), work.absolute(), study.index, study.threads)


def _portion(model: Path, collection: Path, study: params.Study, shard: tuple[int, int]) -> None:
    """Encode one of several portions of the shards that are missing, with every seed run that has vectors."""
    for seed_run in model_folder.seed_runs(model):
        if model_folder.describe(seed_run).architecture in ("lexical", "published-run"):
            raise UserError(
                f"--shard: {model} makes no vectors; dvc repro encode@{model.name}-{collection.name} takes it whole"
            )
        with scratch.shared(KIND, _key(seed_run, collection, study.index)) as work:
            job = _job(seed_run, collection, work, study)
            of_portion = {one for one in shards.of(job) if one.number % shard[1] == shard[0]}
            _work(f"{seed_run} {shard[0]}/{shard[1]}", job, of_portion, Encoding(engine="local"))


def _encode(name: str, job: Job, engine: Encoding) -> list[Path]:
    """Encode a collection in a workspace that survives a kill; returns the paths of what belongs into the index."""
    costs.record("encode", name, **_work(name, job, set(shards.of(job)), engine))
    maker, made, read = shards.made_by(job.work), [], {}
    for file, rows in shards.files(job.collection).items():
        path, cut = shards.finish(job, file)
        made.append(path)
        read[Path(file).name] = {"texts": rows, "cut": cut, "tokens": maker.tokens[shards.role(file)]}
    with publish(job.work / CAPS) as draft:
        draft.write_text(json.dumps(read, indent=1) + "\n")
    precision.record(maker.precision, job.work)
    return [*made, job.work / CAPS, job.work / precision.NAME]


def _work(name: str, job: Job, wanted: set[Shard], engine: Encoding) -> dict[str, float]:
    """Encode the shards wanted that are missing; returns seconds of loading, and texts a second of each file."""
    from tqdm import tqdm

    clock, figures = costs.Clock(), dict[str, float]()
    missing = [shard for shard in shards.missing(job) if shard in wanted]
    rows, seconds = defaultdict[str, int](int), defaultdict[str, float](float)
    total = sum(shard.stop - shard.start for shard in wanted)
    left = sum(shard.stop - shard.start for shard in missing)
    with tqdm(total=total, initial=total - left, desc=name, unit="text", mininterval=2) as bar:
        for shard, done in _each(job, missing, engine, bar.update) if missing else ():
            stem, lap = Path(shard.file).name, clock.lap()
            figures.setdefault("load_seconds", max(0.0, lap - done.seconds))
            seconds[stem] += lap if rows else done.seconds
            rows[stem] += done.rows
    return figures | {f"{stem}_per_second": rows[stem] / seconds[stem] for stem in rows}


def _each(job: Job, missing: list[Shard], engine: Encoding, tick: shards.Tick) -> Iterator[tuple[Shard, shards.Done]]:
    """The shards that were missing, each when it is done; `tick` is told how many texts are."""
    if engine.engine == "local":
        encode = shards.worker(job, tick)
        for shard in missing:
            yield shard, encode(shard)
    else:
        for shard, done in on_ray.each(partial(shards.worker, job), missing, on_ray.Cluster.of(engine)):
            tick(done.rows)
            yield shard, done


def _key(model: Path, collection: Path, index: Index) -> str:
    """What half-written vectors belong to: model, texts, settings, and the code and libraries that made them."""
    texts = [fingerprint.of_file(collection / f"{file}.parquet") for file in shards.files(collection)]
    made_by = [code.fingerprint("stages.encode"), encoding.versions()]
    cut = canonical.caps(collection)
    return fingerprint.of_values(fingerprint.of_folder(model), texts, list(cut), index.model_dump(), made_by)


if __name__ == "__main__":
    main()
