"""Per-query tables: what one variant has on a target, and what two have in common."""

import numpy as np
import pyarrow as pa
import pytest

from stages.core.errors import UserError
from stages.evaluation import per_query
from tests import plants
from tests.plants import IN_DOMAIN


def table(rows: list[tuple[str, str, str, float]]) -> pa.Table:
    """variant, seed run, query and value; clusters are named as the queries, ranks are 1 / value."""
    columns = dict(zip(("variant", "seed_run", "query_id", "RR@10"), map(list, zip(*rows, strict=True)), strict=True))
    where = {"corpus": ["in_domain"] * len(rows), "split": ["test"] * len(rows)}
    ranks = [round(1 / value) if value else 0 for value in columns["RR@10"]]
    return pa.table({**columns, **where, "cluster": columns["query_id"], "rank": ranks})


def of(rows: list[tuple[str, str, float]]) -> per_query.PerQuery:
    return per_query.of(table([("x", *row) for row in rows]), "x", IN_DOMAIN)


def test_seed_runs_and_queries_are_sorted_whatever_their_order():
    variant = of([("seed-2", "b", 0.5), ("seed-2", "a", 1.0), ("seed-1", "a", 0.25), ("seed-1", "b", 0.0)])
    assert variant.seed_runs == ["seed-1", "seed-2"] and list(variant.query_ids) == ["a", "b"]
    assert variant.values.tolist() == [[0.25, 0.0], [1.0, 0.5]] and list(variant.clusters) == ["a", "b"]
    assert variant.ranks_of(1).tolist() == [0, 2] and variant.mean == 1.75 / 4


@pytest.mark.parametrize(
    "rows", [[("seed-1", "a", 1.0), ("seed-2", "b", 1.0)], [("seed-1", "a", 1.0), ("seed-1", "a", 1.0)]]
)
def test_seed_runs_must_hold_the_same_queries_once(rows):
    with pytest.raises(UserError, match="seed runs of variant 'x' do not hold the same queries of in_domain test"):
        of(rows)


def test_two_variants_are_compared_on_the_queries_and_seeds_that_both_have():
    one = of([(seed, query, 1.0) for seed in ("seed-1", "seed-2") for query in "abc"])
    other = of([(seed, query, 0.5) for seed in ("seed-2", "seed-3") for query in "bcd"])
    both = per_query.common(one, other)
    assert [side.seed_runs for side in both] == [["seed-2"], ["seed-2"]]
    assert [list(side.query_ids) for side in both] == [["b", "c"]] * 2 and both[1].values.tolist() == [[0.5, 0.5]]
    apart = of([("seed-9", query, 0.5) for query in "bcd"])
    assert [side.seed_runs for side in per_query.common(one, apart)] == [["seed-1"], ["seed-9"]]
    base = of([("pretrained", query, 0.5) for query in "bcd"])
    assert [side.seed_runs for side in per_query.common(one, base)] == [["seed-1", "seed-2"], ["pretrained"]]


def test_the_side_with_more_seeds_gives_the_spread_whichever_comes_first():
    seeds = plants.worsened(plants.per_query(["x"], seed_runs=("seed-13", "seed-14")), "x", 0.1, 10)
    base = plants.per_query(["base"], seed_runs=["pretrained"])
    values = pa.table({name: seeds[name] + base[name] for name in base})
    sides = [per_query.of(values, name, IN_DOMAIN) for name in ("x", "base")]
    there, back = (per_query.compare(*pair, 0.05, 1000) for pair in (sides, sides[::-1]))
    assert there.seed_runs == 2 and there.difference < 0 and there.worse == 60 and there == back.reversed()


def test_without_clusters_every_query_is_its_own():
    values = plants.per_query(["x"], queries=10)
    del values["cluster"]
    variant = per_query.of(pa.table(values), "x", IN_DOMAIN)
    assert variant.clusters is None and per_query.compare(variant, variant, 0.05, 1000).clusters == 10


def test_a_part_in_another_order():
    variant = of([("seed-1", query, value) for query, value in zip("abc", (1.0, 0.5, 0.25), strict=True)])
    part = variant.take(np.array([2, 0]))
    assert (
        list(part.query_ids) == ["c", "a"] and part.values.tolist() == [[0.25, 1.0]] and part.ranks.tolist() == [[4, 1]]
    )


def test_a_table_that_cannot_be_read_is_one_line(tmp_path):
    path = tmp_path / "queries.parquet"
    with pytest.raises(UserError, match="there is no such file here; run dvc repro"):
        per_query.read(path)
    path.write_text("not parquet")
    with pytest.raises(UserError, match="is no parquet file"):
        per_query.read(path)
    values = plants.per_query(["x"], queries=2)
    plants.write_table(path, values)
    assert per_query.read(path).to_pydict() == values
    plants.write_table(path, {name: column for name, column in values.items() if name != "split"})
    with pytest.raises(UserError, match="has no column split"):
        per_query.read(path)
