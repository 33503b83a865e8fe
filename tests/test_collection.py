"""The house form: what is kept, what is dropped and counted, what stops a study; and the stage that writes it."""
import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from stages import download
from stages import params
from stages.collections import collection
from stages.collections.collection import Source
from stages.core.errors import UserError

DOCS = [("d1", "ants live in hills"), ("d2", "bees fly"), ("d3", "cats nap")]
QUERIES = {"q1": "who flies", "q2": "where do ants live", "q3": "who naps", "q4": "what is an ant"}
QRELS = {"train": [("q1", "d2", 1), ("q4", "d1", 1)], "dev": [("q2", "d1", 3), ("q3", "d3", 1), ("q3", "d1", 0)]}


def source(docs=DOCS, queries=QUERIES, clusters={}, **qrels) -> Source:
    asked = {query: (text, clusters.get(query, query)) for query, text in queries.items()}
    return Source(iter(docs), asked, QRELS | qrels)


def write(given: Source, out, judged=("dev",), validation=0, limits={}, train="train") -> dict:
    return collection.write(given, out, train=train, judged=list(judged), validation=validation, limits=limits,
                            tokens=256)


def test_order_sizes_and_files(tmp_path):
    out = tmp_path / "out"
    card = write(source(dev=[*QRELS["dev"][1:], QRELS["dev"][0]]), out)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "card.json", "docs.json", "docs.parquet", "qrels/dev.parquet", "qrels/train.parquet", "topics/dev.parquet",
        "topics/train.parquet"]
    assert json.loads((out / "docs.json").read_text()) == {"documents": 3, "tokens": 256}
    assert json.loads((out / "card.json").read_text()) == card
    assert collection.splits(out) == ["dev", "train"]
    assert collection.topics(out, "dev")["query_id"].to_pylist() == ["q2", "q3"]
    assert collection.qrels(out, "dev").to_pydict() == {
        "query_id": ["q2", "q3", "q3"], "doc_id": ["d1", "d3", "d1"], "grade": [3, 1, 0]}
    assert card["splits"]["dev"] == {"queries": 2, "judgments": 3, "clusters": 2, "relevant_per_query": 1.0,
                                     "words_per_query": 3.0}
    assert card["words_per_passage"] == 2.67 and not card["dropped"] and not card["noted"]


def test_two_writes_are_the_same_bytes_and_an_older_folder_is_replaced(tmp_path):
    out = tmp_path / "out"
    cards, files = [], []
    for _ in range(2):
        cards.append(write(source(), out, validation=1))
        files.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")})
    assert files[0] == files[1] and str(tmp_path) not in (out / "card.json").read_text()
    assert write(source([*DOCS, ("d4", "dogs")]), out)["fingerprint"] != cards[0]["fingerprint"]


DROPPED = {
    "repeated passages": dict(docs=[*DOCS, DOCS[1]]),
    "empty passages": dict(docs=[*DOCS, ("d4", " \n")]),
    "queries without text": dict(queries=QUERIES | {"q5": " "}),
    "dev: judgments of queries without text": dict(queries=QUERIES | {"q5": ""}, dev=[*QRELS["dev"], ("q5", "d1", 1)]),
    "dev: judgments of absent queries": dict(dev=[*QRELS["dev"], ("q9", "d1", 1)]),
    "dev: repeated judgments": dict(dev=[*QRELS["dev"], ("q3", "d1", 0)]),
    "train: judgments of absent passages": dict(train=[*QRELS["train"], ("q4", "d9", 1)]),
    "train queries that are also judged": dict(train=[*QRELS["train"], ("q3", "d3", 1)]),
}


@pytest.mark.parametrize("reason, changes", DROPPED.items(), ids=DROPPED)
def test_what_is_dropped_is_counted_and_nothing_else_changes(tmp_path, reason, changes):
    plain, card = write(source(), tmp_path / "plain"), write(source(**changes), tmp_path / "out")
    assert card["dropped"][reason] == 1 and set(card["dropped"]) <= {reason, "queries without text"}
    assert card["fingerprint"] == plain["fingerprint"]


def test_a_repetition_far_away_is_found(tmp_path):
    many = [(str(number), f"text {number}") for number in range(25_000)]
    card = write(source([*DOCS, *many, many[7], DOCS[0]]), tmp_path / "out")
    assert card["documents"] == 25_003 and card["dropped"] == {"repeated passages": 2}
    assert collection.docs(tmp_path / "out").read()["doc_id"].to_pylist() == ["d1", "d2", "d3", *(n for n, _ in many)]


def test_a_training_query_worded_as_a_judged_one_is_dropped(tmp_path):
    card = write(source(queries=QUERIES | {"q1": " Who  NAPS"}), tmp_path / "out")
    assert card["dropped"] == {"train queries that are also judged": 1}
    assert collection.topics(tmp_path / "out", "train")["query_id"].to_pylist() == ["q4"]


def test_what_is_kept_and_noted(tmp_path):
    given = source([*DOCS, ("d4", "word " * 10_000)], QUERIES | {"q5": "Who naps"},
                   dev=[*QRELS["dev"], ("q2", "d9", 2)], test=[("q5", "d3", 1)])
    card = write(given, tmp_path / "out", judged=("dev", "test"))
    assert card["noted"] == {"dev: judgments of absent passages": 1, "passages over 2,000 words": 1,
                             "query texts in more than one judged split": 1}
    assert card["documents"] == 4 and card["splits"]["dev"]["judgments"] == 4
    assert len(collection.docs(tmp_path / "out").read()["text"][3].as_py()) == 50_000


def test_mojibake_stays_as_it_is(tmp_path):
    write(source([*DOCS, ("d4", "itâ\u0080\u0099s")]), tmp_path / "out")
    assert collection.docs(tmp_path / "out").read()["text"][3].as_py() == "itâ\u0080\u0099s"


def test_validation_takes_whole_clusters_and_never_words_that_are_taught(tmp_path):
    queries = {f"t{number}": f"training query {number % 20}" for number in range(40)} | {"q2": "a", "q3": "b"}
    clusters = {f"t{number}": f"cluster {number // 4}" for number in range(40)}
    train = [(query, "d1", 1) for query in queries if query.startswith("t")]
    card = write(source(queries=queries, clusters=clusters, train=train), tmp_path / "out", validation=10)
    taught, watched = (collection.topics(tmp_path / "out", split).to_pydict() for split in ("train", "validation"))
    assert len(watched["query_id"]) == 12 and not {*taught["cluster"]} & {*watched["cluster"]}
    assert not {*taught["text"]} & {*watched["text"]}
    assert len(taught["query_id"]) == 28 - card["dropped"]["train queries that are also in validation"]


def test_a_limit_keeps_the_first_by_hash_and_teaches_none_of_the_rest(tmp_path):
    given = source(dev=[(query, "d1", 1) for query in ("q1", "q2", "q3")])
    card = write(given, tmp_path / "out", limits={"dev": 1})
    assert card["dropped"] == {"dev: queries beyond its limit": 2, "train queries that are also judged": 1}
    assert collection.qrels(tmp_path / "out", "dev")["query_id"].to_pylist() == [
        min(("q1", "q2", "q3"), key=lambda query: collection.hashlib.sha256(query.encode()).hexdigest())]


WRONG = {
    "no passage with text": dict(docs=[("d1", " ")]),
    "passage id 'd1' stands twice in the corpus, with different texts": dict(docs=[*DOCS, ("d1", "other")]),
    "qrels of dev: query 'q3' and passage 'd1' are judged twice, with grades 0 and 1":
        dict(dev=[*QRELS["dev"], ("q3", "d1", 1)]),
    "qrels of dev: none of its 1 judgments names a query": dict(dev=[("q9", "d1", 1)]),
    "qrels of dev: none of its 2 judgments names a passage": dict(dev=[("q2", "d8", 1), ("q3", "d9", 1)]),
    "qrels of train: none of its 1 judgments names a passage": dict(train=[("q1", "d9", 1)]),
    "split dev has no judgment of grade 1 or more": dict(dev=[("q2", "d1", 0)]),
    "split train has no judgment of grade 1 or more": dict(train=[]),
    "train queries among the judged: all 2 of them": dict(train=QRELS["dev"][:2]),
}


@pytest.mark.parametrize("message, changes", WRONG.items(), ids=WRONG)
def test_contradictions_stop_and_leave_nothing(tmp_path, message, changes):
    with pytest.raises(UserError, match=message):
        write(source(**changes), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_validation_must_leave_something_to_teach(tmp_path):
    with pytest.raises(UserError, match="validation: 2 queries, in whole clusters, leave none of the 2"):
        write(source(), tmp_path / "out", validation=2)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage on one corpus's row, in a folder of its own."""
    (tmp_path / "tiny" / "qrels").mkdir(parents=True)
    lines = {"corpus": dict(DOCS), "queries": QUERIES}
    for name, texts in lines.items():
        (tmp_path / "tiny" / f"{name}.jsonl").write_text(
            "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items()))
    (tmp_path / "tiny" / "qrels" / "dl.trec").write_text("q2 0 d1 3\nq2 0 d9 1\n")
    monkeypatch.chdir(tmp_path)

    def run(corpus="tiny", **row):
        rows = {"tiny": corpora.Corpus(**row)}
        monkeypatch.setattr(params, "load", lambda: SimpleNamespace(corpora=rows))
        return CliRunner().invoke(download.main, [corpus, "--out", "data/corpora/tiny"])
    return run


def test_stage_writes_and_tells(stage, tmp_path):
    done = stage(source="beir:tiny", judged={"dl19": {"subset": "dl.trec", "rel": 2}})
    assert done.exit_code == 0 and "dl19: 1 queries of 4 words, 2 judgments" in done.output
    assert "noted: 1 (dl19: judgments of absent passages)" in done.output
    assert collection.splits(tmp_path / "data" / "corpora" / "tiny") == ["dl19"]


@pytest.mark.parametrize("row, message", [
    (dict(source="beir:nowhere"), "corpora.tiny: nowhere: there is no such folder"),
    (dict(source="beir:tiny"), "corpora.tiny: tiny/qrels/dl19.tsv is not there; found: dl.trec"),
    (dict(source="beir:tiny", docpairs="x"), "corpora.tiny: docpairs: released triples belong to an irds: source"),
    (dict(source="beir:tiny", corpus="huge"), "no corpus is called 'huge'; there are: tiny"),
])
def test_stage_names_the_parameter(stage, tmp_path, row, message):
    done = stage(judged={"dl19": {}}, **row)
    assert done.exit_code == 1 and message in str(done.output)
    assert not (tmp_path / "data").exists()
