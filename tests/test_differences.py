"""The page of gained and lost queries: who is listed, and that unpublished texts never stand in it."""
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stages import differences as stage
from stages.evaluation import differences
from stages.collections.excerpts import Excerpt
from stages.params.report import Report, Target

REPORT = Report(base="base", primary=Target(corpus="in_domain", split="test", measure="RR@10"), alpha=0.05, margin=2,
                resamples=1000, shown=2)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), max_size=12), st.integers(1, 5))
def test_gainers_and_losers_are_the_largest_and_never_unchanged(changes, count):
    changes = np.array(changes)
    gained, lost = differences.most(changes, count)
    assert sorted(changes[gained], reverse=True) == list(changes[gained]) == sorted(changes[changes > 0])[::-1][:count]
    assert list(changes[lost]) == sorted(changes[changes < 0])[:count]


def table() -> pa.Table:
    """Three queries; the row's two seeds lose q1, gain q2, leave q3."""
    base = [("q1", 1, 1.0), ("q2", 4, 0.25), ("q3", 0, 0.0)]
    lines = [*(("base", "pretrained", *line) for line in base),
             ("variant", "seed-1", "q1", 2, 0.5), ("variant", "seed-1", "q2", 1, 1.0), ("variant", "seed-1", "q3", 0, 0.0),
             ("variant", "seed-2", "q1", 0, 0.0), ("variant", "seed-2", "q2", 1, 1.0), ("variant", "seed-2", "q3", 0, 0.0)]
    named = dict(zip(["variant", "seed_run", "query_id", "rank", "RR@10"], zip(*lines)))
    return pa.table({**named, "corpus": ["in_domain"] * len(lines), "split": ["test"] * len(lines)})


def test_a_page_shows_texts_only_where_it_may():
    listed = {"variant": stage._listed(table(), "variant", REPORT)}
    assert listed["variant"] == [("q2", "4", "1 / 1", 0.75), ("q1", "1", "2 / –", -0.75)]
    shown = {"q1": Excerpt("a secret | question", "d1", "the answer", 0),
             "q2": Excerpt("another", "d2", "its passage", 3)}
    closed = stage._page(listed, shown, REPORT.in_domain, "base", with_texts=False)
    assert "secret" not in closed and "passage |" not in closed.replace("relevant passage |", "")
    assert "| `q1` | `d1` | 1 → 2 / – | -0.750 |" in closed and "`d2` (and 3 more)" in closed
    opened = stage._page(listed, shown, REPORT.in_domain, "base", with_texts=True)
    assert "| a secret \\| question | the answer | 1 → 2 / – | -0.750 |" in opened
