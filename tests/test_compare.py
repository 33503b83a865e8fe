"""A pair on request: its figures, the queries that moved most, and their texts where the corpus lies here."""
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from stages import compare
from stages.evaluation import differences
from stages.evaluation import revisions
from tests.test_gate import QUERIES, planted, repository, worsened, write  # noqa: F401 (repository is a fixture)


def told(*words: str):
    return CliRunner().invoke(compare.main, words)


def test_the_most_changed_in_a_fixed_order():
    changes = np.array([0, 0.5, -1, 0.5, 1, -0.25, 1e-17])
    assert differences.most(changes, 2) == ([4, 1], [2, 5])
    assert differences.most(changes, 9) == ([4, 1, 3], [2, 5])
    assert differences.most(np.zeros(4), 3) == ([], [])
    assert [differences.ranks_as_text(ranks) for ranks in ([3], [3, 0], None)] == ["3", "3 / none", "–"]
    assert differences.ranks_as_text([3, 0], absent="–") == "3 / –"


def test_a_row_against_another_and_against_itself_before(repository):  # noqa: F811
    write(repository, worsened(planted(), "full-hard", 0.1, 10))
    pair, history = told("full-hard", "base"), told("full-hard", "full-hard", "--before", "HEAD", "--shown", "1")
    for done in (pair, history):
        assert done.exit_code == 0 and "one seed: this checkpoint, not the recipe" in done.output
        assert "0 / 60 / 540" in done.output and "worse (margin" in done.output and "gained" not in done.output
    assert pair.output.count(" -> 10  (") == 5 and history.output.count(" -> 10  (") == 1
    other_way = told("base", "full-hard")
    assert "60 / 0 / 540" in other_way.output and "q0  10 -> 1  (+0.9000)" in other_way.output
    assert told("base", "base").output.startswith("base: is compared with itself")


def test_texts_are_shown_where_the_corpus_is(repository):  # noqa: F811
    write(repository, worsened(planted(), "full-hard", 0.1, 10))
    home = repository / "data/corpora/in_domain"
    for name, table in {"topics/test": {"query_id": ["q0"], "text": ["what\nis q0"]},
                        "qrels/test": {"query_id": ["q0"] * 3, "doc_id": ["d0", "d1", "d2"], "grade": [0, 1, 2]},
                        "docs": {"doc_id": ["d0", "d1", "d2"], "text": ["no", "some", "x" * 300]}}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), home / f"{name}.parquet")
    shown = told("full-hard", "base").output
    assert "query    what is q0\n" in shown and f"passage  d2: {'x' * 200}\n" in shown


def test_unknown_names_are_told_the_known_ones(repository):  # noqa: F811
    done = told("full-hrad", "base")
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1
    assert "no row is called 'full-hrad' on in_domain test; there are: base, full-hard, lora-hard" in done.output
    assert "has no measure P@9; there are: RR@10" in told("full-hard", "base", "--measure", "P@9").output
    assert "has no queries of in_domain dev; there are: in_domain test" in told("full-hard", "base", "--split", "dev").output


def test_seeds_count_on_whichever_side_has_them(repository):  # noqa: F811
    seeds = worsened(planted(["full-hard"], copies=("seed-13", "seed-14")), "full-hard", 0.1, 10)
    base = planted(["base"], copies=["pretrained"])
    write(repository, {name: seeds[name] + base[name] for name in base})
    one, other = told("full-hard", "base").output, told("base", "full-hard").output
    assert "2 and 1 copies, one a seed" in one and "0 / 60 / 540" in one and "60 / 0 / 540" in other
    table, place = revisions.table(), compare.params.load().report.in_domain
    rows = [revisions.per_query(table, row, place) for row in ("full-hard", "base")]
    assert rows[0].values.shape == (2, QUERIES) and list(rows[0].query_ids) == sorted(f"q{at}" for at in range(QUERIES))
    there, back = (revisions.change(*pair, rows[0].clusters, 0.05, 1000) for pair in (rows, rows[::-1]))
    assert (there["low"], there["high"], there["p"]) == (-back["high"], -back["low"], back["p"])
