"""The leakage guard: no passage that is relevant to a measured query is ever a negative, however negatives are drawn.

In the collection planted here most passages are relevant to some query of dev, test or validation, and the pool and the
released triples hold those that are relevant to the training query itself: a draw without the guard leaks at once.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import triplets
from stages.collections import canonical
from stages.negatives import draw, leakage
from stages.params.triplets import Triplets
from stages.retrieval import runs
from tests import plants

PASSAGES = [f"d{number}" for number in range(60)]
SAMPLINGS = {
    "uniform": {"from": "corpora/in_domain"},
    "pool": {"from": "pools/base", "ranks": [1, 60]},
    "one-rank": {"from": "pools/base", "ranks": [1, 60], "sampling": "one-rank"},
    "docpairs": {"from": "corpora/in_domain/docpairs.parquet"},
}
JUDGMENTS = {
    "train": [(f"t{n}", f"d{n % 10}", 1) for n in range(20)] + [("t0", "d50", 0)],
    "validation": [(f"v{n}", f"d{n}", 1) for n in range(10, 20)] + [("v10", "d51", 0)],
    "dev": [(f"y{n}", f"d{n}", 2) for n in range(20, 35)],
    "test": [(f"x{n}", f"d{n}", 1) for n in range(35, 50)] + [("t3", "d52", 1), ("x35", "d53", 0)],
}
MEASURED = {doc for split in ("validation", "dev", "test") for _, doc, grade in JUDGMENTS[split] if grade >= 1}
OWN = {(query, doc) for rows in JUDGMENTS.values() for query, doc, grade in rows if grade >= 1}


def plant(folder: Path, judgments=JUDGMENTS) -> Path:
    """A collection in canonical format below a folder's data/, with released triples, and a pool next to it."""
    collection = folder / "data/corpora/in_domain"
    for part in ("topics", "qrels"):
        (collection / part).mkdir(parents=True)
    table = pa.table([PASSAGES, [f"text of {doc}" for doc in PASSAGES]], schema=canonical.DOCS)
    pq.write_table(table, collection / "docs.parquet")
    for split, rows in judgments.items():
        queries = list(dict.fromkeys(query for query, _, _ in rows))
        topics = pa.table([queries, [f"text of {query}" for query in queries], queries], schema=canonical.TOPICS)
        pq.write_table(topics, collection / f"topics/{split}.parquet")
        pq.write_table(
            pa.table(list(zip(*rows, strict=True)), schema=canonical.QRELS), collection / f"qrels/{split}.parquet"
        )
    train = [f"t{n}" for n in range(20)]
    released = [(f"t{n}", f"d{n % 10}", doc) for n in range(20) for doc in PASSAGES]
    pq.write_table(
        pa.table(list(zip(*released, strict=True)), schema=canonical.DOCPAIRS), collection / "docpairs.parquet"
    )
    order = np.array([np.roll(np.arange(60), -(n % 10)) for n in range(20)])
    pool = runs.table(train, pa.array(PASSAGES), -np.arange(60.0) * np.ones((20, 1)), order)
    (folder / "data/pools").mkdir()
    runs.write([pool], folder / "data/pools/base")
    return collection


def block(sampling: str, **more) -> Triplets:
    return Triplets.model_validate({"corpus": "in_domain", "size": 40, **SAMPLINGS[sampling], **more})


def drawn(folder: Path, given: Triplets, forbidden: leakage.Forbidden, seed: int) -> set[tuple[str, str]]:
    """The (query, negative) pairs of a draw."""
    source = folder / "data" / given.negatives
    table, _ = draw.draw(given, folder / "data/corpora/in_domain", source, forbidden, seed)
    names = [name for name in table.column_names if name.startswith("negative_id")]
    return {pair for name in names for pair in zip(table["query_id"].to_pylist(), table[name].to_pylist(), strict=True)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    planted = tmp_path_factory.mktemp("leakage")
    plant(planted)
    return planted


def guard(folder: Path, judged=("dev", "test"), allow_judged=False) -> leakage.Forbidden:
    return leakage.forbidden(folder / "data/corpora/in_domain", list(judged), allow_judged)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_negative_is_relevant_to_a_measured_query_or_to_its_own(folder, sampling, seed):
    pairs = drawn(folder, block(sampling), guard(folder), seed)
    assert pairs and not {passage for _, passage in pairs} & MEASURED and not pairs & OWN


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_without_the_guard_the_same_draw_leaks(folder, sampling):
    """Else the test above could not fail."""
    nothing = leakage.Forbidden(
        pa.table({"query_id": pa.array([], pa.string()), "doc_id": pa.array([], pa.string())}),
        pa.array([], pa.string()),
    )
    pairs = drawn(folder, block(sampling, size=400), nothing, 13)
    assert {passage for _, passage in pairs} & MEASURED
    assert pairs & OWN or sampling in ("one-rank", "docpairs")  # a triple whose negative is its positive is none


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_allow_judged_allows_what_is_relevant_to_others_and_never_to_the_query_itself(folder, sampling):
    pairs = drawn(folder, block(sampling, size=400), guard(folder, allow_judged=True), 13)
    assert {passage for _, passage in pairs} & MEASURED and not pairs & OWN


def test_several_negatives_a_query_are_all_guarded(folder):
    for sampling in ("uniform", "pool"):
        pairs = drawn(folder, block(sampling, negatives_per_query=5), guard(folder), 13)
        assert len(pairs) > 60 and not {passage for _, passage in pairs} & MEASURED and not pairs & OWN


def test_what_is_forbidden_is_what_plain_sets_say(folder):
    """Every split's judgments from grade 1 count for the query itself, the measured ones for all queries."""
    queries, passages = zip(*[(query, doc) for query in ("t0", "t3", "t19") for doc in PASSAGES], strict=True)
    for judged, allow_judged, forbidden in (
        (("dev", "test"), False, MEASURED),
        (("dev", "test"), True, set()),
        ((), False, {doc for _, doc, grade in JUDGMENTS["validation"] if grade}),
    ):
        mask = guard(folder, judged, allow_judged).mask(pa.array(queries), pa.array(passages))
        expected = [(q, d) in OWN or d in forbidden for q, d in zip(queries, passages, strict=True)]
        assert mask.tolist() == expected


PLANTED = {
    "relevant to its own query": ("t4", "d4"),
    "relevant to its own query in a judged split": ("t3", "d52"),
    "relevant to a dev query": ("t0", "d20"),
    "relevant to a test query": ("t0", "d35"),
    "relevant to a validation query": ("t0", "d10"),
}
HARMLESS = [("t0", "d9"), ("t0", "d50"), ("t0", "d51"), ("t0", "d53"), ("t0", "d59")]


@pytest.mark.parametrize("column", ["negative_id", "negative_id_2"])
@pytest.mark.parametrize("query, passage", PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_caught(folder, query, passage, column):
    rows = [*HARMLESS, (query, passage)]
    columns = {name: ["d59"] * len(rows) for name in ("negative_id", "negative_id_2")}
    columns[column] = [negative for _, negative in rows]
    planted = pa.table({"query_id": [query for query, _ in rows], **columns})
    assert leakage.violations(planted, guard(folder)).to_pylist() == [{"query_id": query, "negative_id": passage}]
    clean = planted.slice(0, len(HARMLESS))
    assert not len(leakage.violations(clean, guard(folder)))
    allowed = leakage.violations(planted, guard(folder, allow_judged=True))
    assert len(allowed) == ((query, passage) in OWN)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage on one block."""
    plant(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(sampling: str, **more):
        given = {"corpus": "in_domain", "size": 40, **SAMPLINGS[sampling], **more}
        blocks = plants.blocks()
        blocks["corpora"]["in_domain"] |= {"source": "irds:x", "docpairs": "train/triples"}
        blocks["triplets"]["given"] = given
        plants.write_params(tmp_path, seeds=[1, 2], triplets=blocks["triplets"], corpora=blocks["corpora"])
        options = [
            "--collection",
            "data/corpora/in_domain",
            "--pool",
            f"data/{given['from']}",
            "--out",
            "data/triplets/given",
        ]
        return CliRunner().invoke(triplets.main, ["given", *options])

    return run


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_stage_guards_all_judged_splits_of_the_block_s_corpus(stage, sampling):
    done = stage(sampling)
    assert done.exit_code == 0, done.output
    for seed in (1, 2):
        table = pq.read_table(f"data/triplets/given/seed-{seed}.parquet")
        assert len(table) == 40 and not set(table["negative_id"].to_pylist()) & MEASURED
        texts = zip(table["negative_id"].to_pylist(), table["negative"].to_pylist(), strict=True)
        assert all(text == f"text of {doc}" for doc, text in texts)
    assert set(pq.read_table("data/triplets/given/validation/queries.parquet")["query_id"].to_pylist()) <= {
        query for query, _, _ in JUDGMENTS["validation"]
    }
    assert stage(sampling, allow_judged=True).exit_code == 0
    tables = [pq.read_table(f"data/triplets/given/seed-{seed}.parquet") for seed in (1, 2)]
    leaked = {doc for table in tables for doc in table["negative_id"].to_pylist()} & MEASURED
    assert leaked


def test_a_draw_that_leaks_is_never_written(stage, monkeypatch):
    honest = draw.draw

    def leaking(*given) -> draw.Drawn:
        table, left_out = honest(*given)
        return draw.Drawn(table.set_column(2, "negative_id", pa.array(["d20"] * len(table))), left_out)

    monkeypatch.setattr(draw, "draw", leaking)
    done = stage("uniform")
    assert isinstance(done.exception, RuntimeError) and "forbidden negatives" in str(done.exception)
    assert not Path("data/triplets").exists() or not list(Path("data/triplets").iterdir())


COPIED = {f"{doc}-again": f"  Text  of\t{doc.upper()} " for doc in PASSAGES}


@pytest.fixture(scope="module")
def doubled(tmp_path_factory) -> Path:
    """The same collection with every passage a second time, in other case and spacing; the copies are judged nowhere.

    t7 is a passage too, and t8 has the text of one.
    """
    folder = tmp_path_factory.mktemp("doubled")
    collection = plant(folder)
    texts = {doc: f"text of {doc}" for doc in PASSAGES} | COPIED | {"t7": "own", "other": "Text of  T8"}
    pq.write_table(pa.table([list(texts), list(texts.values())], schema=canonical.DOCS), collection / "docs.parquet")
    train = [f"t{n}" for n in range(20)]
    released = [(f"t{n}", "d59", doc) for n in range(20) for doc in texts]
    pq.write_table(
        pa.table(list(zip(*released, strict=True)), schema=canonical.DOCPAIRS), collection / "docpairs.parquet"
    )
    order = np.array([np.roll(np.arange(len(texts)), n) for n in range(20)])
    pool = runs.table(train, pa.array(list(texts)), -np.arange(len(texts)) * np.ones((20, 1)), order)
    runs.write([pool], folder / "data/pools/base")
    return folder


@pytest.mark.parametrize("sampling", SAMPLINGS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_copy_of_what_is_forbidden_is_forbidden(doubled, sampling, seed):
    given = block(sampling, size=400, **({} if sampling in ("uniform", "docpairs") else {"ranks": [1, 122]}))
    guarded = leakage.forbidden(doubled / "data/corpora/in_domain", ["dev", "test"], False, drop_self=True)
    pairs = drawn(doubled, given, guarded, seed)
    originals = {(query, doc.removesuffix("-again")) for query, doc in pairs}
    assert pairs and not {doc for _, doc in originals} & MEASURED and not originals & OWN
    assert not pairs & {("t7", "t7"), ("t8", "other")}
    assert sampling != "docpairs" or not {"d59", "d59-again"} & {doc for _, doc in pairs}
    assert guarded.by_text == len(MEASURED | {doc for _, doc in OWN})


@pytest.mark.parametrize("drop_self", [False, True])
def test_a_query_that_is_a_passage_is_no_negative_of_its_own_where_it_would_be_dropped(doubled, drop_self):
    """Also where its text is another one; a passage with the query's text is never one."""
    guarded = leakage.forbidden(doubled / "data/corpora/in_domain", ["dev", "test"], False, drop_self)
    asked = pa.array(["t7", "t8", "t7", "t8"]), pa.array(["t7", "other", "other", "t7"])
    assert guarded.mask(*asked).tolist() == [drop_self, True, False, False]
