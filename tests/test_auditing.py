"""The audit counts what was planted, agrees with plain sets, and loses nothing between its bins."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import audit
from stages.collections import canonical
from stages.negatives import hardness, histograms
from stages.negatives.hardness import Audit, Figures
from stages.reporting import negatives
from tests import plants

NAMES = ["query_id", "positive_id", "negative_id", "rank", "anchor", "positive", "negative"]
TEXT = "one two three four five six seven eight nine ten eleven twelve thirteen"
DOCS = {
    **{f"p{n}": f"the answer to question number {n} and to nothing else" for n in range(9)},
    "p1": TEXT,
    "repeated": TEXT.upper() + " fourteen!",
    "above": "a",
    "own": "b",
    "tested": "c",
    "plain": "d",
}
ACROSS = {"above": 1.0, "p0": 0.6}  # the cosine of every query with a passage; 0.8 to positives, 0 to the rest


def draw(rows: list[tuple[str, str, str, int]]) -> pa.Table:
    return pa.table(list(zip(*[(q, p, n, rank, f"text of {q}", DOCS[p], DOCS[n]) for q, p, n, rank in rows])), NAMES)


# One fault each in the first five rows: above its positive, a near duplicate, relevant to its own query, relevant to
# a measured query, relevant to another training query.
FAULTS = [
    ("t0", "p5", "above", 7),
    ("t1", "p1", "repeated", 7),
    ("t2", "p2", "own", 7),
    ("t3", "p3", "tested", 7),
    ("t4", "p4", "p0", 7),
]
HARMLESS = [("t5", "p5", "plain", 7)] * 2 + [(f"t{n}", f"p{n}", "plain", 7) for n in (6, 7, 8)]


def write_corpus() -> None:
    """The collection that the planted triplets come from, and the base's vectors of it."""
    collection, index = Path("data/corpora/in_domain"), Path("data/indexes/base/in_domain/pretrained")
    for folder in (collection / "qrels", collection / "topics", index / "topics"):
        folder.mkdir(parents=True)
    judgments = {
        "train": [(f"t{n}", f"p{n}", 1) for n in range(9)] + [("t3", "tested", 0)],
        "validation": [("t2", "own", 2)],
        "dev": [("y", "z", 1)],
        "test": [("x", "tested", 1), ("x", "plain", 0)],
    }
    for split, rows in judgments.items():
        qrels = pa.table(list(zip(*rows, strict=True)), schema=canonical.QRELS)
        pq.write_table(qrels, collection / f"qrels/{split}.parquet")
        queries = list(dict.fromkeys(query for query, _, _ in rows))
        pq.write_table(pa.table([queries] * 3, schema=canonical.TOPICS), collection / f"topics/{split}.parquet")
    pq.write_table(pa.table([list(DOCS), list(DOCS.values())], schema=canonical.DOCS), collection / "docs.parquet")
    cosines = np.array([ACROSS.get(name, 0.8 if name[0] == "p" and name != "plain" else 0) for name in DOCS])
    np.save(index / "docs.npy", np.column_stack([cosines, np.sqrt(1 - cosines**2)]).astype(np.float32))
    np.save(index / "topics/train.npy", np.tile(np.float32([1, 0]), (9, 1)))


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of one block, drawn with two seeds: the first with five faults in ten triplets, the second with none."""
    monkeypatch.chdir(tmp_path)
    blocks = plants.blocks()
    planted = {"corpus": "in_domain", "from": "pools/base", "ranks": [1, 10], "size": 10}
    retrievers = {variant: blocks["retrievers"][variant] for variant in ("bm25", "base")}
    write_corpus()
    for folder in ("data/triplets/planted", "data/triplets/dropped", "data/indexes/bm25/in_domain/pretrained/bm25"):
        Path(folder).mkdir(parents=True)
    for seed, rows in {1: FAULTS + HARMLESS, 2: HARMLESS * 2}.items():
        pq.write_table(draw(rows), f"data/triplets/planted/seed-{seed}.parquet")

    def run(**report) -> str:
        """What the stage prints; its results are negatives.json and negatives.png."""
        plants.write_params(
            tmp_path,
            seeds=[1, 2],
            triplets={"none": blocks["triplets"]["none"], "planted": planted},
            retrievers=retrievers,
            interpolations={},
            fusions={},
            rerankers={},
            report={**blocks["report"], "pairs": [], **report},
        )
        options = "--triplets data/triplets --corpora data/corpora --indexes data/indexes"
        done = CliRunner().invoke(
            audit.main, [*options.split(), "--out", "negatives.json", "--picture", "negatives.png"]
        )
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    return run


def test_each_planted_fault_is_counted_once(study):
    assert study() == ""
    audits = hardness.read(Path("negatives.json"))
    assert list(audits) == ["planted"] and audits["planted"].seeds == 2
    figures, ranks = audits["planted"].figures, audits["planted"].ranks
    for share in (
        figures.above_positive,
        figures.near_duplicates,
        figures.relevant_to_own_query,
        figures.relevant_to_judged_query,
        figures.relevant_to_training_query,
    ):
        assert share == 0.05  # one of ten with the first seed, none with the second
    assert (figures.triplets, figures.queries, figures.negatives, figures.most_used_negative) == (10, 6.5, 3.5, 7.5)
    first = (-0.2 + 0.8 + 0.8 + 0.8 + 0.2 + 5 * 0.8) / 10
    assert figures.mean_gap == pytest.approx((first + 0.8) / 2, abs=1e-6)
    assert ranks.edges == list(range(1, 12)) and ranks.counts == [0] * 6 + [20] + [0] * 3
    assert (ranks.window, ranks.distinct, ranks.min, ranks.max, ranks.median) == ((1, 10), 1, 7, 7, 7)
    assert Path("negatives.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_written_is_what_is_read(study):
    study()
    stored = json.loads(Path("negatives.json").read_text())
    assert json.loads(json.dumps(hardness.as_json(hardness.read(Path("negatives.json"))))) == stored


def test_a_base_without_vectors_leaves_scores_out_and_counts_the_rest(study):
    study(base="bm25")
    planted = hardness.read(Path("negatives.json"))["planted"]
    assert planted.figures.above_positive is planted.figures.mean_gap is planted.gaps is None
    assert planted.figures.near_duplicates == 0.05


def test_nothing_is_deleted_in_what_other_stages_wrote(study):
    study()
    assert Path("data/triplets/dropped").is_dir()


@pytest.mark.parametrize(
    "damage, message",
    [
        (
            lambda: pq.write_table(
                pa.table([[*list(DOCS)[1:], "other"], list(DOCS)], schema=canonical.DOCS),
                "data/corpora/in_domain/docs.parquet",
            ),
            "docs.parquet: has no 'p0'",
        ),
        (lambda: Path("data/triplets/planted/seed-2.parquet").unlink(), "seed-2.parquet: there is no such file"),
        (lambda: Path("data/indexes/base").rename("data/indexes/old"), "the base (report.base) has no index there"),
        (
            lambda: np.save("data/indexes/base/in_domain/pretrained/docs.npy", np.zeros((3, 2), np.float32)),
            "docs.npy: does not have a vector for each text of data/corpora/in_domain/docs.parquet",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_and_writes_nothing(study, damage, message):
    damage()
    printed = study()
    assert printed.startswith("Error: ") and printed.count("\n") == 1 and message in printed
    assert not Path("negatives.json").exists()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 30))
def test_relevance_is_what_plain_sets_say(data, size):
    name = st.sampled_from("abcd")
    drawn = data.draw(st.lists(st.tuples(name, name), min_size=size, max_size=size))
    judged = data.draw(st.lists(st.tuples(name, name, st.integers(0, 2)), max_size=12))
    table = pa.table({"query_id": [q for q, _ in drawn], "negative_id": [n for _, n in drawn]})
    own, other = hardness.relevant(table, pa.table(list(zip(*judged)) or [[], [], []], schema=canonical.QRELS))
    known = {(query, passage) for query, passage, grade in judged if grade >= 1}
    assert own.tolist() == [pair in known for pair in drawn]
    assert other.tolist() == [any(q != query and p == passage for q, p in known) for query, passage in drawn]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), first=st.integers(1, 90), width=st.integers(1, 300))
def test_every_negative_is_in_one_bin(data, first, width):
    ranks = data.draw(st.lists(st.integers(first, first + width - 1), min_size=1, max_size=40))
    histogram = histograms.of_ranks(np.array(ranks), (first, first + width - 1))
    edges = histogram.edges
    assert sum(histogram.counts) == len(ranks) and histogram.distinct == len(set(ranks))
    assert (edges[0], edges[-1]) == (first, first + width) and np.ptp(np.diff(edges)) <= 1
    gaps = np.array(data.draw(st.lists(st.floats(-2, 2), min_size=1, max_size=40)))
    bins = histograms.of_gaps(gaps)
    assert sum(bins.counts) == len(gaps)
    assert sum(count for edge, count in zip(bins.edges, bins.counts, strict=False) if edge < 0) == (gaps < 0).sum()


def test_panels_have_one_scale_whatever_a_block_has():
    figures = Figures(9, 9, 9, 1, 0.2, 0.25, 0, 0, 0, 0)
    gaps = histograms.of_gaps(np.array([-0.1, 0.2, 0.3, 0.4]))
    hard = Audit(1, figures, histograms.of_ranks(np.arange(51, 201), (51, 200)), gaps)
    same = replace(hard, ranks=histograms.of_ranks(np.full(9, 126), (51, 200)))
    bare = replace(hard, gaps=None, ranks=histograms.of_ranks(np.zeros(9), None))
    figure = negatives.draw({"hard": hard, "same": same, "bare": bare, "again": same, "fifth": hard})
    drawn = [axes for axes in figure.axes if axes.axison]
    ranks = [axes for axes in drawn if axes.get_xlabel() == "rank of the negative"]
    assert len(ranks) == 4 and len(drawn) == 8 and len({axes.get_ylim() for axes in ranks}) == 1
    assert [bar.get_height() for bar in ranks[0].patches] == pytest.approx([10] * 10)
    assert ranks[1].get_title(loc="left").startswith("same\n126 only")
    assert not negatives.draw({}).axes
