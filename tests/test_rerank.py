"""The rerank stage: the model's scores alone decide, a kill costs one block, and what did not change is kept."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import rerank
from stages.collections import canonical, readers, write
from stages.models import cross_encoder, encoding, late_interaction
from stages.models.model_folder import Description
from stages.params.corpora import Corpus, JudgedSplit
from stages.retrieval import reranking, runs
from tests.conftest import ROOT, sharpened
from tests.plants import blocks, contents, fails, succeeds, write_params

DEPTH = 12
RANKED = 15
OPTIONS = ("--model", "model", "--first-stage", "first", "--corpora", "corpora", "--out")


@pytest.fixture
def study(tiny_collection, tiny_cross, tmp_path, monkeypatch):
    """The tiny collection, a cross-encoder whose scores differ well, a first stage's run, and params to match."""
    corpus = Corpus(
        source=f"beir:{tiny_collection}", train="train", judged={"dev": JudgedSplit(), "test": JudgedSplit()}
    )
    monkeypatch.chdir(tmp_path)
    params_with()
    write.write(readers.read(corpus), corpus, Path("corpora/in_domain"))
    sharpened(tiny_cross, Path("model/seed-13"))
    first_stage()
    return tmp_path


def params_with(engine: dict | None = None, **corpora) -> None:
    """params.yaml of the study for tests, with short reranking, more corpora, and what encodes and reranks."""
    known = blocks()
    known["scale"]["encoding"] = engine or known["scale"]["encoding"]
    settings = known["rerank"] | {"depth": DEPTH, "queries": 6, "batch_tokens": 256}
    write_params(Path.cwd(), rerank=settings, corpora=known["corpora"] | corpora, scale=known["scale"])


def first_stage(
    corpus: str = "in_domain",
    moved: Callable[[list[str]], list[str]] = lambda docs: docs,
    score: Callable[[int], float] = lambda at: 1.0 - at / 100,
) -> None:
    """A run of the test queries q32..q39: for each RANKED passages from its own on; q33 has none."""
    doc_ids = canonical.doc_ids(Path("corpora") / corpus).to_pylist()
    rows = []
    for query in (32, 34, 35, 36, 37, 38, 39):
        docs = [doc_ids[(query * 3 + at) % len(doc_ids)] for at in range(RANKED)]
        docs = moved(docs[:DEPTH]) + docs[DEPTH:]
        rows += [(f"q{query}", doc, score(at)) for at, doc in enumerate(docs)]
    path = Path("first") / corpus / "pretrained/test.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write([pa.table(list(zip(*rows, strict=True)), schema=runs.RUN)], path)


def reranked(out: str) -> bytes:
    succeeds(rerank.main, "cross", *OPTIONS, out)
    return (Path(out) / "in_domain/seed-13/test.parquet").read_bytes()


def order(out: str) -> list[tuple[str, str, float]]:
    table = pq.read_table(Path(out) / "in_domain/seed-13/test.parquet")
    return list(zip(*(table[name].to_pylist() for name in runs.RUN.names), strict=True))


@pytest.fixture
def scored(monkeypatch) -> list[int]:
    """The number of pairs in each call of the cross-encoder."""
    sizes, score = [], cross_encoder.score
    monkeypatch.setattr(cross_encoder, "score", lambda *rest: sizes.append(len(rest[1])) or score(*rest))
    return sizes


def test_ranks_and_scores_of_the_first_stage_never_reach_the_model(study):
    printed = succeeds(rerank.main, "cross", *OPTIONS, "one")
    assert "in_domain dev: skipped" in printed and not Path("one/in_domain/seed-13/dev.parquet").exists()
    first_stage(moved=lambda docs: docs[::-1], score=lambda at: 0.0)
    assert reranked("two") == Path("one/in_domain/seed-13/test.parquet").read_bytes()


def test_a_run_holds_the_reranked_passages_and_then_the_rest_in_its_order(study):
    reranked("one")
    run = order("one")
    queries = {query for query, _, _ in run}
    assert 5 <= len(queries) <= 6  # of the six drawn, q33 has no passages
    assert len(run) == RANKED * len(queries)
    first = pq.read_table("first/in_domain/pretrained/test.parquet").to_pylist()
    for query in queries:
        wanted = [row["doc_id"] for row in first if row["query_id"] == query]
        docs = [doc for asked, doc, _ in run if asked == query]
        assert sorted(docs[:DEPTH]) == sorted(wanted[:DEPTH]) and docs[DEPTH:] == wanted[DEPTH:]
    for (query, _, score), (after, _, lower) in pairwise(run):
        assert query < after or (query == after and score >= lower)
    assert not list(Path(".scratch/rerank").iterdir())
    costs = json.loads(Path("data/costs/rerank/cross.json").read_text())
    assert costs["pairs"] == DEPTH * len(queries) and costs["pairs_per_second"] > 0


def test_texts_decide_and_equal_scores_go_by_the_higher_id(study):
    reranked("one")
    docs = pq.read_table("corpora/in_domain/docs.parquet")
    turned = docs["text"].take(list(range(len(docs)))[::-1])
    pq.write_table(docs.set_column(1, "text", turned), "corpora/in_domain/docs.parquet")
    reranked("two")
    assert [row[:2] for row in order("one")] != [row[:2] for row in order("two")]
    same = pa.array(["the same"] * len(docs))
    pq.write_table(docs.set_column(1, "text", same), "corpora/in_domain/docs.parquet")
    reranked("three")
    rows = [row for at, row in enumerate(order("three")) if at % RANKED < DEPTH]
    for (query, doc, _), (after, later, _) in pairwise(rows):
        assert query != after or doc > later


def test_a_first_stage_of_no_lines_gives_a_run_of_no_lines(study):
    path = Path("first/in_domain/pretrained/dev.parquet")
    assert runs.write([], path) == 0
    first_stage()
    succeeds(rerank.main, "cross", *OPTIONS, "one")
    nothing = pq.read_table("one/in_domain/seed-13/dev.parquet")
    assert nothing.schema == runs.RUN and not len(nothing) and len(order("one"))
    succeeds(rerank.main, "cross", *OPTIONS, "one")
    assert not len(pq.read_table("one/in_domain/seed-13/dev.parquet"))


def test_a_kill_costs_no_finished_block(study, scored, monkeypatch):
    monkeypatch.setattr(reranking, "PAIRS", DEPTH)
    whole = reranked("whole")
    queries = len({query for query, _, _ in order("whole")})
    assert scored == [DEPTH] * queries
    program = f"""
import os, signal
from stages import rerank
from stages.models import cross_encoder
from stages.retrieval import reranking

def dying(*rest):
    calls.append(1)
    return score(*rest) if len(calls) < 4 else os.kill(os.getpid(), signal.SIGKILL)

reranking.PAIRS, calls, score = {DEPTH}, [], cross_encoder.score
cross_encoder.score = dying
rerank.main({["cross", *OPTIONS, "cut"]})
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not Path("cut").exists()
    scored.clear()
    assert reranked("cut") == whole
    assert scored == [DEPTH] * (queries - 3)
    assert not list(Path(".scratch/rerank").iterdir())


def test_what_did_not_change_is_kept_when_a_corpus_comes_changes_or_goes(study, scored):
    reranked("out")
    before, pairs = contents(Path("out")), sum(scored)
    inode = Path("out/in_domain/seed-13/test.parquet").stat().st_ino
    assert pairs > 0

    def again() -> int:
        """How many pairs are scored; the output is as one that was made without an earlier one."""
        scored.clear()
        reranked("out")
        count = sum(scored)
        reranked("from-scratch")
        assert contents(Path("out")) == contents(Path("from-scratch"))
        shutil.rmtree("from-scratch")
        return count

    assert again() == 0
    shutil.copytree("corpora/in_domain", "corpora/another")
    another = {"source": "beir:elsewhere", "judged": {"test": {}}}
    params_with(another=another)
    first_stage("another")
    assert again() == pairs
    assert Path("out/in_domain/seed-13/test.parquet").stat().st_ino == inode
    docs = pq.read_table("corpora/another/docs.parquet")
    pq.write_table(docs.set_column(1, "text", pa.array(["a boat"] * len(docs))), "corpora/another/docs.parquet")
    assert again() == pairs
    assert Path("out/in_domain/seed-13/test.parquet").stat().st_ino == inode
    assert Path("out/another/seed-13/test.parquet").exists()
    params_with()
    assert again() == 0
    assert contents(Path("out")) == before


def test_a_run_is_made_again_when_its_bytes_the_settings_the_model_or_the_libraries_changed(study, scored, monkeypatch):
    whole = reranked("out")
    pairs = sum(scored)

    def again() -> int:
        scored.clear()
        reranked("out")
        return sum(scored)

    Path("out/in_domain/seed-13/test.parquet").write_bytes(b"something else")
    assert again() == pairs and Path("out/in_domain/seed-13/test.parquet").read_bytes() == whole
    write_params(Path.cwd(), rerank=blocks()["rerank"] | {"depth": DEPTH, "queries": 6, "batch_tokens": 128})
    assert again() == pairs
    tokenizer = Path("model/seed-13/tokenizer_config.json")
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert again() == pairs
    monkeypatch.setattr(encoding, "versions", lambda: ["another"])
    assert again() == pairs
    assert again() == 0


def test_a_corpus_is_cut_where_it_says(study):
    whole = reranked("whole")
    described = Path("corpora/in_domain/docs.json")
    described.write_text(json.dumps({**json.loads(described.read_text()), "tokens": 9}))
    cut = reranked("cut")
    assert cut != whole and reranked("whole") == cut  # a kept run belongs to the length as well
    model = cross_encoder.load(Path("model/seed-13"))
    model.max_seq_length = 9
    texts = dict(zip(*pq.read_table("corpora/in_domain/docs.parquet").to_pydict().values(), strict=True))
    topics = canonical.topics(Path("corpora/in_domain"), "test").to_pydict()
    queries = dict(zip(topics["query_id"], topics["text"], strict=True))
    query, doc, score = order("cut")[0]
    assert score == pytest.approx(cross_encoder.score(model, [queries[query]], [texts[doc]], 64)[0], abs=1e-5)
    described.write_text(json.dumps({**json.loads(described.read_text()), "tokens": 513}))
    assert "tokens: 513 is more than the 512 positions" in fails(rerank.main, "cross", *OPTIONS, "far")


def test_seed_runs_are_paired_by_name_or_with_the_only_one(study):
    first = Path("first/in_domain")
    first.joinpath("pretrained").rename(first / "seed-1")
    only = reranked("only")
    shutil.copytree(first / "seed-1", first / "seed-2")
    message = fails(rerank.main, "cross", *OPTIONS, "several")
    assert "has seed runs seed-1, seed-2 and none called 'seed-13'" in message
    first.joinpath("seed-2").rename(first / "seed-13")
    shutil.copy("corpora/in_domain/qrels/test.parquet", first / "seed-1/test.parquet")
    assert reranked("named") == only


def test_late_interaction_reranks_without_fine_tuning(study, tiny_model):
    shutil.rmtree("model/seed-13")
    folder = shutil.copytree(tiny_model, Path("model/pretrained"))
    late_interaction.build(folder, Description("late-interaction", tokens=32, query_tokens=16))
    succeeds(rerank.main, "late", *OPTIONS, "late")
    rows = pq.read_table("late/in_domain/pretrained/test.parquet").to_pylist()[:DEPTH]
    docs = pq.read_table("corpora/in_domain/docs.parquet").to_pydict()
    topics = canonical.topics(Path("corpora/in_domain"), "test").to_pydict()
    texts = dict(zip(docs["doc_id"], docs["text"], strict=True))
    query = dict(zip(topics["query_id"], topics["text"], strict=True))[rows[0]["query_id"]]
    model = late_interaction.load(folder)
    passages = model.encode_document([texts[row["doc_id"]] for row in rows])
    theirs = model.similarity(model.encode_query([query]), passages)[0].tolist()
    assert [row["score"] for row in rows] == pytest.approx(theirs, abs=1e-4)
    assert theirs == pytest.approx(sorted(theirs, reverse=True), abs=1e-4)


def test_a_body_without_a_head_is_one_line(study, tiny_cross):
    shutil.rmtree("model/seed-13")
    shutil.copytree(tiny_cross, "model/pretrained")
    assert "has no trained head" in fails(rerank.main, "cross", *OPTIONS, "x")
    assert not Path("x").exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (requirements-ray.txt)")
def test_ray_actors_write_the_same_run(study, monkeypatch):
    monkeypatch.setattr(reranking, "PAIRS", 2 * DEPTH)
    local = reranked("local")
    params_with(engine={"engine": "ray", "address": "local", "actors": 2})
    assert reranked("ray") == local
