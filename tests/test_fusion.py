"""Fusions: the scores against a plain recomputation, seeds in pairs, weights that see dev alone, and legal settings."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import fuse, params
from stages.core.errors import UserError
from stages.retrieval import fusion, runs
from tests import plants
from tests.plants import blocks, contents, fails, succeeds, write_params

OPTIONS = ("--runs", "runs", "--corpora", "corpora", "--out", "out", "--log", "log.json")
PASSAGES = [f"d{at}" for at in range(9)]
SCORES = st.integers(-20, 20).map(lambda number: number / 4)
RUN = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3"]), st.dictionaries(st.sampled_from(PASSAGES), SCORES, min_size=1)
)
Run = dict[str, dict[str, float]]


def ordered(scores: dict[str, float]) -> list[str]:
    """Passages by score and then by id, both descending: sorted by id first, as Python's sort keeps equals in order."""
    return sorted(sorted(scores, reverse=True), key=lambda passage: -np.float32(scores[passage]))


def table(run: Run) -> pa.Table:
    rows = [(query, passage, scores[passage]) for query, scores in run.items() for passage in ordered(scores)]
    return pa.table([list(column) for column in zip(*rows)] or [[], [], []], schema=runs.RUN)


def listed(run: pa.Table) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for row in run.to_pylist():
        found.setdefault(row["query_id"], []).append((row["doc_id"], row["score"]))
    return found


def plain(members: list[Run], share) -> dict[str, list[tuple[str, float]]]:
    """Fusion one passage at a time: share(member number, the member's scores of the query, passage) -> what it gets."""
    fused = {}
    for query in {query: None for member in members for query in member}:
        sides = [(number, member[query]) for number, member in enumerate(members) if query in member]
        found = {passage for _, scores in sides for passage in scores}
        total = {
            passage: sum(share(number, scores, passage) for number, scores in sides if passage in scores)
            for passage in found
        }
        fused[query] = [(passage, total[passage]) for passage in ordered(total)]
    return fused


def same(ours: pa.Table, theirs: dict[str, list[tuple[str, float]]], depth: int) -> None:
    found = listed(ours)
    assert list(found) == list(theirs)
    for query, ranked in theirs.items():
        assert [passage for passage, _ in found[query]] == [passage for passage, _ in ranked][:depth]
        assert [score for _, score in found[query]] == pytest.approx([score for _, score in ranked][:depth], abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.lists(RUN, min_size=2, max_size=4), st.integers(1, 100), st.integers(1, 12))
def test_reciprocal_ranks_are_those_of_the_paper(members, k, depth):
    fused = fusion.reciprocal_ranks([*map(table, members)], k, depth)
    same(fused, plain(members, lambda _, scores, passage: 1 / (k + ordered(scores).index(passage) + 1)), depth)


@settings(deadline=None, max_examples=60)
@given(st.lists(RUN, min_size=2, max_size=4), st.lists(st.integers(0, 8), min_size=4, max_size=4), st.integers(1, 12))
def test_a_weighted_sum_is_of_scores_between_0_and_1(members, eighths, depth):
    weights = [eighth / 8 for eighth in eighths[: len(members)]]

    def share(number: int, scores: dict[str, float], passage: str) -> float:
        low, high = min(scores.values()), max(scores.values())
        return weights[number] * ((scores[passage] - low) / (high - low) if high > low else 1.0)

    same(fusion.weighted_sum([*map(table, members)], weights, depth), plain(members, share), depth)


def test_reciprocal_ranks_do_not_see_scores_nor_the_order_of_members():
    one, other = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"q": {"c": 9.0, "a": 5.0}}
    stretched = {"q": {passage: 100 * score for passage, score in one["q"].items()}}
    fused = fusion.reciprocal_ranks([table(one), table(other)], 60, 10)
    assert fused == fusion.reciprocal_ranks([table(other), table(stretched)], 60, 10)
    assert listed(fused)["q"][0] == ("a", pytest.approx(1 / 61 + 1 / 62))


def test_the_grid_adds_up_to_1_and_equals_are_taken_evenly():
    assert [len(list(fusion.grid(members))) for members in (2, 3, 4)] == [11, 66, 286]
    assert all(sum(weights) == pytest.approx(1) for weights in fusion.grid(3))
    assert fusion.best(dict.fromkeys(fusion.grid(2), 0.5)) == (0.5, 0.5)
    assert fusion.best({(0.2, 0.8): 0.6, (0.5, 0.5): 0.5}) == (0.2, 0.8)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A corpus of 30 queries on dev and on test. `bm25` and `base` each find the passages of another half first."""
    monkeypatch.chdir(tmp_path)
    for corpus, splits in (("in_domain", ("dev", "test")), ("out_of_domain", ("test",))):
        for split in splits:
            plants.write_corpus(Path("corpora") / corpus, 120, 30, split)
            found = {at: 1 if at % 2 else 4 for at in range(30)}
            plants.write_run(Path(f"runs/bm25/{corpus}/pretrained/{split}.parquet"), found)
            plants.write_run(
                Path(f"runs/base/{corpus}/pretrained/{split}.parquet"), {at: 5 - rank for at, rank in found.items()}
            )
            for seed in (13, 14):
                ranks = dict.fromkeys(range(30), seed - 11)
                plants.write_run(Path(f"runs/full-hard/{corpus}/seed-{seed}/{split}.parquet"), ranks)
    with_fusions(
        hybrid={"kind": "weighted", "of": ["bm25", "base"]},
        given={"kind": "weighted", "of": ["bm25", "base"], "weights": [1, 3]},
        hard={"kind": "rrf", "of": ["bm25", "full-hard"]},
        both={"kind": "rrf", "of": ["full-hard", "full-random"]},
    )
    return tmp_path


def with_fusions(**fusions) -> None:
    write_params(Path.cwd(), fusions=fusions)


def test_a_member_without_fine_tuning_goes_with_every_seed_of_another(study):
    succeeds(fuse.main, "hard", *OPTIONS)
    assert {path.parent.relative_to("out").as_posix() for path in Path("out").rglob("*.parquet")} == {
        f"{corpus}/seed-{seed}" for corpus in ("in_domain", "out_of_domain") for seed in (13, 14)
    }
    for seed in (13, 14):
        sides = [
            pq.read_table(f"runs/{member}/in_domain/{run}/test.parquet")
            for member, run in (("bm25", "pretrained"), ("full-hard", f"seed-{seed}"))
        ]
        expected = fusion.reciprocal_ranks(sides, 60, 200)
        assert pq.read_table(f"out/in_domain/seed-{seed}/test.parquet") == expected
    assert json.loads(Path("log.json").read_text()) == {"variant": "hard", "seed_runs": []}


def test_two_fine_tuned_members_are_paired_by_seed(study):
    for seed in (13, 15):
        plants.write_run(Path(f"runs/full-random/in_domain/seed-{seed}/test.parquet"), {0: 1})
    told = fails(fuse.main, "both", *OPTIONS)
    assert "runs/full-random/in_domain: has seed runs seed-13, seed-15, and another member has seed-13, seed-14" in told
    Path("runs/full-random/in_domain/seed-15").rename("runs/full-random/in_domain/seed-14")
    printed = succeeds(fuse.main, "both", *OPTIONS)
    assert "seed-13 in_domain dev: skipped" in printed  # one of them has no run there
    assert {path.as_posix() for path in Path("out").rglob("*.parquet")} == {
        f"out/in_domain/seed-{seed}/test.parquet" for seed in (13, 14)
    }


def test_weights_are_those_that_rank_dev_best_whatever_test_says(study):
    """With all judgments of test, and of the other corpus, turned to nothing, the same bytes come out."""
    printed = succeeds(fuse.main, "hybrid", *OPTIONS)
    log = json.loads(Path("log.json").read_text())["fused"]
    tried = {tuple(entry["weights"]): entry["value"] for entry in log["tried"]}
    assert len(tried) == 11 and tried[tuple(log["weights"])] == max(tried.values()) > tried[0.0, 1.0]
    assert tried[0.0, 1.0] == pytest.approx(np.mean([1, 1 / 4]))  # at rank 1 and at rank 4 for half of the queries each
    assert f"hybrid: bm25 {log['weights'][0]:g}, base {log['weights'][1]:g}" in printed
    before = contents(Path("out"))
    for path in (Path("corpora/in_domain/qrels/test.parquet"), *Path("corpora/out_of_domain/qrels").glob("*")):
        qrels = pq.read_table(path)
        pq.write_table(qrels.set_column(1, "doc_id", pc.binary_replace_slice(qrels["doc_id"], 0, 1, "x")), path)
    succeeds(fuse.main, "hybrid", *OPTIONS)
    assert contents(Path("out")) == before and json.loads(Path("log.json").read_text())["fused"] == log


def test_given_weights_are_kept_next_to_what_dev_says_of_the_others(study):
    succeeds(fuse.main, "given", *OPTIONS)
    log = json.loads(Path("log.json").read_text())["fused"]
    assert log["weights"] == [1, 3] and len(log["tried"]) == 11
    sides = [pq.read_table(f"runs/{member}/in_domain/pretrained/test.parquet") for member in ("bm25", "base")]
    assert pq.read_table("out/in_domain/pretrained/test.parquet") == fusion.weighted_sum(sides, [1, 3], 200)


def problem(folder: Path, fusions: dict, **changed) -> str | None:
    write_params(folder, fusions=fusions, **changed)
    try:
        params.load(folder / "params.yaml")
    except UserError as error:
        return error.message
    return None


@pytest.mark.parametrize(
    "block, told",
    [
        ({"kind": "rrf", "of": ["bm25", "bert"]}, "fusions.x.of: no variant that searches is called 'bert'; there are"),
        ({"kind": "rrf", "of": ["bm25", "late-random"]}, "no variant that searches is called 'late-random'"),
        ({"kind": "rrf", "of": ["base", "base"]}, "fusions.x.of: a variant stands twice"),
        ({"kind": "rrf", "of": ["base", "x"]}, "fusions.x.of: leads back to 'x' itself"),
        ({"kind": "rrf", "of": ["base", "y"]}, "fusions.x.of: leads back to 'x' itself"),
        ({"kind": "rrf", "of": ["base"]}, "fusions.x.of: "),
        ({"kind": "rrf", "of": ["bm25", "base"], "k": 0}, "fusions.x.k: input should be greater than 0, got 0"),
        ({"kind": "sum", "of": ["bm25", "base"]}, "fusions.x: no such kind 'sum'; there are: rrf, weighted"),
        ({"kind": "rrf", "of": ["bm25", "base"], "weights": [1, 1]}, "fusions.x.weights: no such parameter; there are"),
        ({"kind": "weighted", "of": ["bm25", "base"], "weights": [1]}, "weights has 1 numbers, and of has 2 variants"),
        ({"kind": "weighted", "of": ["bm25", "base"], "weights": [0, 0]}, "weights are all 0"),
    ],
)
def test_what_cannot_be_fused_is_told_in_one_line(block, told, tmp_path):
    also = {"y": {"kind": "rrf", "of": ["bm25", "x"]}} if "y" in block["of"] else {}
    said = problem(tmp_path, {"x": block, **also})
    assert said and told in said and "\n" not in said


def test_weights_need_a_split_that_does_not_judge(tmp_path):
    chosen, report = {"x": {"kind": "weighted", "of": ["bm25", "base"]}}, blocks()["report"]
    known = blocks()["corpora"]
    without = {**known, "in_domain": {**known["in_domain"], "judged": {"test": {}}}}
    assert problem(tmp_path, chosen) is None
    for report_of, corpora in (({**report, "chosen_on": None}, known), ({**report, "chosen_on": "test"}, known)):
        said = problem(tmp_path, chosen, report=report_of, corpora=corpora)
        assert said and "names no split but the one that judges; say fusions.x.weights: [1, 1], or kind: rrf" in said
    said = problem(tmp_path, chosen, corpora=without)
    assert said and "corpora.in_domain has no judged split 'dev'" in said
    assert problem(tmp_path, {"x": {**chosen["x"], "weights": [1, 1]}}, corpora=without) is None
    assert problem(tmp_path, {"x": {"kind": "rrf", "of": ["bm25", "base"]}}, corpora=without) is None


def test_a_fusion_is_fine_tuned_where_a_member_is_and_may_be_reranked(tmp_path):
    known = blocks()["rerankers"]["late-random"]
    fusions = {
        "hybrid": {"kind": "rrf", "of": ["bm25", "base"]},
        "more": {"kind": "rrf", "of": ["hybrid", "full-hard", "bm25"]},
    }
    write_params(
        tmp_path,
        fusions=fusions,
        rerankers={"late-random": {**known, "first_stage": "more"}},
        report={**blocks()["report"], "pairs": []},
    )
    study = params.load(tmp_path / "params.yaml")
    assert [study.trained_on(name) for name in fusions] == [None, "in_domain"]
    assert study.members("more") == ["bm25", "base", "full-hard"] and study.members("base") == ["base"]
    assert list(study.variants)[-3:] == ["hybrid", "more", "late-random"]
