"""The curve over training size: nested shares, which variants make a curve, and words that hold for every verdict."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import params
from stages.collections import canonical
from stages.evaluation import growth
from stages.evaluation.comparison import VERDICTS
from stages.negatives import draw
from stages.reporting import growth as told
from stages.reporting import style
from stages.reporting.text import plain
from studies import curve
from tests import plants

POOL = {"corpus": "in_domain", "from": "pools/base", "ranks": [51, 200], "size": 256}
NAMES = {"checkpoint": "minilm", "tuning": "full", "recipe": "printed"}


def plant(folder, clusters: list[int]):
    (folder / "topics").mkdir(parents=True)
    queries = [f"q{at}" for at in range(len(clusters))]
    table = pa.table([queries, queries, [f"c{cluster}" for cluster in clusters]], schema=canonical.TOPICS)
    pq.write_table(table, folder / "topics/train.parquet")
    return dict(zip(queries, clusters, strict=True))


@settings(max_examples=60, deadline=None)
@given(clusters=st.lists(st.integers(0, 8), min_size=1, max_size=30), shares=st.tuples(*[st.floats(0.01, 1)] * 2))
def test_a_smaller_share_is_within_a_larger_one_and_no_cluster_is_cut(tmp_path_factory, clusters, shares):
    folder = tmp_path_factory.mktemp("corpus")
    cluster_of = plant(folder, clusters)
    small, large = (set(draw.part(folder, share).to_pylist()) for share in sorted(shares))
    assert small and small <= large
    first = len([1 for cluster in clusters if cluster == cluster_of[min(small)]])
    for part, share in zip((small, large), sorted(shares), strict=True):
        taken = {cluster_of[query] for query in part}
        assert part == {query for query, cluster in cluster_of.items() if cluster in taken}
        assert len(part) <= max(round(share * len(clusters)), first) or len(taken) == 1
    assert set(draw.part(folder, 1.0).to_pylist()) == set(cluster_of)


def study(folder, **shares):
    known = plants.blocks()
    triplets = {name: {**POOL, "share": share} for name, share in shares.items()}
    retrievers = {f"on-{name}": {**NAMES, "triplets": name} for name in shares}
    plants.write_params(
        folder,
        triplets={**known["triplets"], **triplets},
        retrievers={**known["retrievers"], **retrievers},
    )
    return params.load(folder / "params.yaml")


def test_variants_that_differ_in_their_share_alone_make_a_curve(tmp_path):
    made = study(tmp_path, half=0.5, quarter=0.25)
    assert growth.groups(made) == [["on-quarter", "on-half", "full-hard"]]
    assert growth.last_steps(made) == [("full-hard", "on-half")]
    assert [made.triplets[name].count for name in ("quarter", "half", "hard")] == [64, 128, 256]
    assert growth.groups(params.load(plants.ROOT / "tests/study.yaml")) == []


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("turned", [False, True])
def test_every_verdict_is_told_from_the_smaller_share_to_the_larger(verdict, turned, tmp_path):
    made = study(tmp_path, half=0.5)
    change = {"better": 0.05, "worse": -0.05}.get(verdict, 0.001)
    pair = plants.pair("full-hard", "on-half", plants.comparison(change, verdict=verdict))
    compared = [pair.turned() if turned else pair]
    if turned:
        assert compared[0].comparison.verdict == {"better": "worse", "worse": "better"}.get(verdict, verdict)
    (sentence,) = told.verdicts(made, ["on-half", "full-hard"], compared)
    said = plain(sentence)
    assert f"goes from 0.5000 (on-half) to {0.5 + change:.4f} (full-hard)" in said and f"), {verdict}. " in said
    assert said.startswith(
        {
            "better": "More pairs helped.",
            "worse": "More pairs hurt.",
            "no difference": "More pairs changed nothing",
            "cannot tell": "Cannot tell with 1,200 queries.",
        }[verdict]
    )
    assert (" likely to help;" in said) == (verdict == "better")
    assert ("unlikely to help" in said) == (verdict == "no difference")


def test_the_part_of_the_report_has_a_line_a_variant_and_the_picture_is_the_same_twice(tmp_path):
    made = study(tmp_path, half=0.5, quarter=0.25)
    results = [
        plants.result("base"),
        *(plants.result(name, plants.comparison(0.01)) for name in growth.groups(made)[0]),
    ]
    heading, table, picture = told.blocks(made, results, [])
    assert [line[:3] for line in table.lines] == [
        ["on-quarter", "25", "64"],
        ["on-half", "50", "128"],
        ["full-hard", "100", "256"],
    ]
    assert "more training pairs" in heading.words and picture.parts[0].target == "figures/growth.png"
    for name in ("one", "other"):
        style.save(told.curves(made, results), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert told.blocks(params.load(plants.ROOT / "tests/study.yaml"), results, []) == []


def test_the_committed_page_and_picture_are_those_of_the_committed_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(plants.ROOT)
    for name in curve.FIGURES:
        (tmp_path / name).write_bytes((curve.REPORTS / name).read_bytes())
    curve.write(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert page == (curve.REPORTS / "README.md").read_text() and "on-quarter" in page and "(curve.png)" in page
    assert (tmp_path / "curve.png").stat().st_size > 10_000
