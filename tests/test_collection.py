"""The canonical format: what is kept, what is dropped and counted, what stops a study; and the stage that writes it."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from stages import download, params
from stages.collections import canonical, readers, write
from stages.collections.canonical import Card, SplitSizes
from stages.collections.source import Query, Source
from stages.collections.splits import sha256
from stages.core import code
from stages.core.errors import UserError
from stages.params.corpora import Corpus, JudgedSplit

DOCS = [("d1", "ants live in hills"), ("d2", "bees fly"), ("d3", "cats nap")]
QUERIES = {"q1": "who flies", "q2": "where do ants live", "q3": "who naps", "q4": "what is an ant"}
QRELS = {"train": [("q1", "d2", 1), ("q4", "d1", 1)], "dev": [("q2", "d1", 3), ("q3", "d3", 1), ("q3", "d1", 0)]}


def source(docs=DOCS, queries=QUERIES, clusters={}, **qrels) -> Source:  # noqa: B006
    asked = {query: Query(text, clusters.get(query, query)) for query, text in queries.items()}
    return Source(iter(docs), asked, QRELS | qrels)


def written(given: Source, out: Path, judged=("dev",), validation=0, limit=None, train="train") -> Card:
    splits = {split: JudgedSplit(limit=limit) for split in judged}
    corpus = Corpus(source="beir:none", train=train, judged=splits, validation=validation, tokens=256)
    return write.write(given, corpus, out)


def test_order_sizes_and_files(tmp_path):
    out = tmp_path / "out"
    card = written(source(dev=[*QRELS["dev"][1:], QRELS["dev"][0]]), out)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "card.json",
        "docs.json",
        "docs.parquet",
        "qrels/dev.parquet",
        "qrels/train.parquet",
        "topics/dev.parquet",
        "topics/train.parquet",
    ]
    assert json.loads((out / "docs.json").read_text()) == {
        "documents": 3,
        "language": "en",
        "tokens": 256,
        "query_tokens": None,
        "passage_tokens": None,
    }
    assert json.loads((out / "card.json").read_text()) == asdict(card) and canonical.card(out) == card
    assert canonical.caps(out) == canonical.Caps(tokens=256)
    assert canonical.doc_ids(out).to_pylist() == ["d1", "d2", "d3"]
    assert canonical.splits(out) == ["dev", "train"]
    assert canonical.topics(out, "dev")["query_id"].to_pylist() == ["q2", "q3"]
    assert canonical.qrels(out, "dev").to_pydict() == {
        "query_id": ["q2", "q3", "q3"],
        "doc_id": ["d1", "d3", "d1"],
        "grade": [3, 1, 0],
    }
    assert card.splits["dev"] == SplitSizes(
        queries=2, judgments=3, clusters=2, relevant_per_query=1.0, words_per_query=3.0
    )
    assert card.words_per_passage == 2.67 and not card.dropped and not card.noted


def test_two_writes_are_the_same_bytes_and_an_older_folder_is_replaced(tmp_path):
    out = tmp_path / "out"
    cards, files = [], []
    for _ in range(2):
        cards.append(written(source(), out, validation=1))
        files.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")})
    assert files[0] == files[1] and str(tmp_path) not in (out / "card.json").read_text()
    assert written(source([*DOCS, ("d4", "dogs")]), out).fingerprint != cards[0].fingerprint


DROPPED = {
    "repeated passages": {"docs": [*DOCS, DOCS[1]]},
    "empty passages": {"docs": [*DOCS, ("d4", " \n")]},
    "queries without text": {"queries": QUERIES | {"q5": " "}},
    "dev: judgments of queries without text": {
        "queries": QUERIES | {"q5": ""},
        "dev": [*QRELS["dev"], ("q5", "d1", 1)],
    },
    "dev: judgments of absent queries": {"dev": [*QRELS["dev"], ("q9", "d1", 1)]},
    "dev: repeated judgments": {"dev": [*QRELS["dev"], ("q3", "d1", 0)]},
    "train: judgments of absent passages": {"train": [*QRELS["train"], ("q4", "d9", 1)]},
    "train queries that are also judged": {"train": [*QRELS["train"], ("q3", "d3", 1)]},
}


@pytest.mark.parametrize("reason, changes", DROPPED.items(), ids=DROPPED)
def test_what_is_dropped_is_counted_and_nothing_else_changes(tmp_path, reason, changes):
    plain, card = written(source(), tmp_path / "plain"), written(source(**changes), tmp_path / "out")
    assert card.dropped[reason] == 1 and set(card.dropped) <= {reason, "queries without text"}
    assert card.fingerprint == plain.fingerprint


def test_a_repetition_far_away_is_found(tmp_path):
    many = [(str(number), f"text {number}") for number in range(25_000)]
    card = written(source([*DOCS, *many, many[7], DOCS[0]]), tmp_path / "out")
    assert card.documents == 25_003 and card.dropped == {"repeated passages": 2}
    assert canonical.docs(tmp_path / "out").read()["doc_id"].to_pylist() == ["d1", "d2", "d3", *(n for n, _ in many)]


def test_a_training_query_worded_as_a_judged_one_is_dropped(tmp_path):
    card = written(source(queries=QUERIES | {"q1": " Who  NAPS"}), tmp_path / "out")
    assert card.dropped == {"train queries that are also judged": 1}
    assert canonical.topics(tmp_path / "out", "train")["query_id"].to_pylist() == ["q4"]


def test_what_is_kept_and_noted(tmp_path):
    given = source(
        [*DOCS, ("d4", "word " * 10_000)],
        QUERIES | {"q5": "Who naps"},
        dev=[*QRELS["dev"], ("q2", "d9", 2)],
        test=[("q5", "d3", 1)],
    )
    card = written(given, tmp_path / "out", judged=("dev", "test"))
    assert card.noted == {
        "dev: judgments of absent passages": 1,
        "passages over 2,000 words": 1,
        "query texts in more than one judged split": 1,
    }
    assert card.documents == 4 and card.splits["dev"].judgments == 4
    assert len(canonical.docs(tmp_path / "out").read()["text"][3].as_py()) == 49_999


def test_mojibake_stays_as_it_is(tmp_path):
    written(source([*DOCS, ("d4", "itâ\u0080\u0099s")]), tmp_path / "out")
    assert canonical.docs(tmp_path / "out").read()["text"][3].as_py() == "itâ\u0080\u0099s"


def test_validation_takes_whole_clusters_and_never_the_words_of_a_training_query(tmp_path):
    queries = {f"t{number}": f"training query {number % 20}" for number in range(40)} | {"q2": "a", "q3": "b"}
    clusters = {f"t{number}": f"cluster {number // 4}" for number in range(40)}
    train = [(query, "d1", 1) for query in queries if query.startswith("t")]
    card = written(source(queries=queries, clusters=clusters, train=train), tmp_path / "out", validation=10)
    train, validation = (canonical.topics(tmp_path / "out", split).to_pydict() for split in ("train", "validation"))
    assert len(validation["query_id"]) == 12 and not {*train["cluster"]} & {*validation["cluster"]}
    assert not {*train["text"]} & {*validation["text"]}
    assert len(train["query_id"]) == 28 - card.dropped["train queries that are also in validation"]


def test_a_limit_keeps_the_first_by_hash_and_trains_on_none_of_the_rest(tmp_path):
    given = source(dev=[(query, "d1", 1) for query in ("q1", "q2", "q3")])
    card = written(given, tmp_path / "out", limit=1)
    assert card.dropped == {"dev: queries beyond its limit": 2, "train queries that are also judged": 1}
    assert canonical.qrels(tmp_path / "out", "dev")["query_id"].to_pylist() == [min(("q1", "q2", "q3"), key=sha256)]


WRONG = {
    "no passage with text": {"docs": [("d1", " ")]},
    "passage id 'd1' appears twice in the corpus, with different texts": {"docs": [*DOCS, ("d1", "other")]},
    "qrels of dev: query 'q3' and passage 'd1' are judged twice, with grades 0 and 1": {
        "dev": [*QRELS["dev"], ("q3", "d1", 1)]
    },
    "qrels of dev: none of its 1 judgments names a query": {"dev": [("q9", "d1", 1)]},
    "qrels of dev: none of its 2 judgments names a passage": {"dev": [("q2", "d8", 1), ("q3", "d9", 1)]},
    "qrels of train: none of its 1 judgments names a passage": {"train": [("q1", "d9", 1)]},
    "split dev has no judgment of grade 1 or more": {"dev": [("q2", "d1", 0)]},
    "split train has no judgment of grade 1 or more": {"train": []},
    "train queries among the judged: all 2 of them": {"train": QRELS["dev"][:2]},
}


@pytest.mark.parametrize("message, changes", WRONG.items(), ids=WRONG)
def test_contradictions_stop_and_leave_nothing(tmp_path, message, changes):
    with pytest.raises(UserError, match=message):
        written(source(**changes), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_validation_must_leave_something_to_train_on(tmp_path):
    with pytest.raises(UserError, match="validation: 2 queries, in whole clusters, leave none of the 2"):
        written(source(), tmp_path / "out", validation=2)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage on one corpus, in a folder of its own."""
    (tmp_path / "tiny" / "qrels").mkdir(parents=True)
    lines = {"corpus": dict(DOCS), "queries": QUERIES}
    for name, texts in lines.items():
        (tmp_path / "tiny" / f"{name}.jsonl").write_text(
            "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items())
        )
    (tmp_path / "tiny" / "qrels" / "dl.trec").write_text("q2 0 d1 3\nq2 0 d9 1\n")
    monkeypatch.chdir(tmp_path)

    def run(corpus="tiny", **settings):
        corpora = {"tiny": Corpus(**settings)}
        monkeypatch.setattr(params, "load", lambda: SimpleNamespace(corpora=corpora))
        return CliRunner().invoke(download.main, [corpus, "--out", "data/corpora/tiny"])

    return run


def test_the_stage_writes_and_prints_sizes(stage, tmp_path):
    done = stage(source="beir:tiny", judged={"dl19": {"subset": "dl.trec", "rel": 2}})
    assert done.exit_code == 0 and "dl19: 1 queries of 4 words, 2 judgments" in done.output
    assert "noted: 1 (dl19: judgments of absent passages)" in done.output
    assert canonical.splits(tmp_path / "data" / "corpora" / "tiny") == ["dl19"]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"source": "beir:nowhere"}, "corpora.tiny: nowhere: there is no such folder"),
        (
            {"source": "beir:tiny"},
            "corpora.tiny: tiny/qrels: no judgments of dl19; there are: dl; say judged: {dl: {}}",
        ),
        (
            {"source": "beir:tiny", "docpairs": "x", "judged": {"dl19": {"subset": "dl.trec"}}},
            "corpora.tiny: docpairs: released triples need a source that has them (irds:)",
        ),
        ({"source": "beir:tiny", "corpus": "huge"}, "no corpus is called 'huge'; there are: tiny"),
    ],
)
def test_the_stage_names_the_parameter(stage, tmp_path, settings, message):
    done = stage(**{"judged": {"dl19": {}}, **settings})
    assert done.exit_code == 1 and message in str(done.output)
    assert not (tmp_path / "data").exists()


def test_a_reader_is_a_module_named_by_its_kind(tmp_path, monkeypatch):
    """One that is added in its own file is in no other corpus's code."""
    (tmp_path / "added.py").write_text(
        "from stages.collections.source import Query, Source\n"
        "def read(corpus, location):\n"
        "    return Source(iter([('d', location)]), {'q': Query('who', 'q')}, {'test': [('q', 'd', 1)]})\n"
    )
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    corpus = Corpus.model_construct(source="added:here:and there", train=None, docpairs=None)
    assert list(readers.read(corpus).docs) == [("d", "here:and there")]
    with pytest.raises(UserError, match=r"source: nothing reads 'csv:'; write stages/collections/readers/csv[.]py"):
        readers.read(Corpus.model_construct(source="csv:x", train=None, docpairs=None))
    names = {path.relative_to(code.ROOT).as_posix() for path in code.closure("stages.download")}
    assert "stages/collections/readers/__init__.py" in names
    assert not any(name.startswith("stages/collections/readers/") and "__init__" not in name for name in names)
