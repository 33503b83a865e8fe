"""The rerank stage: what the model reads decides, what the first stage thought does not, and a kill costs one block."""
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages import rerank
from stages.collections import canonical, readers, write
from stages.models import cross_encoder
from stages.models import late_interaction
from stages.retrieval import runs
from stages.core.errors import UserError
from stages.params.corpora import Corpus, JudgedSplit
from tests.conftest import ROOT, sharpened

DEPTH = 12


@pytest.fixture
def study(tiny_collection, tiny_cross, tmp_path, monkeypatch):
    """The tiny collection, a cross-encoder whose scores differ well, a first stage's run, and params to match."""
    blocks = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    blocks["rerank"] |= {"depth": DEPTH, "queries": 6, "batch_tokens": 256}
    YAML().dump(blocks, tmp_path / "params.yaml")
    corpus = Corpus(source=f"beir:{tiny_collection}", train="train", judged={"dev": JudgedSplit(), "test": JudgedSplit()})
    write.write(readers.read(corpus), corpus, tmp_path / "corpora/in_domain")
    shutil.copytree(tiny_cross, tmp_path / "body")
    sharpened(tiny_cross, tmp_path / "model/seed-13")
    monkeypatch.chdir(tmp_path)
    ranked(tmp_path / "first/in_domain/pretrained/test.parquet")
    return tmp_path


def ranked(path: Path, moved=lambda docs: docs, score=lambda at: 1.0 - at / 100) -> None:
    """A first stage's run of the test queries q32..q39: for each 15 passages from its own on; q33 has none."""
    doc_ids = canonical.docs(Path("corpora/in_domain")).read()["doc_id"].to_pylist()
    rows = []
    for query in (32, 34, 35, 36, 37, 38, 39):
        docs = [doc_ids[(query * 3 + at) % len(doc_ids)] for at in range(15)]
        docs = moved(docs[:DEPTH]) + docs[DEPTH:]
        rows += [(f"q{query}", doc, score(at)) for at, doc in enumerate(docs)]
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write([pa.table(list(zip(*rows)), schema=runs.RUN)], path)


def reranked(out: str) -> bytes:
    rerank.main.callback("cross", Path("model"), Path("first"), Path("corpora"), Path(out))
    return (Path(out) / "in_domain/seed-13/test.parquet").read_bytes()


def order(out: str) -> list[tuple]:
    table = pq.read_table(Path(out) / "in_domain/seed-13/test.parquet")
    return list(zip(*(table[name].to_pylist() for name in runs.RUN.names)))


def test_order_and_scores_of_the_first_stage_never_reach_the_model(study, capsys):
    straight = reranked("one")
    assert "in_domain dev: skipped" in capsys.readouterr().out and not (study / "one/in_domain/seed-13/dev.parquet").exists()
    ranked(study / "first/in_domain/pretrained/test.parquet", lambda docs: docs[::-1], lambda at: 0.0)
    assert reranked("two") == straight
    found = order("one")
    assert len(found) == 15 * len({query for query, _, _ in found})
    below = {query: [doc for asked, doc, _ in found if asked == query][DEPTH:] for query, _, _ in found}
    first = pq.read_table(study / "first/in_domain/pretrained/test.parquet").to_pylist()
    assert below == {query: [row["doc_id"] for row in first if row["query_id"] == query][DEPTH:] for query in below}
    assert 5 <= len({query for query, _, _ in found}) <= 6  # q33 has no candidates
    for (query, _, score), (after, _, lower) in zip(found, found[1:]):
        assert query < after or (query == after and score >= lower)
    assert {path.name for path in (study / ".scratch/rerank").iterdir()} == set()
    costs = json.loads((study / "reports/costs/rerank/cross.json").read_text())
    assert costs["pairs"] == DEPTH * len(below) and costs["pairs_per_second"] > 0


def test_texts_decide_and_equal_scores_go_by_the_lower_row(study):
    reranked("one")
    docs = pq.read_table("corpora/in_domain/docs.parquet")
    pq.write_table(docs.set_column(1, "text", docs["text"].take(list(range(len(docs)))[::-1])),
                   "corpora/in_domain/docs.parquet")
    reranked("two")
    assert [row[:2] for row in order("one")] != [row[:2] for row in order("two")]
    pq.write_table(docs.set_column(1, "text", pa.array(["the same"] * len(docs))), "corpora/in_domain/docs.parquet")
    reranked("three")
    numbers = {doc: at for at, doc in enumerate(docs["doc_id"].to_pylist())}
    rows = [row for at, row in enumerate(order("three")) if at % 15 < DEPTH]
    assert all(query != after or numbers[doc] < numbers[later]
               for (query, doc, _), (after, later, _) in zip(rows, rows[1:]))


def test_a_kill_costs_no_finished_block(study, monkeypatch):
    monkeypatch.setattr(rerank, "PAIRS", DEPTH)
    whole = reranked("whole")
    queries = len({row[0] for row in order("whole")})
    program = ("import os, signal, sys; from pathlib import Path; from stages import rerank\n"
               "from stages.lib import cross_encoder\n"
               f"rerank.PAIRS, done, score = {DEPTH}, [], cross_encoder.score\n"
               "def dying(*rest):\n"
               "    done.append(1)\n"
               "    return score(*rest) if len(done) < 4 else os.kill(os.getpid(), signal.SIGKILL)\n"
               "cross_encoder.score = dying\n"
               "rerank.main.callback('cross', *map(Path, ('model', 'first', 'corpora', 'cut')))")
    died = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not Path("cut").exists()
    scored, score = [], cross_encoder.score
    monkeypatch.setattr(cross_encoder, "score", lambda *rest: scored.append(len(rest[1])) or score(*rest))
    assert reranked("cut") == whole
    assert scored == [DEPTH] * (queries - 3)
    assert not list(Path(".scratch/rerank").iterdir())


def test_copies_are_paired_by_name_or_with_the_only_one(study):
    home = study / "first/home"
    home.joinpath("pretrained").rename(home / "seed-1")
    only = reranked("only")
    shutil.copytree(home / "seed-1", home / "seed-2")
    with pytest.raises(UserError, match="has copies seed-1, seed-2 and none called 'seed-13'"):
        reranked("several")
    home.joinpath("seed-2").rename(home / "seed-13")
    ranked(home / "seed-1/test.parquet", lambda docs: docs[:1])
    assert reranked("named") == only


def test_late_interaction_orders_again_untrained(study, tiny_model):
    shutil.rmtree("model/seed-13")
    shutil.copytree(tiny_model, "model/pretrained")
    late_interaction.build(Path("model/pretrained"), 32, 16, None)
    Path("model/pretrained/architecture.json").write_text(json.dumps({"architecture": "late", "tokens": 32, "query_tokens": 16}))
    rerank.main.callback("late", *map(Path, ("model", "first", "corpora", "late")))
    found = pq.read_table("late/in_domain/pretrained/test.parquet").to_pylist()[:DEPTH]
    texts = dict(zip(*(pq.read_table("corpora/in_domain/docs.parquet")[name].to_pylist() for name in ("doc_id", "text"))))
    topics = pq.read_table("corpora/in_domain/topics/test.parquet")
    query = dict(zip(*(topics[name].to_pylist() for name in ("query_id", "text"))))[found[0]["query_id"]]
    model = late_interaction.load(Path("model/pretrained"))
    passages = model.encode_document([texts[row["doc_id"]] for row in found])
    theirs = model.similarity(model.encode_query([query]), passages)[0].tolist()
    assert [row["score"] for row in found] == pytest.approx(theirs, abs=1e-4)
    assert theirs == pytest.approx(sorted(theirs, reverse=True), abs=1e-4)


def test_a_body_without_a_head_is_one_line(study):
    shutil.rmtree("model/seed-13")
    shutil.copytree("body", "model/pretrained")
    with pytest.raises(UserError, match="has no trained head"):
        reranked("x")
    assert not Path("x").exists()
