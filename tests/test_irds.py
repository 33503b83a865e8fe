"""ir_datasets as a source: a dataset of four passages stands in for it at the edge."""
import os
import tempfile
from types import SimpleNamespace as Row

import pytest

os.environ.setdefault("IR_DATASETS_HOME", tempfile.mkdtemp())  # importing the library makes folders there
ir_datasets = pytest.importorskip("ir_datasets")

from stages.collections import collection
from stages.collections.readers import irds
from stages.core.errors import UserError  # noqa: E402


class Tiny:
    """Looks like an ir_datasets dataset, as far as it is used."""

    def __init__(self, docs=(), queries=(), qrels=(), docpairs=()):
        self.variants = {"docs": docs, "queries": queries, "qrels": qrels, "docpairs": docpairs}

    def __getattr__(self, name):
        kind, _, part = name.partition("_")
        if kind == "has":
            return lambda: bool(self.variants[part])
        return lambda: iter(self.variants[kind])


@pytest.fixture
def library(monkeypatch):
    docs = [Row(doc_id="d1", title="Ants", text="live in hills"), Row(doc_id="d2", default_text=lambda: " bees fly "),
            Row(doc_id="d3", text="cats nap"), Row(doc_id="d4", text="")]
    found = {
        "tiny": Tiny(docs),
        "tiny/train": Tiny(docs, [Row(query_id="1", text="who flies")], [Row(query_id="1", doc_id="d2", relevance=1)]),
        "tiny/train/triples": Tiny(docpairs=[Row(query_id="1", doc_id_a="d2", doc_id_b=doc) for doc in
                                             ("d1", "d9", "d3", "d1")]),
        "tiny/test": Tiny(docs, [Row(query_id="2", text="who naps")], [Row(query_id="2", doc_id="d3", relevance=2)]),
    }
    monkeypatch.setattr(ir_datasets, "load", lambda name: found[name])
    monkeypatch.setattr(ir_datasets, "registry", list(found))
    return found


def test_round_trip_with_released_triples(library, tmp_path):
    source = irds.read("tiny", {"train": "train", "test": "test"})
    source.docpairs = irds.docpairs("tiny", "train/triples", limit=3)
    card = collection.write(source, tmp_path / "out", train="train", judged=["test"], validation=0, limits={}, tokens=9)
    texts = collection.docs(tmp_path / "out").read()["text"].to_pylist()
    assert texts == ["Ants live in hills", "bees fly", "cats nap"]
    assert collection.qrels(tmp_path / "out", "test").to_pylist() == [{"query_id": "2", "doc_id": "d3", "grade": 2}]
    triples = collection.pq.read_table(tmp_path / "out" / "docpairs.parquet")
    assert triples.to_pydict() == {"query_id": ["1", "1"], "positive_id": ["d2", "d2"], "negative_id": ["d1", "d3"]}
    assert card["dropped"] == {"empty passages": 1, "released triples of other queries or absent passages": 1}


def test_unknown_names_and_missing_parts(library):
    with pytest.raises(UserError, match="irds:tony: .*near it: tiny"):
        irds.read("tony", {})
    with pytest.raises(UserError, match="irds:tiny/tests: .*near it: tiny/test"):
        irds.read("tiny", {"test": "tests"})
    with pytest.raises(UserError, match="irds:tiny: has no queries; below it there are: tiny/train"):
        irds.read("tiny", {"test": ""})
    with pytest.raises(UserError, match="irds:tiny/train: has no docpairs; .*: tiny/train/triples"):
        irds.docpairs("tiny", "train", None)


def test_half_a_surrogate_is_one_line(library):
    library["tiny"].rows["docs"].append(Row(doc_id="d5", text="\ud800"))
    with pytest.raises(UserError, match="irds:tiny: could not be read .UnicodeEncodeError"):
        list(irds.read("tiny", {}).docs)


@pytest.mark.parametrize("error, message", [
    (ConnectionError("HTTPSConnectionPool(host='example.org', port=443): Max retries exceeded"),
     "irds:tiny: example.org could not be reached; run where there is a network"),
    (FileNotFoundError("in_domain/nyt.tgz"), "irds:tiny: .*place them at in_domain/nyt.tgz"),
    (RuntimeError("All download sources failed"), "irds:tiny: could not be read .*All download sources failed"),
])
def test_a_failed_download_is_one_line_and_leaves_nothing(library, tmp_path, error, message):
    def fails():
        raise error
        yield
    library["tiny"].docs_iter = fails
    with pytest.raises(UserError, match=message):
        collection.write(irds.read("tiny", {"test": "test"}), tmp_path / "out", train=None, judged=["test"],
                         validation=0, limits={}, tokens=None)
    assert not list(tmp_path.iterdir())


def test_ids_that_params_name_exist_in_the_library():
    for name in ("msmarco-passage/train/triples-small", "msmarco-passage/trec-dl-2019/judged", "beir/scifact/test"):
        assert irds._load(name, "docs", "queries")
