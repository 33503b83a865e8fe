"""Triplets of two collections in shares: exact at every beginning, none that a judged query asks, in mixed batches."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import mix, params
from stages.core.errors import UserError
from stages.negatives import mixing
from stages.params.triplets import Mix
from tests import plants

JUDGED = {"here": "What is judged", "there": "what is  JUDGED there", "aside": "what is judged aside"}
SIZES = {"here": 40, "there": 30}


def drawn(block: str, seed: int) -> pa.Table:
    """A block's triplets; the third to fifth ask what is judged here, there, and in a third corpus."""
    numbers = np.random.default_rng(seed).permutation(SIZES[block])
    asked = [f"{block} {number}" for number in numbers]
    asked[2:5] = [text.upper() + " " for text in JUDGED.values()]
    own = {"rank": pa.array([1] * len(asked), pa.int32())} if block == "here" else {}
    return pa.table({"query_id": [f"q{number}" for number in numbers], **own, "anchor": asked, "positive": asked})


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage for seeds 1 and 2; returns what it prints, or the line that it fails with."""
    monkeypatch.chdir(tmp_path)
    for block in SIZES:
        (tmp_path / block / "validation").mkdir(parents=True)
        (tmp_path / block / "validation/queries.parquet").write_text(block)
        for seed in (1, 2):
            pq.write_table(drawn(block, seed), tmp_path / block / f"seed-{seed}.parquet")
    for corpus, split in {"here": "test", "there": "dev", "aside": "validation"}.items():
        plants.write_corpus(tmp_path / "corpora" / corpus, 3, 1, split)
        plants.write_corpus(tmp_path / "corpora" / corpus, 3, 1, "train")
        path = tmp_path / f"corpora/{corpus}/topics/{split}.parquet"
        pq.write_table(pq.read_table(path).set_column(1, "text", pa.array([JUDGED[corpus]])), path)

    def run(says=plants.succeeds, **block) -> str:
        both = {"first": "here", "second": "there", "share": 0.7, "size": 31, **block}
        known = plants.blocks()["triplets"]
        sized = {name: {**known["uniform"], "size": size} for name, size in SIZES.items()}
        plants.write_params(tmp_path, seeds=[1, 2], mixes={"both": both}, triplets={**known, **sized})
        return says(mix.main, "both", "--first=here", "--second=there", "--corpora=corpora", "--out=out")

    return run


def test_the_shares_are_exact_and_no_judged_query_is_in_it(stage):
    said = stage()
    assert "both: seed 1, 22 triplets of here, 3 left out whose query is a judged or validation query" in said
    for seed in (1, 2):
        table = pq.read_table(f"out/seed-{seed}.parquet")
        assert table.column_names == ["query_id", "anchor", "positive", "part"]
        parts, asked = table["part"].to_pylist(), table["anchor"].to_pylist()
        assert (parts.count("here"), parts.count("there")) == (22, 9)  # 31 x 0.7 = 21.7
        assert not [text for text in asked if "judged" in text.lower()]
        for block in SIZES:  # in the order drawn, which the seed decides
            own = [text for text in drawn(block, seed)["anchor"].to_pylist() if "judged" not in text.lower()]
            mine = [text for text, part in zip(asked, parts, strict=True) if part == block]
            assert mine == own[: len(mine)]
    assert Path("out/validation/queries.parquet").read_text() == "here"


def test_equal_runs_write_equal_bytes(stage, tmp_path):
    stage()
    first = plants.contents(tmp_path / "out")
    stage()
    assert plants.contents(tmp_path / "out") == first


def test_a_part_that_the_guard_leaves_too_small_stops(stage):
    said = stage(plants.fails, share=0.95, size=40)
    assert "mixes.both: seed 1 takes 38 triplets of here, which has 37, 3 left out" in said


@given(st.integers(0, 40), st.integers(0, 40))
def test_every_beginning_holds_the_shares(first, second):
    if first + second == 0:
        return
    tables = [
        mixing.named(pa.table({"row": pa.array(range(n), pa.int64())}), name)
        for n, name in ((first, "a"), (second, "b"))
    ]
    parts = mixing.mixed(*tables)["part"].to_pylist()
    assert (parts.count("a"), parts.count("b")) == (first, second)
    share = first / (first + second)
    assert all(abs(parts[:n].count("a") - share * n) <= 0.5 + 1e-9 for n in range(len(parts) + 1))


@given(st.floats(0.001, 0.999), st.integers(1, 10**6))
def test_rows_add_up_and_are_the_nearest(share, size):
    first, second = Mix(first="a", second="b", share=share, size=size).rows
    assert first + second == size and abs(first - share * size) <= 0.5 + 1e-6


def test_a_mix_in_a_mix_keeps_the_names_of_its_parts():
    inner = mixing.mixed(*(mixing.named(pa.table({"row": [0] * n}), name) for n, name in ((6, "a"), (2, "b"))))
    outer = mixing.mixed(mixing.named(inner.slice(0, 4), "inner"), mixing.named(pa.table({"row": [0] * 4}), "c"))
    assert sorted(outer["part"].to_pylist()) == ["a"] * 3 + ["b"] + ["c"] * 4


def study(tmp_path, both: dict, **variant) -> params.Study:
    """tests/study.yaml with a second corpus that is trained on, a mix, and a variant on it."""
    known = plants.blocks()
    more = {**known["corpora"]["in_domain"], "shares": {"train": 90, "test": 10}, "judged": {"test": {}}}
    theirs = {"corpus": "other", "from": "corpora/other", "size": 100}
    trained = {"checkpoint": "minilm", "tuning": "full", "triplets": "both", "recipe": "in-batch", **variant}
    plants.write_params(
        tmp_path,
        corpora={**known["corpora"], "other": more},
        triplets={**known["triplets"], "theirs": theirs},
        mixes={"both": both},
        retrievers={**known["retrievers"], "x": trained},
    )
    return params.load(tmp_path / "params.yaml")


MIX = {"first": "hard", "second": "theirs", "share": 0.75, "size": 200}


def test_a_variant_is_trained_on_all_corpora_of_its_mix(tmp_path):
    from stages.evaluation import choice

    mixed = study(tmp_path, MIX)
    assert mixed.trained_on("x") == "in_domain" and mixed.corpora_of("x") == ("in_domain", "other")
    assert mixed.training_set("both").size == 200 and mixed.training_set("both").scores is None
    turned = study(tmp_path, {**MIX, "first": "theirs", "second": "hard", "share": 0.5})
    assert turned.trained_on("x") == "other" and "x" in choice.candidates(turned)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"second": "hard"}, "mixes.both: first and second are both 'hard'"),
        ({"second": "thiers"}, "mixes.both: no triplets block is called 'thiers'; there are: none, random"),
        ({"share": 1.5}, "mixes.both.share: input should be less than 1, got 1.5"),
        ({"share": 0.25}, "mixes.both: takes 150 triplets of theirs, which has 100; raise its size, or lower that"),
        ({"first": "both"}, "mixes.both: one of its parts was made with it; name others"),
    ],
)
def test_wrong_mixes_are_named(changed, message, tmp_path):
    with pytest.raises(UserError) as error:
        study(tmp_path, {**MIX, **changed})
    assert message in error.value.message
