"""The queries that gained and lost most: which they are, and that unpublished texts are never in the page."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stages import differences as stage
from stages.evaluation import differences, per_query
from stages.evaluation.differences import QueryChange
from tests import plants
from tests.plants import IN_DOMAIN

SETTLED = {"interpolations": {}, "fusions": {}, "rerankers": {}}


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), max_size=12), st.integers(1, 5))
def test_gainers_and_losers_are_the_largest_and_never_unchanged(changes, count):
    changes = np.array(changes)
    gained, lost = differences.most(changes, count)
    assert sorted(changes[gained], reverse=True) == list(changes[gained]) == sorted(changes[changes > 0])[::-1][:count]
    assert list(changes[lost]) == sorted(changes[changes < 0])[:count]


def test_equal_changes_stand_in_their_order_and_rounding_is_no_change():
    changes = np.array([0, 0.5, -1, 0.5, 1, -0.25, 1e-17])
    assert differences.most(changes, 2) == ([4, 1], [2, 5])
    assert differences.most(changes, 9) == ([4, 1, 3], [2, 5])


def rows() -> list[tuple]:
    """Three queries; the variant's two seeds lose q1, gain q2, leave q3."""
    base = [("q1", 1, 1.0), ("q2", 4, 0.25), ("q3", 0, 0.0)]
    return [
        *(("base", "pretrained", *line) for line in base),
        *(("full-hard", "seed-1", *line) for line in [("q1", 2, 0.5), ("q2", 1, 1.0), ("q3", 0, 0.0)]),
        *(("full-hard", "seed-2", *line) for line in [("q1", 0, 0.0), ("q2", 1, 1.0), ("q3", 0, 0.0)]),
    ]


def table() -> plants.Table:
    columns = zip(("variant", "seed_run", "query_id", "rank", "RR@10"), zip(*rows(), strict=True), strict=True)
    known = {name: list(values) for name, values in columns}
    return {**known, "corpus": ["in_domain"] * 9, "split": ["test"] * 9, "cluster": known["query_id"]}


def test_changes_are_means_over_seeds_with_the_rank_of_each():
    values = pa.table(table())
    both = per_query.common(*(per_query.of(values, name, IN_DOMAIN) for name in ("base", "full-hard")))
    gained, lost = differences.most_changed(*both, 5)
    assert gained == [QueryChange("q2", "4", "1 / 1", 0.75)] and lost == [QueryChange("q1", "1", "2 / none", -0.75)]
    unranked = [per_query.PerQuery(side.values, side.seed_runs, side.query_ids, None, None) for side in both]
    assert differences.most_changed(*unranked, 5)[0] == [QueryChange("q2", "–", "–", 0.75)]


@pytest.mark.parametrize("published", [False, True])
def test_the_committed_page_has_texts_only_where_the_corpus_is_published(published, tmp_path, monkeypatch):
    known = plants.blocks()
    known["corpora"]["in_domain"]["publish"] = published
    retrievers = {name: plants.VARIANTS[name] for name in ("base", "full-hard")}
    report = {**known["report"], "pairs": [], "shown": 2}
    plants.write_params(
        tmp_path,
        corpora=known["corpora"],
        retrievers=retrievers,
        report=report,
        pools={},
        **SETTLED
        | {
            "triplets": {
                name: known["triplets"]["uniform"] | ({"size": 0} if name == "none" else {})
                for name in ("none", "hard")
            }
        },
    )
    plants.write_table(tmp_path / "queries.parquet", table())
    corpus = tmp_path / "corpora/in_domain"
    for name, texts in {
        "topics/test": {"query_id": ["q1", "q2"], "text": ["a secret | question", "another"]},
        "qrels/test": {"query_id": ["q1", "q2", "q2"], "doc_id": ["d1", "d2", "d3"], "grade": [1, 2, 1]},
        "docs": {"doc_id": ["d1", "d2", "d3"], "text": ["the *answer*", "its passage", "more"]},
    }.items():
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(texts), corpus / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    words = ["--queries", "queries.parquet", "--corpora", "corpora", "--page", "page.md", "--texts", "texts.md"]
    done = CliRunner().invoke(stage.main, words)
    assert done.exit_code == 0, done.output
    page, texts = (tmp_path / "page.md").read_text(), (tmp_path / "texts.md").read_text()
    assert (page == texts) == published
    assert "| a secret \\| question | the \\*answer\\* | 1 → 2 / none | -0.750 |" in texts
    if not published:
        assert "secret" not in page and "answer" not in page and "Ids stand for texts" in page
        assert "| `q1` | `d1` | 1 → 2 / none | -0.750 |" in page and "| `q2` | `d2` (and 1 more) | 4 → 1 / 1 |" in page
