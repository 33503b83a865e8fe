"""The triplets stage: what it writes for each seed, the validation sample, and what stops it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from stages import triplets
from stages.collections import canonical
from stages.retrieval import runs
from tests import plants
from tests.test_leakage import JUDGMENTS, plant

OUT = Path("data/triplets/given")


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage on one block with two seeds; returns what it prints."""
    plant(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(**block) -> str:
        given = {"corpus": "in_domain", "from": "pools/base", "ranks": [11, 60], "size": 40, **block}
        given = {key: value for key, value in given.items() if value is not None}
        plants.write_params(tmp_path, seeds=[1, 2], triplets={**plants.blocks()["triplets"], "given": given})
        options = f"--collection data/corpora/in_domain --pool data/{given['from']} --out {OUT}"
        done = CliRunner().invoke(triplets.main, ["given", *options.split()])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    return run


def test_a_table_a_seed_with_ids_texts_ranks_and_scores(stage):
    lines = stage(negatives_per_query=2).splitlines()
    assert [line.split(", negatives")[0] for line in lines] == [
        "given: seed 1, 40 triplets, 20 queries",
        "given: seed 2, 40 triplets, 20 queries",
    ]
    first, second = (pq.read_table(OUT / f"seed-{seed}.parquet") for seed in (1, 2))
    ids = ["query_id", "positive_id", "negative_id", "rank", "negative_score"]
    more = ["negative_id_2", "rank_2", "negative_score_2", "positive_score"]
    assert first.column_names == [*ids, *more, "anchor", "positive", "negative", "negative_2"]
    assert not first.equals(second)
    pairs = {(query, doc) for query, doc, grade in JUDGMENTS["train"] if grade}
    for row in first.to_pylist():
        assert (row["query_id"], row["positive_id"]) in pairs and row["anchor"] == f"text of {row['query_id']}"
        for number in ("", "_2"):
            assert row[f"negative{number}"] == f"text of {row[f'negative_id{number}']}"
            assert 11 <= row[f"rank{number}"] <= 60 and row[f"negative_score{number}"] == 1 - row[f"rank{number}"]
    ranks = [row[name] for row in first.to_pylist() for name in ("rank", "rank_2")]
    assert lines[0].endswith(f"negatives at ranks {min(ranks)}-{max(ranks)}")


def test_the_validation_sample_is_the_same_whatever_the_block(stage):
    samples = []
    for block in ({}, {"from": "corpora/in_domain", "ranks": None}):
        stage(**block)
        samples.append({path.name: path.read_bytes() for path in (OUT / "validation").iterdir()})
    assert samples[0] == samples[1] and set(samples[0]) == {"queries.parquet", "passages.parquet"}


def test_a_corpus_without_validation_has_no_sample(stage):
    for part in ("topics", "qrels"):
        Path(f"data/corpora/in_domain/{part}/validation.parquet").unlink()
    stage()
    assert sorted(path.name for path in OUT.iterdir()) == ["seed-1.parquet", "seed-2.parquet"]


def test_a_block_of_size_0_is_an_empty_folder(stage):
    assert stage(size=0) == "" and OUT.is_dir() and not list(OUT.iterdir())


@pytest.mark.parametrize(
    "block, message",
    [
        ({"ranks": [1, 1]}, "only 0 of 40 triplets have an allowed negative; widen its ranks"),
        ({"ranks": [21, 21]}, "only 0 of 40 triplets have an allowed negative; what is relevant to a judged query is"),
        ({"ranks": [21, 21], "absolute_margin": 59.0}, "only 0 of 40 triplets have an allowed negative; lower"),
        ({"ranks": [1, 2], "negatives_per_query": 2}, "only 0 of 40 triplets have enough allowed negatives; widen"),
        (
            {"absolute_margin": 59.0},
            "only 0 of 40 triplets have an allowed negative; without absolute_margin there are enough: lower it, or",
        ),
    ],
)
def test_too_few_triplets_are_one_line_and_leave_nothing(stage, block, message):
    printed = stage(**block)
    assert printed.startswith(f"Error: triplets.given: {message}") and printed.count("\n") == 1
    assert not OUT.exists()


def test_a_pool_of_another_corpus_is_named(stage):
    docs = pq.read_table("data/corpora/in_domain/docs.parquet")
    pq.write_table(docs.slice(0, 55), "data/corpora/in_domain/docs.parquet")
    assert "docs.parquet: has no 'd5" in stage()


def test_a_corpus_without_training_pairs_is_named(stage):
    qrels = Path("data/corpora/in_domain/qrels/train.parquet")
    pq.write_table(pq.read_table(qrels).slice(0, 0), qrels)
    assert stage() == "Error: corpora.in_domain.train: no passage is relevant to a query; name another split\n"


def test_a_pool_of_no_lines_is_one_line(stage):
    runs.write([], Path("data/pools/base"))
    assert "only 0 of 40 triplets have an allowed negative; widen its ranks or draw" in stage()


def test_what_is_kept_out_for_its_text_is_counted(stage):
    docs = pq.read_table("data/corpora/in_domain/docs.parquet").to_pydict()
    docs["text"][54:57] = [f" TEXT of\n {doc}" for doc in ("d4", "d30", "d4")]  # relevant to t4, and to a dev query
    docs["text"][57:59] = ["text of d53"] * 2  # relevant to none
    pq.write_table(pa.table(docs, schema=canonical.DOCS), "data/corpora/in_domain/docs.parquet")
    assert stage().startswith("given: 3 passages are kept from the negatives for their text alone\ngiven: seed 1, 40 ")
