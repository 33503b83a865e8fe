"""Folders in BEIR layout: what is read, and one line that names file and line for whatever cannot be."""

import gzip
import json
import re
from pathlib import Path

import pytest

from stages.collections import canonical, readers, write
from stages.collections.canonical import Card
from stages.core.errors import UserError
from stages.params.corpora import Corpus, JudgedSplit


def jsonl(**texts: str) -> str:
    return "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items())


@pytest.fixture
def folder(tmp_path):
    tiny = tmp_path / "tiny"
    (tiny / "qrels").mkdir(parents=True)
    (tiny / "corpus.jsonl").write_text(
        json.dumps({"_id": "d1", "title": "Ants", "text": "live in hills"}) + "\n" + jsonl(d2="bees fly", d3="cats nap")
    )
    (tiny / "queries.jsonl").write_text(jsonl(q1="who flies", q2="where do ants live", q3="who naps"))
    (tiny / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td3\t0\n")
    (tiny / "qrels" / "dev.trec").write_text("q2 0 d1 3\nq2 0 d9 1\nq3 0 d3 1\n")
    return tiny


def corpus(folder: Path, train: str | None = "train", **judged: str) -> Corpus:
    """A corpus in a folder, its judged splits with their names there."""
    splits = {split: JudgedSplit(subset=subset) for split, subset in judged.items()}
    return Corpus(source=f"beir:{folder}", train=train, judged=splits)


def written(folder: Path, out: Path, dev: str = "dev") -> Card:
    given = corpus(folder, dev=dev)
    return write.write(readers.read(given), given, out)


def test_round_trip(folder, tmp_path):
    card = written(folder, tmp_path / "out")
    assert canonical.docs(tmp_path / "out").read().to_pylist() == [
        {"doc_id": "d1", "text": "Ants live in hills"},
        {"doc_id": "d2", "text": "bees fly"},
        {"doc_id": "d3", "text": "cats nap"},
    ]
    assert canonical.topics(tmp_path / "out", "train").to_pylist() == [
        {"query_id": "q1", "text": "who flies", "cluster": "q1"}
    ]
    assert canonical.qrels(tmp_path / "out", "dev").to_pydict() == {
        "query_id": ["q2", "q2", "q3"],
        "doc_id": ["d1", "d9", "d3"],
        "grade": [3, 1, 1],
    }
    assert set(card.origin) == {"corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/dev.trec"}
    assert card.noted == {"dev: judgments of absent passages": 1}


def test_packed_and_named_forms_are_the_same_collection(folder, tmp_path):
    plain = written(folder, tmp_path / "plain")
    for path in folder.glob("*.jsonl"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + path.read_bytes()))
        path.unlink()
    (folder / "qrels" / "dev.trec").rename(folder / "qrels" / "dev.official.trec")
    packed = written(folder, tmp_path / "packed", "dev.official.trec")
    assert packed.fingerprint == plain.fingerprint


def replaced(name: str, old: str, new: str):
    def damage(folder):
        path = folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return damage


def cut_short(folder):
    whole = gzip.compress((folder / "corpus.jsonl").read_bytes() * 2000)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(whole[: len(whole) // 2])


def not_gzip(folder):
    (folder / "queries.jsonl").rename(folder / "queries.jsonl.gz")


def not_utf8(folder):
    with open(folder / "corpus.jsonl", "ab") as handle:
        handle.write(b'{"_id": "d4", "text": "caf\xe9"}\n')


BAD = {
    "truncated gz": (cut_short, r"corpus\.jsonl\.gz:\d+: cannot be read any further"),
    "not gz": (not_gzip, r"queries\.jsonl\.gz:1: cannot be read"),
    "not UTF-8": (not_utf8, r"corpus\.jsonl:4: not valid UTF-8"),
    "half a surrogate": (replaced("corpus.jsonl", "bees", r"\ud800"), r"corpus\.jsonl:2: half of a surrogate"),
    "not JSON": (replaced("corpus.jsonl", '"bees', "bees"), r"corpus\.jsonl:2: not valid JSON"),
    "no object": (replaced("queries.jsonl", '{"_id": "q1", "text": "who flies"}', "[1]"), r"queries\.jsonl:1: not a"),
    "no text": (
        replaced("corpus.jsonl", '"text": "bees', '"body": "bees'),
        r'corpus\.jsonl:2: has no "text"; there are: _id, body',
    ),
    "text a number": (replaced("queries.jsonl", '"who naps"', "7"), r'queries\.jsonl:3: "text" is not a text'),
    "id a fraction": (replaced("corpus.jsonl", '"d3"', "3.0"), r'corpus\.jsonl:3: "_id" is not there, empty, or nei'),
    "id with a NUL": (replaced("corpus.jsonl", '"d3"', r'"d3\u0000"'), r"corpus\.jsonl:3: .* holds a tab, a line end"),
    "id with a tab": (replaced("queries.jsonl", '"q3"', r'"q\t3"'), r"queries\.jsonl:3: .* holds a tab, a line end"),
    "title a list": (replaced("corpus.jsonl", '"Ants"', "[1]"), r'corpus\.jsonl:1: "title"'),
    "id with two texts": (replaced("corpus.jsonl", "d3", "d2"), r"passage id 'd2' appears twice in the corpus"),
    "query with two texts": (replaced("queries.jsonl", "q3", "q2"), r"queries\.jsonl:3: query id 'q2' appears twice"),
    "no header": (
        replaced("qrels/train.tsv", "query-id\tcorpus-id\tscore\n", ""),
        r"train\.tsv:1: the header .* is missing",
    ),
    "two columns": (replaced("qrels/train.tsv", "d3\t0", "d3"), r"train\.tsv:3: 2 fields under a header of 3"),
    "TREC with three columns": (replaced("qrels/dev.trec", "q3 0 d3 1", "q3 d3 1"), r"dev\.trec:3: not a judgment"),
    "half a grade": (replaced("qrels/train.tsv", "d3\t0", "d3\t0.5"), r"train\.tsv:3: the grade '0\.5' is not a whole"),
    "two signs": (replaced("qrels/train.tsv", "d3\t0", "d3\t--1"), r"train\.tsv:3: the grade '--1'"),
    "a huge grade": (replaced("qrels/dev.trec", "d1 3", f"d1 {2**31}"), r"dev\.trec:1: the grade"),
    "no corpus": (
        lambda folder: (folder / "corpus.jsonl").unlink(),
        r"corpus\.jsonl: there is no such file; there are: qrels, queries",
    ),
    "no queries": (
        lambda folder: (folder / "queries.jsonl").unlink(),
        r"queries\.jsonl: there is no such file; there are: corpus",
    ),
    "no qrels": (
        lambda folder: (folder / "qrels" / "dev.trec").unlink(),
        r"qrels: no judgments of dev; there are: train$",
    ),
    "empty corpus": (lambda folder: (folder / "corpus.jsonl").write_text("\n"), r"no passage with text"),
    "empty split": (
        lambda folder: (folder / "qrels" / "dev.trec").write_text(""),
        r"split dev has no judgment of grade",
    ),
}


@pytest.mark.parametrize("damage, message", BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_leaves_nothing(folder, tmp_path, damage, message):
    damage(folder)
    out = tmp_path / "new" / "out"
    with pytest.raises(UserError) as raised:
        written(folder, out)
    assert re.search(message, str(raised.value)) and "\n" not in str(raised.value)
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_no_folder(folder):
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        readers.read(corpus(folder / "nowhere"))
    with pytest.raises(UserError, match=r"corpus\.jsonl: not a folder"):
        readers.read(corpus(folder / "corpus.jsonl"))


@pytest.mark.parametrize(
    "name, documents, queries, dropped",
    [
        ("msmarco-tiny", 3099, {"train": 160, "dev": 100, "dl19": 8}, {}),
        ("msmarco-mini", 24614, {"train": 9992, "dev": 3300, "dl19": 43}, {}),
        # Two claims of SciFact's train split are word for word in its test split.
        ("scifact", 5183, {"train": 807, "test": 300}, {"train queries that are also judged": 2}),
        ("medquad", 15775, {"train": 11291, "dev": 1608, "test": 1414}, {}),
    ],
)
def test_real_folders(tmp_path, real_collections, name, documents, queries, dropped):
    given = corpus(real_collections / name, **{split: split for split in queries if split != "train"})
    card = write.write(readers.read(given), given, tmp_path / name)
    assert card.documents == documents and card.dropped == dropped
    assert {split: sizes.queries for split, sizes in card.splits.items()} == queries


def test_official_judgments_keep_what_the_corpus_lacks(tmp_path, real_collections):
    given = corpus(real_collections / "msmarco-mini", train=None, dl19="dl19.official-full.trec")
    card = write.write(readers.read(given), given, tmp_path / "out")
    assert card.splits["dl19"].judgments == 9260
    assert card.noted["dl19: judgments of absent passages"] == 9260 - 3853
