"""The audit counts what was planted, agrees with plain sets, and loses nothing between its bins."""
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages import audit
from stages.negatives import hardness
from stages.reporting import audit_picture
from stages.collections.collection import QRELS

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["query_id", "positive_id", "negative_id", "rank", "anchor", "positive", "negative"]
TEXT = "one two three four five six seven eight nine ten eleven twelve thirteen"
DOCS = {**{f"p{n}": f"the answer to question number {n} and to nothing else" for n in range(9)},
        "p1": TEXT, "seed_run": TEXT.upper() + " fourteen!", "above": "a", "own": "b", "tested": "c", "plain": "d"}
ACROSS = {"above": 1.0, "p0": 0.6}   # the cosine of every query with a passage; 0.8 to positives, 0 to the rest


def draw(rows: list[tuple[str, str, str, int]]) -> pa.Table:
    return pa.table(list(zip(*[(q, p, n, rank, f"text of {q}", DOCS[p], DOCS[n]) for q, p, n, rank in rows])), NAMES)


# One fault each in the first five rows: above its positive, a near duplicate, relevant to its own query, relevant to
# a measured query, relevant to another training query.
FAULTS = [("t0", "p5", "above", 7), ("t1", "p1", "seed_run", 7), ("t2", "p2", "own", 7), ("t3", "p3", "tested", 7),
          ("t4", "p4", "p0", 7)]
HARMLESS = [("t5", "p5", "plain", 7)] * 2 + [(f"t{n}", f"p{n}", "plain", 7) for n in (6, 7, 8)]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of one block, drawn with two seeds: the first with five faults in ten triplets, the second with none."""
    monkeypatch.chdir(tmp_path)
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    blocks["seeds"] = [1, 2]
    blocks["triplets"] = {"none": blocks["triplets"]["none"],
                          "planted": {"corpus": "in_domain", "from": "pools/base", "ranks": [1, 10], "size": 10}}
    blocks["interpolations"] = {}
    blocks["retrievers"] = {row: blocks["retrievers"][row] for row in ("bm25", "base")}
    blocks["rerankers"], blocks["report"]["pairs"] = {}, []
    for place in ("data/triplets/planted", "data/triplets/gone", "data/corpora/in_domain/qrels", "data/corpora/in_domain/topics",
                  "data/indexes/base/in_domain/pretrained/topics", "data/indexes/bm25/in_domain/pretrained/bm25"):
        Path(place).mkdir(parents=True)
    for seed, rows in {1: FAULTS + HARMLESS, 2: HARMLESS * 2}.items():
        pq.write_table(draw(rows), f"data/triplets/planted/seed-{seed}.parquet")
    home = Path("data/corpora/in_domain")
    judgments = {"train": [(f"t{n}", f"p{n}", 1) for n in range(9)] + [("t3", "tested", 0)],
                 "validation": [("t2", "own", 2)], "dev": [("y", "z", 1)],
                 "test": [("x", "tested", 1), ("x", "plain", 0)]}
    for split, rows in judgments.items():
        pq.write_table(pa.table(list(zip(*rows)), schema=QRELS), home / "qrels" / f"{split}.parquet")
    pq.write_table(pa.table({"query_id": [f"t{n}" for n in range(9)]}), home / "topics" / "train.parquet")
    pq.write_table(pa.table({"doc_id": list(DOCS), "text": list(DOCS.values())}), home / "docs.parquet")
    cosines = np.array([ACROSS.get(name, 0.8 if name[0] == "p" and name != "plain" else 0) for name in DOCS])
    index = Path("data/indexes/base/in_domain/pretrained")
    np.save(index / "docs.npy", np.column_stack([cosines, np.sqrt(1 - cosines ** 2)]).astype(np.float32))
    np.save(index / "topics" / "train.npy", np.tile(np.float32([1, 0]), (9, 1)))

    def run(**report) -> dict:
        blocks["report"] |= report
        YAML().dump(blocks, Path("params.yaml"))
        done = CliRunner().invoke(audit.main, "--triplets data/triplets --corpora data/corpora --indexes data/indexes "
                                  "--out negatives.json --picture negatives.png".split())
        if done.exit_code:
            raise done.exception
        assert Path("negatives.png").read_bytes().startswith(b"\x89PNG")
        return json.loads(Path("negatives.json").read_text())
    return run


def test_each_planted_fault_is_counted_once(study):
    found = study()
    assert list(found) == ["planted"]
    block = found["planted"]
    for share in ("above_positive", "near_duplicates", "relevant_to_own_query", "relevant_to_judged_query",
                  "relevant_to_training_query"):
        assert block[share] == 0.05, share                      # one of ten with the first seed, none with the second
    assert (block["triplets"], block["queries"], block["negatives"], block["most_used_negative"]) == (10, 6.5, 3.5, 7.5)
    first = (-0.2 + 0.8 + 0.8 + 0.8 + 0.2 + 5 * 0.8) / 10
    assert block["mean_gap"] == pytest.approx((first + 0.8) / 2, abs=1e-6)
    ranks = block["ranks"]
    assert ranks["edges"] == list(range(1, 12)) and ranks["counts"] == [0] * 6 + [20] + [0] * 3
    assert (ranks["distinct"], ranks["min"], ranks["max"], ranks["median"]) == (1, 7, 7, 7)
    heads, [line] = hardness.table(found)
    assert len(heads) == len(line) and line[0] == "planted" and line[-1] == "7 only: one rank for every query"
    assert line[3] == "5.0"


def test_a_base_without_vectors_leaves_scores_out_and_counts_the_rest(study):
    block = study(base="bm25")["planted"]
    assert block["above_positive"] is block["mean_gap"] is block["gaps"] is None
    assert block["near_duplicates"] == 0.05
    assert hardness.table({"planted": block})[1][0][3:5] == ["–", "–"]


def test_a_draw_of_other_passages_is_one_line(study):
    pq.write_table(pa.table({"doc_id": list(DOCS)[1:] + ["other"]}), "data/corpora/in_domain/docs.parquet")
    with pytest.raises(SystemExit, match="docs.parquet: has no 'p0'"):
        study()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 30))
def test_relevance_is_what_plain_sets_say(data, size):
    name = st.sampled_from("abcd")
    shown = data.draw(st.lists(st.tuples(name, name), min_size=size, max_size=size))
    listed = data.draw(st.lists(st.tuples(name, name, st.integers(0, 2)), max_size=12))
    table = pa.table({"query_id": [q for q, _ in shown], "negative_id": [n for _, n in shown]})
    own, other = hardness.relevant(table, pa.table(list(zip(*listed)) or [[], [], []], schema=QRELS))
    known = {(query, passage) for query, passage, grade in listed if grade >= 1}
    assert own.tolist() == [pair in known for pair in shown]
    assert other.tolist() == [any(q != query and p == passage for q, p in known) for query, passage in shown]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), first=st.integers(1, 90), width=st.integers(1, 300))
def test_every_negative_is_in_one_bin(data, first, width):
    ranks = data.draw(st.lists(st.integers(first, first + width - 1), min_size=1, max_size=40))
    found = hardness.rank_histogram(np.array(ranks), (first, first + width - 1))
    assert sum(found["counts"]) == len(ranks) and found["distinct"] == len(set(ranks))
    assert (found["edges"][0], found["edges"][-1]) == (first, first + width) and np.ptp(np.diff(found["edges"])) <= 1
    gaps = np.array(data.draw(st.lists(st.floats(-2, 2), min_size=1, max_size=40)))
    bins = hardness.gap_histogram(gaps)
    assert sum(bins["counts"]) == len(gaps)
    assert sum(count for edge, count in zip(bins["edges"], bins["counts"]) if edge < 0) == (gaps < 0).sum()


def test_panels_stand_on_one_scale_whatever_a_block_has():
    hard = {"mean_gap": 0.2, "above_positive": 0.25, "gaps": hardness.gap_histogram(np.array([-0.1, 0.2, 0.3, 0.4])),
            "ranks": hardness.rank_histogram(np.arange(51, 201), (51, 200))}
    same = {**hard, "ranks": hardness.rank_histogram(np.full(9, 126), (51, 200))}
    bare = {**hard, "gaps": None, "ranks": hardness.rank_histogram(np.zeros(9), None)}
    figure = audit_picture.negatives({"hard": hard, "same": same, "bare": bare, "again": same, "fifth": hard})
    drawn = [axes for axes in figure.axes if axes.axison]
    ranks = [axes for axes in drawn if axes.get_xlabel() == "rank of the negative"]
    assert len(ranks) == 4 and len(drawn) == 8 and len({axes.get_ylim() for axes in ranks}) == 1
    assert [bar.get_height() for bar in ranks[0].patches] == pytest.approx([10] * 10)
    assert ranks[1].get_title(loc="left").startswith("same\n126 only")
    assert not audit_picture.negatives({}).axes
