"""Two variants on request: their figures, the queries that moved most, and their texts where the corpus is here."""

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner, Result

from stages import compare
from tests.plants import per_query, repository, worsened, write_state  # noqa: F401 (repository is a fixture)


def compared(*words: str) -> Result:
    return CliRunner().invoke(compare.main, words)


def test_a_variant_against_another_and_against_itself_before(repository):  # noqa: F811
    write_state(repository, worsened(per_query(), "full-hard", 0.1, 10))
    pair = compared("full-hard", "base")
    history = compared("full-hard", "full-hard", "--before", "HEAD", "--shown", "1")
    for done in (pair, history):
        assert done.exit_code == 0 and "one seed: this judges the checkpoint, not the recipe" in done.output
        assert "0 / 60 / 540" in done.output and "worse (margin" in done.output and "gained" not in done.output
    assert pair.output.count(" -> 10  (") == 5 and history.output.count(" -> 10  (") == 1
    other_way = compared("base", "full-hard")
    assert "60 / 0 / 540" in other_way.output and "q0  10 -> 1  (+0.9000)" in other_way.output
    assert "base: is compared with itself" in compared("base", "base").output


def test_texts_are_shown_where_the_corpus_is(repository):  # noqa: F811
    write_state(repository, worsened(per_query(), "full-hard", 0.1, 10))
    corpus = repository / "data/corpora/in_domain"
    for name, table in {
        "topics/test": {"query_id": ["q0"], "text": ["what\nis q0"]},
        "qrels/test": {"query_id": ["q0"] * 3, "doc_id": ["d0", "d1", "d2"], "grade": [0, 1, 2]},
        "docs": {"doc_id": ["d0", "d1", "d2"], "text": ["no", "some", "x" * 300]},
    }.items():
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), corpus / f"{name}.parquet")
    output = compared("full-hard", "base").output
    assert "query    what is q0\n" in output and f"passage  d2: {'x' * 200}\n" in output


def test_an_unknown_name_is_one_line_with_the_known_ones(repository):  # noqa: F811
    done = compared("full-hrad", "base")
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1
    assert "no variant is called 'full-hrad' on in_domain test; there are: base, full-hard, lora-hard" in done.output
    assert "has no measure P@9; there are: RR@10" in compared("full-hard", "base", "--measure", "P@9").output
    unknown = compared("full-hard", "base", "--split", "dev").output
    assert "has no queries of in_domain dev; there are: in_domain test" in unknown


def test_seeds_count_on_whichever_side_has_them(repository):  # noqa: F811
    seeds = worsened(per_query(["full-hard"], seed_runs=("seed-13", "seed-14")), "full-hard", 0.1, 10)
    base = per_query(["base"], seed_runs=["pretrained"])
    write_state(repository, {name: seeds[name] + base[name] for name in base})
    one, other = compared("full-hard", "base").output, compared("base", "full-hard").output
    assert "2 and 1 seed runs" in one and "0 / 60 / 540" in one and "60 / 0 / 540" in other
