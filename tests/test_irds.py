"""ir_datasets as a source: a dataset of four passages stands in for it at the edge."""

import os
import tempfile
from types import SimpleNamespace as Row

import pyarrow.parquet as pq
import pytest

os.environ.setdefault("IR_DATASETS_HOME", tempfile.mkdtemp())  # importing the library makes folders there
ir_datasets = pytest.importorskip("ir_datasets")

from stages.collections import canonical, readers, write  # noqa: E402
from stages.collections.readers import irds  # noqa: E402
from stages.core.errors import UserError  # noqa: E402
from stages.params.corpora import Corpus, JudgedSplit  # noqa: E402
from stages.planning import facts, layout, sources  # noqa: E402


class Tiny:
    """Looks like an ir_datasets dataset, as far as it is used."""

    def __init__(self, docs=(), queries=(), qrels=(), docpairs=()):
        self.parts = {"docs": docs, "queries": queries, "qrels": qrels, "docpairs": docpairs}

    def __getattr__(self, name):
        kind, _, part = name.partition("_")
        if kind == "has":
            return lambda: bool(self.parts[part])
        return lambda: iter(self.parts[kind])


def corpus(dataset: str = "tiny", train: str | None = None, **more) -> Corpus:
    """A corpus of ir_datasets whose judged splits, in `more`, are named by their subsets."""
    fields = {name: more.pop(name) for name in ("docpairs", "docpairs_limit", "tokens") if name in more}
    judged = {split: JudgedSplit(subset=subset) for split, subset in more.items()}
    return Corpus(source=f"irds:{dataset}", train=train, judged=judged, **fields)


@pytest.fixture
def library(monkeypatch):
    docs = [
        Row(doc_id="d1", title="Ants", text="live in hills"),
        Row(doc_id="d2", default_text=lambda: " bees fly "),
        Row(doc_id="d3", text="cats nap"),
        Row(doc_id="d4", text=""),
    ]
    datasets = {
        "tiny": Tiny(docs),
        "tiny/train": Tiny(docs, [Row(query_id="1", text="who flies")], [Row(query_id="1", doc_id="d2", relevance=1)]),
        "tiny/train/triples": Tiny(
            docpairs=[Row(query_id="1", doc_id_a="d2", doc_id_b=doc) for doc in ("d1", "d9", "d3", "d1")]
        ),
        "tiny/test": Tiny(docs, [Row(query_id="2", text="who naps")], [Row(query_id="2", doc_id="d3", relevance=2)]),
    }
    monkeypatch.setattr(ir_datasets, "load", lambda name: datasets[name])
    monkeypatch.setattr(ir_datasets, "registry", list(datasets))
    return datasets


def test_round_trip_with_released_triples(library, tmp_path):
    given = corpus(train="train", test="test", docpairs="train/triples", docpairs_limit=3)
    card = write.write(readers.read(given), given, tmp_path / "out")
    texts = canonical.docs(tmp_path / "out").read()["text"].to_pylist()
    assert texts == ["Ants live in hills", "bees fly", "cats nap"]
    assert canonical.qrels(tmp_path / "out", "test").to_pylist() == [{"query_id": "2", "doc_id": "d3", "grade": 2}]
    triples = pq.read_table(tmp_path / "out" / "docpairs.parquet")
    assert triples.to_pydict() == {"query_id": ["1", "1"], "positive_id": ["d2", "d2"], "negative_id": ["d1", "d3"]}
    assert card.dropped == {"empty passages": 1, "released triples of other queries or absent passages": 1}


def test_unknown_names_and_missing_parts(library):
    with pytest.raises(UserError, match=r"irds:tony: .*near it: tiny"):
        readers.read(corpus("tony", test="test"))
    with pytest.raises(UserError, match=r"irds:tiny/tests: .*near it: tiny/test"):
        readers.read(corpus(test="tests"))
    with pytest.raises(UserError, match=r"irds:tiny: has no queries; below it there are: tiny/train"):
        readers.read(corpus(test=""))
    with pytest.raises(UserError, match=r"irds:tiny/train: has no docpairs; .*: tiny/train/triples"):
        readers.read(corpus(train="train", docpairs="train"))


def test_released_triples_need_a_train_split(library):
    with pytest.raises(UserError, match=r"^docpairs: released triples need a source .* and a train split"):
        readers.read(corpus(test="test", docpairs="train/triples"))


def test_a_query_with_two_texts_is_named(library):
    library["tiny/test"].parts["queries"].append(Row(query_id="2", text="who sleeps"))
    with pytest.raises(UserError, match=r"^irds:tiny/test: query id '2' appears twice, with different texts$"):
        readers.read(corpus(test="test"))


def test_half_a_surrogate_is_one_line(library):
    library["tiny"].parts["docs"].append(Row(doc_id="d5", text="\ud800"))
    with pytest.raises(UserError, match=r"irds:tiny: could not be read .UnicodeEncodeError"):
        list(readers.read(corpus(test="test")).docs)


@pytest.mark.parametrize(
    "error, message",
    [
        (
            ConnectionError("HTTPSConnectionPool(host='example.org', port=443): Max retries exceeded"),
            "irds:tiny: example.org could not be reached; run where there is a network",
        ),
        (FileNotFoundError("home/nyt.tgz"), "irds:tiny: .*place them at home/nyt.tgz"),
        (RuntimeError("All download sources failed"), "irds:tiny: could not be read .*All download sources failed"),
    ],
)
def test_a_failed_download_is_one_line_and_leaves_nothing(library, tmp_path, error, message):
    def fails():
        raise error
        yield

    library["tiny"].docs_iter = fails
    with pytest.raises(UserError, match=message):
        write.write(readers.read(corpus(test="test")), corpus(test="test"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_plan_takes_the_judgments_of_a_dataset_itself_unless_train_divides_them(library):
    """Its one split is then cut; folds and other judgments below it are the same queries again."""
    queries = [Row(query_id=f"q{at}", text=f"who naps {at}") for at in range(240)]
    judged = [Row(query_id=f"q{at}", doc_id="d3", relevance=1) for at in range(240)]
    library["whole"] = library["whole/fold1"] = Tiny(library["tiny"].parts["docs"], queries, judged)
    library["tiny"].parts["qrels"] = judged
    ir_datasets.registry.extend(["whole", "whole/fold1"])
    assert sources.splits("irds:tiny") == ["test", "train"] and sources.splits("irds:whole") == [""]
    names = {sources.name_of(split): split for split in sources.splits("irds:whole")}
    found = facts.read(readers.read(sources.corpus("irds:whole", names.values())), "irds:whole")
    block = sources.block(found, layout.chosen(found, names), names)
    assert (block["train"], block["judged"]) == ("", {"dev": {"subset": ""}, "test": {"subset": ""}})
    assert Corpus.model_validate(block).cuts == {"": ["train", "dev", "test"]} and block["validation"] > 0


def test_ids_that_params_name_exist_in_the_library():
    for name in ("msmarco-passage/train/triples-small", "msmarco-passage/trec-dl-2019/judged", "beir/scifact/test"):
        assert irds._load(name, "docs", "queries")
