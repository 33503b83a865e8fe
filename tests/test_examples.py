"""The examples: picked by a rule that a few lines recompute, in the runs' order, without texts unless allowed."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stages import examples as stage
from stages.evaluation import examples, results
from stages.reporting import examples_table, markdown
from stages.retrieval import runs
from tests import plants
from tests.plants import DEV, IN_DOMAIN

CHANGES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=12)


@given(CHANGES)
def test_a_gain_a_loss_and_the_median_of_what_changed(changes):
    found = examples.picked(np.array(changes))
    changed = sorted(change for change in changes if change)
    assert ("gain" in found) == (max(changes) > 0) and ("loss" in found) == (min(changes) < 0)
    assert len(set(found.values())) == len(found)
    if "gain" in found:
        assert found["gain"] == changes.index(max(changes))
    if "middle" in found:
        assert found["middle"] == changes.index(changed[(len(changed) - 1) // 2])
    assert found or not changed


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=30))
def test_moves_count_every_query_once_in_its_bands(ranks):
    def band(rank: int) -> int:
        return 4 if rank == 0 else sum(rank > last for last in (1, 3, 10))

    counts = examples.moves(*(np.array([pair[side] for pair in ranks], int) for side in (0, 1)))
    wanted = np.zeros((5, 5), int)
    for before, after in ranks:
        wanted[band(before), band(after)] += 1
    assert counts == wanted.tolist() and len([*examples.BANDS, examples.ABSENT]) == 5


def write(folder: Path, published: bool) -> None:
    """Four queries of which lora-hard gains q1, loses q2 and leaves q4; a little of q3, which has two answers."""
    known = plants.blocks()
    known["corpora"]["in_domain"]["publish"] = published
    report = {**known["report"], "out_of_domain": None, "pairs": []}
    plants.write_params(folder, corpora=known["corpora"], report=report, interpolations={}, fusions={}, rerankers={})
    ranks = {"base": {"q1": 9, "q2": 1, "q3": 3, "q4": 2}, "lora-hard": {"q1": 1, "q2": 0, "q3": 2, "q4": 2}}
    rows: dict[str, list] = {name: [] for name in ("variant", "seed_run", "query_id", "rank", "RR@10")}
    for variant, of_query in ranks.items():
        seed_run = "pretrained" if variant == "base" else "seed-13"
        for query, rank in of_query.items():
            values = (variant, seed_run, query, rank, 1 / rank if rank else 0.0)
            for column, value in zip(rows.values(), values, strict=True):
                column.append(value)
        path = folder / f"runs/{variant}/in_domain/{seed_run}/test.parquet"
        path.parent.mkdir(parents=True)
        order = [3, 0, 1, 2] if variant == "base" else [0, 2, 3, 1]
        doc_ids, scores = pa.array(["d1", "d2", "d3", "d4"]), np.array([[4, 3, 2, 1]] * 4, np.float32)
        runs.write([runs.table(["q1", "q2", "q3", "q4"], doc_ids, scores, np.array([order] * 4))], path)
    shared = {"corpus": ["in_domain"] * 8, "split": ["test"] * 8, "cluster": rows["query_id"]}
    plants.write_table(folder / "queries.parquet", rows | shared)
    compared = plants.comparison(0.1, verdict="better")
    found = [plants.result("lora-hard", compared, target) for target in (DEV, IN_DOMAIN)]
    (folder / "results.json").write_text(results.as_json([plants.result("base", target=IN_DOMAIN), *found]))
    corpus = folder / "corpora/in_domain"
    tables = {
        "topics/test": {"query_id": ["q1", "q2", "q3", "q4"], "text": ["one", "two", "three", "four"]},
        "qrels/test": {"query_id": ["q1", "q2", "q3", "q3"], "doc_id": ["d1", "d4", "d3", "d2"], "grade": [1] * 4},
        "docs": {"doc_id": ["d1", "d2", "d3", "d4"], "text": ["alpha\n beta", "gamma", "delta " * 99, "epsilon"]},
    }
    for name, table in tables.items():
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), corpus / f"{name}.parquet")
    card = {"origin": {"scipy": "1.17.1"}, "documents": 4, "splits": {}, "words_per_passage": 1.0, "dropped": {}}
    (corpus / "card.json").write_text(json.dumps({**card, "noted": {}, "fingerprint": "9" * 64}))


@pytest.mark.parametrize("published", [True, False])
def test_the_chosen_variant_is_shown_and_texts_only_where_the_corpus_may_be(published, tmp_path, monkeypatch):
    write(tmp_path, published)
    monkeypatch.chdir(tmp_path)
    words = "--queries queries.parquet --results results.json --runs runs --corpora corpora"
    words += " --out examples.json --texts texts.md"
    done = CliRunner().invoke(stage.main, words.split())
    assert done.exit_code == 0, done.exception or done.output
    written = (tmp_path / "examples.json").read_text()
    found = examples.read(tmp_path / "examples.json")
    assert (found.variant, found.queries, found.gained, found.lost) == ("lora-hard", 4, 2, 1)
    gain, loss, middle = found.shown
    assert [(one.kind, one.query, one.rank_before, one.rank_after) for one in found.shown] == [
        ("gain", "q1", 9, 1),
        ("loss", "q2", 1, 0),
        ("middle", "q3", 3, 2),
    ]
    assert gain.change == round(1 - 1 / 9, 6) and (middle.answer, middle.more) == ("d3", 1)
    assert [hit.passage for hit in loss.before] == ["d4", "d1", "d2", "d3"] and loss.before[0].relevant
    assert [hit.relevant for hit in middle.after] == [False, True, False, True]
    assert (gain.text, gain.before[1].text) == (("one", "alpha beta") if published else (None, None))
    assert ("alpha" in written, "epsilon" in written) == (published, published)
    assert "| 1 | **✓ epsilon** | alpha beta |" in (tmp_path / "texts.md").read_text()
    page = markdown.document(examples_table.blocks(found))
    assert "gains 2 and loses 1 in RR@10 on in_domain test" in page and ("Ids stand for texts" in page) != published
    assert ("| 1 | **✓ epsilon** | alpha beta |" if published else "| 1 | **✓ d4** | d1 |") in page
    assert max(map(len, page.split("|"))) < 900


def test_without_a_choice_there_is_none(tmp_path):
    (tmp_path / "examples.json").write_text(examples.as_json(None))
    assert examples.read(tmp_path / "examples.json") is None and examples_table.blocks(None) == []
