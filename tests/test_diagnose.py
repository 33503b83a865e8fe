"""The stage diagnose on planted vectors and runs: figures worked out another way, and what it does not touch."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from stages import diagnose
from stages.analysis import diagnosis
from stages.analysis.diagnosis import Diagnosis
from stages.models import precision
from stages.retrieval import dense, runs
from tests import plants
from tests.conftest import STUDY

QUERIES, PASSAGES = plants.TEXTS["queries"], plants.TEXTS["passages"]
VECTORS = ("base", "turned", "collapsed")


def index(project: Path, variant: str) -> Path:
    return next((project / "data/indexes" / variant / "in_domain").iterdir())


def write_run(project: Path, variant: str, seed_run: str, scores: np.ndarray, rows: np.ndarray) -> None:
    path = project / "data/runs" / variant / "in_domain" / seed_run / "test.parquet"
    path.parent.mkdir(parents=True)
    docs = pa.array([f"d{at}" for at in range(PASSAGES)])
    runs.write([runs.table([f"q{at}" for at in range(QUERIES)], docs, scores, rows)], path)


@pytest.fixture
def project(tmp_path, tiny_model, monkeypatch) -> Path:
    """The planted vectors with the runs that exact search gives, one tiny model for all, and per-query values."""
    plants.write_vectors(tmp_path)
    for variant in VECTORS:
        own = index(tmp_path, variant)
        ranked = dense.top_k(np.load(own / "topics/test.npy"), np.load(own / "docs.npy"), 20, 1000)
        write_run(tmp_path, variant, own.name, *ranked)
        (tmp_path / "data/models" / variant).mkdir(parents=True)
        (tmp_path / "data/models" / variant / own.name).symlink_to(tiny_model)
    # BM25 has the answer on rank 2, tied with the first: in another order of equals it is first.
    rows = np.array([[(at + 1) % QUERIES, at, (at + 2) % QUERIES] for at in range(QUERIES)])
    write_run(tmp_path, "bm25", "pretrained", np.tile(np.float32([2, 2, 1]), (QUERIES, 1)), rows)
    table = plants.worsened(plants.per_query(VECTORS, QUERIES), "collapsed", 0.5, 10)
    plants.write_table(tmp_path / "reports/queries.parquet", table)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run() -> Result:
    folders = [f"--{name}=data/{name}" for name in ("indexes", "runs", "models", "corpora")]
    return CliRunner().invoke(diagnose.main, [*folders, "--queries=reports/queries.parquet", "--out=reports/d.json"])


def measured() -> Diagnosis:
    done = run()
    assert done.exit_code == 0, done.output
    return diagnosis.read(Path("reports/d.json"))


def test_each_variant_has_the_figures_of_its_own_vectors_and_runs(project, tiny_model):
    diagnosed = measured()
    assert list(diagnosed.geometry) == list(VECTORS) and list(diagnosed.numerical_checks) == ["bm25", *VECTORS]
    assert (diagnosed.sample.passages, diagnosed.sample.norms, diagnosed.sample.queries, diagnosed.sample.pairs) == (
        30,
        6,
        40,
        40,
    )
    base, turned, collapsed = (diagnosed.geometry[variant] for variant in VECTORS)
    assert base["neighbour_overlap_to_base"] == base["linear_cka_to_base"] == 1
    for figure in ("effective_rank", "uniformity", "neighbour_overlap_to_base", "linear_cka_to_base", "alignment"):
        assert turned[figure] == pytest.approx(base[figure], abs=2e-6)  # a turn moves all vectors alike
    assert collapsed["effective_rank"] == pytest.approx(1, abs=1e-3) and collapsed["linear_cka_to_base"] is None
    queries, answers = (np.load(index(project, "base") / path) for path in ("topics/test.npy", "docs.npy"))
    distances = ((queries - answers[:QUERIES]) ** 2).sum(axis=1)
    assert base["alignment"] == pytest.approx(distances.mean(), abs=1e-6)
    assert base["norm_mean"] == turned["norm_mean"] == pytest.approx(raw_length(tiny_model), abs=1e-4)


def raw_length(model: Path) -> float:
    """The mean length of the texts' vectors by the model's body, the sample drawn as numpy documents it."""
    from sentence_transformers import SentenceTransformer

    sample = np.random.default_rng(3).choice(PASSAGES, 30, replace=False)[:6]
    body = SentenceTransformer(modules=list(SentenceTransformer(str(model)))[:-1])
    return float(np.linalg.norm(body.encode([f"passage number {at}" for at in sample]), axis=1).mean())


def test_gaps_and_reciprocal_ranks_are_those_of_the_scores(project):
    diagnosed = measured()
    queries, answers = (np.load(index(project, "base") / path) for path in ("topics/test.npy", "docs.npy"))
    scores = (queries.astype(np.float64) @ answers.T.astype(np.float64)).astype(np.float32)
    own = scores[np.arange(QUERIES), np.arange(QUERIES)]
    np.fill_diagonal(scores, -np.inf)
    base = diagnosed.geometry["base"]
    assert base["mean_gap"] == pytest.approx((own - scores.max(axis=1)).mean(), abs=1e-6)
    assert base["share_above"] == (own > scores.max(axis=1)).mean()
    above, level = (scores > own[:, None]).sum(axis=1), scores == own[:, None]
    earlier = np.tril(level, -1).sum(axis=1)  # equal scores, and a lower passage number, which the run ranks first
    checks = diagnosed.numerical_checks["base"]
    for figure, ahead in (
        ("RR@10", above + earlier),
        ("best_RR@10", above),
        ("worst_RR@10", above + level.sum(axis=1)),
    ):
        assert checks[figure] == pytest.approx(np.where(ahead < 10, 1 / (1 + ahead), 0).mean(), abs=1e-6)
    assert checks["worst_RR@10"] < checks["RR@10"] < checks["best_RR@10"]
    bm25 = diagnosed.numerical_checks["bm25"]
    assert bm25 == {"RR@10": 0.5, "worst_RR@10": 0.5, "best_RR@10": 1, "tied_at_10": 0}
    # All scores of the collapsed space are equal: any passage may be first, and rank 10 is tied with rank 11.
    collapsed = diagnosed.numerical_checks["collapsed"]
    assert collapsed["tied_at_10"] == QUERIES and collapsed["worst_RR@10"] < collapsed["best_RR@10"]
    assert collapsed["fp16_reordered"] == 0


def test_figures_are_correlated_with_the_change_of_trained_variants_only(project):
    counts = {figure: entry.n for figure, entry in measured().correlations.items()}
    assert counts.pop("linear_cka_to_base") == 1 and set(counts.values()) == {2}  # the collapsed space has no CKA


def test_seed_runs_are_averaged(project, tiny_model):
    one = measured().geometry["turned"]
    second = project / "data/indexes/turned/in_domain/seed-14"
    second.mkdir()
    for path in ("docs.npy", "topics"):
        (second / path).symlink_to(index(project, "collapsed") / path)
    (project / "data/models/turned/seed-14").symlink_to(tiny_model)
    ranked = dense.top_k(np.load(second / "topics/test.npy"), np.load(second / "docs.npy"), 20, 1000)
    write_run(project, "turned", "seed-14", *ranked)
    both = measured().geometry
    for figure in ("effective_rank", "uniformity", "alignment"):
        assert both["turned"][figure] == pytest.approx((one[figure] + both["collapsed"][figure]) / 2, abs=2e-6)
    assert both["turned"]["linear_cka_to_base"] is None  # one of its seed runs has none


def test_what_params_yaml_does_not_name_is_neither_read_nor_deleted(project):
    np.save(project / "data/indexes/stray/in_domain/seed-13/docs.npy", np.zeros(1))
    for folder in ("data/models/stray", "data/indexes/base/elsewhere", "data/corpora/elsewhere"):
        (project / folder).mkdir(parents=True)
    before = sorted(project.joinpath("data").rglob("*"))
    assert "stray" not in {*measured().geometry, *measured().numerical_checks}
    assert sorted(project.joinpath("data").rglob("*")) == before


@pytest.mark.parametrize(
    "lost, message",
    [
        ("data/indexes/turned/in_domain", "data/indexes: no index of in_domain by turned; run dvc repro"),
        ("data/runs/turned/in_domain/seed-13/test.parquet", "test.parquet: there is no such file; run dvc repro"),
        (
            "data/indexes/turned/in_domain/seed-13/topics/test.npy",
            "topics/test.npy: there is no such file; run dvc repro",
        ),
    ],
)
def test_what_is_missing_is_named_in_one_line(project, lost, message):
    (project / lost).rename(project / "elsewhere")
    done = run()
    assert done.exit_code == 1 and done.output.splitlines()[-1].endswith(message)
    assert not (project / "reports/d.json").exists()


def test_vectors_that_do_not_fit_or_are_not_numbers_are_named(project):
    path = project / "data/indexes/turned/in_domain/seed-13/docs.npy"
    np.save(path, np.ones((PASSAGES - 1, plants.WIDTH), dtype=np.float32))
    assert "docs.npy: 59 vectors for 60 texts; encode the corpus again" in run().output
    np.save(path, np.full((PASSAGES, plants.WIDTH), np.nan, dtype=np.float32))
    assert "docs.npy: contains NaN or infinity; the training of this variant diverged" in run().output


def test_equal_inputs_give_equal_bytes(project):
    measured()
    first = Path("reports/d.json").read_bytes()
    measured()
    assert Path("reports/d.json").read_bytes() == first
    assert diagnosis.as_json(diagnosis.read(Path("reports/d.json"))).encode() == first and json.loads(first)


def test_what_was_computed_in_is_read_where_there_is_anything(tmp_path):
    half = tmp_path / "indexes" / "full-hard" / "in_domain" / "seed-13"
    half.mkdir(parents=True)
    precision.record("bfloat16", half)
    (tmp_path / "indexes" / "bm25" / "in_domain" / "pretrained").mkdir(parents=True)
    assert diagnose._computed(STUDY, tmp_path / "indexes", tmp_path / "runs") == {"full-hard": "bfloat16"}
