"""A paper's study from end to end with its sizes cut: files in the layout of MS MARCO, BEIR and DPR, and a tiny model.

    python -m studies.rehearsal studies/papers/2506.18297.yaml ../rehearsal --tiny ../size/late

The network is cut where it enters: ir_datasets finds small files where it keeps what it has fetched, and its own
readers read them; the hub gives one tiny model whatever its name. All else is the study's. What stays untried is size.
"""

import gzip
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from stages.core import yaml_file
from stages.core.errors import UserError
from stages.core.files import publish
from studies import clones

PASSAGES, TRAINING, JUDGED = 600, 520, 8
WORDS = (
    "red green blue small large old new wooden boat house horse clock river wall market king garden".split()  # noqa: SIM905
)
TRIPLES = "c13bf99ff23ca691105ad12eab837f84"  # what ir_datasets calls a local copy of triples.train.small.tar.gz
FIRST = {"train": 0, "dev": 1000, "small": 1000, "trec-dl-2019": 2000, "trec-dl-2020": 2500, "test": 3000}  # queries
SIZES = {"size": 128, "batch": 64, "docpairs_limit": 400}
EDGE = """
import os
import shutil
import sys
from pathlib import Path

os.environ["IR_DATASETS_HOME"] = {home!r}
for name in [name for name in sys.modules if name.split(".")[0] == "ir_datasets"]:
    del sys.modules[name]  # a process that was started warm has it already, with another home

import huggingface_hub
import ir_datasets

TINY, HUB = Path({tiny!r}), Path({hub!r})


def snapshot_download(repository, revision=None, allow_patterns=None, **kwargs):
    target = HUB / repository.replace("/", "--")
    if not target.exists():
        shutil.copytree(TINY, target)
    return str(target)


def list_repo_files(self, repository, revision=None):
    own = HUB / repository.replace("/", "--")
    root = own if own.exists() else TINY
    return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]


huggingface_hub.snapshot_download = snapshot_download
huggingface_hub.HfApi.list_repo_files = list_repo_files
ir_datasets.util.HashStream = lambda stream, *rest, **more: stream  # the files are not those whose hash it knows
"""


@click.command()
@click.argument("paper", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--tiny", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="a small model"
)
@click.option("--processes", default=1, type=click.IntRange(1), show_default=True, help="share each training")
@click.option("--jobs", type=click.IntRange(1), help="stages at once; as many as cores and memory allow")
def main(paper: Path, folder: Path, tiny: Path, processes: int, jobs: int | None) -> None:
    """Run the study of PAPER with its sizes cut in a clone at FOLDER/study; the same command goes on after a stop."""
    study = folder / "study"
    clones.make(study, None)
    blocks = yaml_file.load(paper)
    collections(folder / "irds", blocks["corpora"])
    trained_rerankers(folder / "hub", blocks, tiny)
    (study / "stages/__init__.py").write_text(edge(folder / "irds", tiny, folder / "hub"))
    if not clones.reproduce(study, cut(paper.read_text(), processes), jobs=jobs):
        raise UserError(f"{study}: the rehearsal stopped; the lines above say why; run the same command again")


def edge(home: Path, tiny: Path, hub: Path) -> str:
    """Code at the head of every process of a study: the network is cut, and these folders are behind it."""
    return EDGE.format(home=str(home.resolve()), tiny=str(tiny.resolve()), hub=str(hub.resolve()))


def trained_rerankers(hub: Path, blocks: Mapping[str, Any], tiny: Path) -> None:
    """Put a small cross-encoder with a head where the hub has one that a paper's study ranks with as it is."""
    for reranker in blocks["rerankers"].values():
        source = str(blocks["checkpoints"][reranker["checkpoint"]]["source"]).partition("@")[0]
        target = hub / source.removeprefix("hub:").replace("/", "--")
        if reranker["tuning"] == "none" and source.startswith("hub:") and not target.exists():
            with publish(target) as draft:
                _with_head(tiny, draft)


def _with_head(tiny: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1).save_pretrained(out)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(out)


def cut(text: str, processes: int = 1) -> str:
    """A params file with less of everything, in a precision that needs no GPU, of whatever weights the hub gives.

    So many processes share each training.
    Code that a model brings is not run: the one that stands for it needs none.
    """
    for key, most in SIZES.items():
        text = re.sub(rf"\b{key}: (\d+)", lambda match, most=most: _at_most(match, most), text)  # type: ignore[misc]
    text = (
        re.sub(r"^(rerank:\s+\{?depth: )1000", r"\g<1>20", text, flags=re.MULTILINE)
        .replace("validation: 500", "validation: 100")
        .replace("epochs: 40", "epochs: 1")
    )
    text = text.replace("training: {processes: 1}", f"training: {{processes: {processes}}}")
    text = re.sub(r"^ *(sha256|remote_code|code): .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"precision: b?float16", "precision: float32", text)


def _at_most(match: re.Match[str], most: int) -> str:
    return match[0].replace(match[1], str(min(most, int(match[1]))))


def collections(home: Path, corpora: Mapping[str, Mapping[str, object]]) -> None:
    """Write what ir_datasets keeps of the collections that a params file names, small and in their own layout."""
    places = {str(corpus["source"]).removeprefix("irds:") for corpus in corpora.values()}
    if "msmarco-passage" in places:
        marco(home / "msmarco-passage", home / "downloads")
    if "dpr-w100" in places:
        dpr(home / "dpr-w100")
    for name in sorted({place.removeprefix("beir/") for place in places if place.startswith("beir/")}):
        beir(home / "beir", name)


def marco(folder: Path, downloads: Path) -> None:
    """MS MARCO's archives, files of judgments and released triples of texts."""
    texts, train, dev = dict(_passages()), _queries("train"), _queries("dev")
    small = {
        "collection.tsv": _tsv(texts.items()),
        "queries.dev.small.tsv": _tsv(dev.items()),
        "qrels.dev.small.tsv": _judged(dev),
    }
    _archive(folder / "collectionandqueries.tar.gz", small)
    _archive(
        folder / "queries.tar.gz", {"queries.train.tsv": _tsv(train.items()), "queries.dev.tsv": _tsv(dev.items())}
    )
    _write(folder / "train/qrels", _judged(train))
    _write(folder / "dev/qrels", _judged(dev))
    for year in ("trec-dl-2019", "trec-dl-2020"):
        asked = _queries(year)
        _write(folder / year / "qrels", _judged(asked, "Q0", 2))
        _write(folder / year / "queries.tsv", _tsv(asked.items()))
        _write(folder / year / "queries.tsv.gz", gzip.compress(_tsv(asked.items()).encode(), mtime=0))
    triples = ((text, texts[_answer(query)], texts[_other(query)]) for query, text in train.items())
    _archive(downloads / TRIPLES, {"triples.train.small.tsv": _tsv(triples)})


def dpr(folder: Path) -> None:
    """DPR's passages of Wikipedia and its questions with their passages, as it hands them out."""
    rows = [("id", "text", "title"), *((name, text, "") for name, text in _passages())]
    _write(folder / "docs.tsv.gz", gzip.compress(_tsv(rows).encode(), mtime=0))
    questions = [
        {
            "question": text,
            "answers": ["an answer"],
            "positive_ctxs": [{"passage_id": _answer(query), "score": 1000}],
            "hard_negative_ctxs": [],
            "negative_ctxs": [{"passage_id": _other(query), "score": 0}],
        }
        for query, text in _queries("train").items()
    ]
    _write(folder / "nq-train.json.gz", gzip.compress(json.dumps(questions).encode(), mtime=0))


def beir(folder: Path, name: str) -> None:
    """A set of BEIR as its archive has it, with all fields that ir_datasets looks for in one of them."""
    texts = dict.fromkeys(("url", "pubmed_id", "stance", "description", "narrative", "query"), "")
    fields = {**texts, "year": 0, **{name: [] for name in ("tags", "authors", "cited_by", "references")}}
    asked = _queries("test")
    docs, asking = (
        [{"_id": key, "title": "", "text": text, "metadata": fields} for key, text in rows]
        for rows in (_passages(), asked.items())
    )
    head = "query-id\tcorpus-id\tscore\n"
    judged = head + "".join(f"{query}\t{_answer(query)}\t1\n" for query in asked)
    path = folder / name / "source.zip"
    inside = name.split("/")[0]
    if name.startswith("cqadupstack"):
        path, inside = folder / "cqadupstack/source.zip", name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{inside}/corpus.jsonl", "".join(json.dumps(row) + "\n" for row in docs))
        archive.writestr(f"{inside}/queries.jsonl", "".join(json.dumps(row) + "\n" for row in asking))
        for split in ("dev", "test"):
            archive.writestr(f"{inside}/qrels/{split}.tsv", judged)


def _passages() -> Iterable[tuple[str, str]]:
    for at in range(PASSAGES):
        yield str(at), f"{' '.join(_words(at))} {at}."


def _words(at: int) -> list[str]:
    """The words of a passage."""
    return [WORDS[(at * step) % 17] for step in range(1, 12)]


def _queries(split: str) -> dict[str, str]:
    """Each asks with two words of its answer and the number of that, which is how BM25 finds it."""
    begin = FIRST[split]
    numbers = range(begin, begin + (JUDGED if begin else TRAINING))
    return {str(at): f"what of {' and '.join(_words(at % PASSAGES)[:2])} {at % PASSAGES}, {at}" for at in numbers}


def _answer(query: str) -> str:
    return str(int(query) % PASSAGES)


def _other(query: str) -> str:
    return str((int(query) * 7 + 30) % PASSAGES)


def _judged(asked: Iterable[str], iteration: str = "0", grade: int = 1) -> str:
    return "".join(f"{query}\t{iteration}\t{_answer(query)}\t{grade}\n" for query in asked)


def _tsv(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def _archive(path: Path, files: Mapping[str, str]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    _write(path, packed.getvalue())


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


if __name__ == "__main__":
    main()
