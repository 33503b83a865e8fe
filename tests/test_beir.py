"""Folders in BEIR layout: what is read, and one line that names file and line for whatever cannot be."""

import gzip
import json
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
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


def gzipped_under_a_plain_name(folder):
    (folder / "queries.jsonl").write_bytes(gzip.compress((folder / "queries.jsonl").read_bytes()))


def a_pointer(folder):
    (folder / "qrels/train.tsv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n")


def utf16(folder):
    (folder / "corpus.jsonl").write_text((folder / "corpus.jsonl").read_text(), encoding="utf-16")


def a_parquet_in_name_alone(folder):
    (folder / "queries.jsonl").rename(folder / "queries.parquet")


def not_utf8(folder):
    with open(folder / "corpus.jsonl", "ab") as handle:
        handle.write(b'{"_id": "d4", "text": "caf\xe9"}\n')


BAD = {
    "truncated gz": (cut_short, r"corpus\.jsonl\.gz:\d+: cannot be read any further"),
    "not gz": (not_gzip, r"queries\.jsonl\.gz:1: cannot be read"),
    "gz under a plain name": (gzipped_under_a_plain_name, r"queries\.jsonl: is gzipped; call it queries\.jsonl\.gz"),
    "a pointer of git-lfs": (a_pointer, r"train\.tsv: a pointer that git-lfs left"),
    "UTF-16": (utf16, r"corpus\.jsonl: is written in UTF-16"),
    "not parquet": (a_parquet_in_name_alone, r"queries\.parquet: cannot be read behind row 0 .*fetch the file again"),
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
        r"qrels: no judgments of dev; there are: train; to train on it alone say judged: \{\}, to measure",
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


def with_bom_and_crlf(text: str) -> bytes:
    return b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()


def saved(folder: Path, name: str, text: str, form) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(form(text))


CSV = {
    "corpus": '_id,title,text\nd1,Ants,live in hills\n"d2",,bees fly\n\nd3,,"cats nap"\n',
    "queries": "_id,text\nq1,who flies\nq2,where do ants live\nq3,who naps\n",
    "qrels/train": "query_id,corpus_id,score\nq1,d2,1.0\nq1,d3,0\n",
    "qrels/dev": "relevance,docid,qid\n3,d1,q2\n1,d9,q2\n1,d3,q3\n",
}


@pytest.mark.parametrize("form", [str.encode, with_bom_and_crlf], ids=["plain", "BOM and CRLF"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "tsv.gz", "parquet"])
def test_tables_are_the_same_collection(folder, tmp_path, ending, form):
    plain = written(folder, tmp_path / "plain")
    for name, text in CSV.items():
        if ending == "parquet":
            saved(tmp_path / "tables", f"{name}.csv", text, form)
            strings = pacsv.ConvertOptions(column_types={key: pa.string() for key in ("_id", "title", "docid", "qid")})
            pq.write_table(
                pacsv.read_csv(tmp_path / f"tables/{name}.csv", convert_options=strings),
                tmp_path / f"tables/{name}.parquet",
            )
            (tmp_path / f"tables/{name}.csv").unlink()
        else:
            text = text if ending == "csv" else text.replace(",", "\t")
            packed = (lambda text: gzip.compress(form(text))) if ending.endswith(".gz") else form
            saved(tmp_path / "tables", f"{name}.{ending}", text, packed)
    assert written(tmp_path / "tables", tmp_path / "out").fingerprint == plain.fingerprint


QRELS = {
    "TREC without a header": ("dev.tsv", "q2\t0\td1\t3\nq2\t0\td9\t1\nq3\t0\td3\t1\n"),
    "spaces": ("dev.tsv", "query_id corpus_id score\nq2 d1 3\nq2 d9 1\nq3 d3 1\n"),
    "commas": ("dev.tsv", "query-id,corpus-id,score\nq2,d1,3\nq2,d9,1\nq3,d3,1\n"),
    ".qrels": ("dev.qrels", "q2 0 d1 3\nq2 0 d9 1\nq3 0 d3 1\n"),
    "jsonl": (
        "dev.jsonl",
        "".join(
            json.dumps({"query-id": query, "corpus-id": doc, "score": grade}) + "\n"
            for query, doc, grade in [("q2", "d1", 3.0), ("q2", "d9", 1), ("q3", "d3", True)]
        ),
    ),
}


@pytest.mark.parametrize("name, text", QRELS.values(), ids=QRELS)
def test_judgments_in_other_forms(folder, tmp_path, name, text):
    plain = written(folder, tmp_path / "plain")
    (folder / "qrels/dev.trec").unlink()
    (folder / "qrels" / name).write_text(text)
    assert written(folder, tmp_path / "out").fingerprint == plain.fingerprint


def test_ids_are_text_and_numbers_are_ids(folder, tmp_path):
    (folder / "corpus.jsonl").write_text('{"_id": 1, "text": "ants"}\n{"_id": "01", "text": "bees"}\n')
    (folder / "queries.jsonl").unlink()
    (folder / "queries.csv").write_text("qid,query\n007,who flies\n2,who naps\n")
    (folder / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\n007\t01\t1\n")
    (folder / "qrels/dev.trec").write_text("2 0 1 1\n")
    written(folder, tmp_path / "out")
    assert canonical.doc_ids(tmp_path / "out").to_pylist() == ["1", "01"]
    assert canonical.qrels(tmp_path / "out", "train").to_pylist() == [{"query_id": "007", "doc_id": "01", "grade": 1}]


def test_null_is_no_text_and_a_title_alone_is_one(folder, tmp_path):
    with open(folder / "corpus.jsonl", "a") as lines:
        lines.write('{"_id": "d4", "title": " Dogs ", "text": null}\n{"_id": "d5", "title": null, "text": null}\n')
    card = written(folder, tmp_path / "out")
    assert canonical.docs(tmp_path / "out").read()["text"][3].as_py() == "Dogs"
    assert card.dropped == {"empty passages": 1}


def test_parquet_of_other_types(folder, tmp_path):
    """Large and dictionary strings, numbers as ids, columns of vectors and structs beside them, small row groups."""
    plain = written(folder, tmp_path / "plain")
    texts = pa.array(["live in hills", "bees fly", "cats nap"], pa.large_string())
    others = {"emb": [[0.5] * 4] * 3, "metadata": [{"url": "x"}] * 3, "url": ["x"] * 3}
    table = pa.table({"docid": ["d1", "d2", "d3"], "title": pa.array(["Ants", None, None]), "text": texts, **others})
    table = table.set_column(0, "docid", table["docid"].dictionary_encode())
    pq.write_table(table, folder / "corpus.parquet", row_group_size=2)
    (folder / "corpus.jsonl").unlink()
    assert written(folder, tmp_path / "out").fingerprint == plain.fingerprint
    pq.write_table(table.set_column(0, "docid", pa.array([1.0, 2.0, 3.0])), folder / "corpus.parquet")
    with pytest.raises(UserError, match=r'corpus\.parquet: row 1: "docid" is not there, empty, or neither text nor a'):
        written(folder, tmp_path / "out")


AMBIGUOUS = {
    "corpus": ("corpus.jsonl.gz", r"tiny: holds corpus\.jsonl and corpus\.jsonl\.gz; keep the one that is meant"),
    "queries": ("queries.parquet", r"tiny: holds queries\.jsonl and queries\.parquet"),
    "qrels": ("qrels/dev.csv", r"qrels: holds dev\.csv and dev\.trec"),
}


@pytest.mark.parametrize("name, message", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_two_files_that_could_be_meant_are_both_named(folder, tmp_path, name, message):
    (folder / name).write_bytes(b"")
    with pytest.raises(UserError, match=message):
        written(folder, tmp_path / "out")


STRAY = {
    "a word in quotes first": ('d1\t"ants" live\n', r"corpus\.tsv:2: .*quotes are doubled"),
    "closed a row later": ('d1\t"ants live\nd2\tbees"\n', r"corpus\.tsv:2: a quote that is closed lines later"),
    "never closed": ('d1\t"ants live\nd2\tbees\n', r"corpus\.tsv:2: .*quotes are doubled"),
    "too many fields": ("d1\tants\tlive\n", r"corpus\.tsv:2: 3 fields under a header of 2"),
    "a column twice": ("", r"corpus\.tsv:1: the header has a column twice"),
}


@pytest.mark.parametrize("rows, message", STRAY.values(), ids=STRAY)
def test_a_stray_quote_swallows_no_row(folder, tmp_path, rows, message):
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.tsv").write_text(("_id\ttext\n" if rows else "_id\t_id\n") + rows)
    with pytest.raises(UserError, match=message):
        written(folder, tmp_path / "out")


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


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_real_texts_are_the_same_in_every_form(tmp_path, real_collections, ending):
    """SciFact as pandas writes it, against the passages that json reads from the original."""
    real = real_collections / "scifact"
    (tmp_path / "tables/qrels").mkdir(parents=True)
    texts = {name: pd.read_json(real / f"{name}.jsonl.gz", lines=True, dtype=False) for name in ("corpus", "queries")}
    judged = {f"qrels/{path.stem}": pd.read_csv(path, sep="\t", dtype=str) for path in (real / "qrels").glob("*.tsv")}
    for name, table in {**texts, **judged}.items():
        path = tmp_path / f"tables/{name}.{ending}"
        table = table[[column for column in table.columns if column != "metadata"]]
        if ending == "parquet":
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
    given, table = (corpus(folder, test="test") for folder in (real, tmp_path / "tables"))
    plain = write.write(readers.read(given), given, tmp_path / "plain")
    assert write.write(readers.read(table), table, tmp_path / "out").fingerprint == plain.fingerprint
    lines = [json.loads(line) for line in gzip.decompress((real / "corpus.jsonl.gz").read_bytes()).splitlines()]
    texts = [f"{line['title']} {line['text']}".strip() for line in lines]
    assert canonical.docs(tmp_path / "out").read()["text"].to_pylist() == texts
