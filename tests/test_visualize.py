"""The stages project and visualize on planted vectors: one sample for all variants, and always the same bytes."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from stages import project as projecting
from stages import visualize
from stages.analysis import projection
from stages.evaluation import results
from tests import plants
from tests.plants import IN_DOMAIN, OUT_OF_DOMAIN

POINTS = "--points=data/projection.parquet"
PAIRS, QUERIES = 24, plants.TEXTS["queries"]
VARIANTS = {
    "bm25": "pretrained",
    "theirs": "pretrained",
    "base": "pretrained",
    "turned": "seed-13",
    "collapsed": "seed-13",
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """The planted vectors with training logs and results; the published run was not measured out of domain."""
    plants.write_vectors(tmp_path)
    (tmp_path / "reports/training").mkdir(parents=True)
    log = [{"step": 0, "RR@10": 0.8}, {"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.05, "RR@10": 0.7}]
    trained = {"seed": 13, "steps": 2, "trainable": 1, "total": 2, "tensors": 2, "changed": 1, "log": log}
    entries = []
    for variant, seed_run in VARIANTS.items():
        stored = {"variant": variant, "seed_runs": [trained] if seed_run == "seed-13" else []}
        (tmp_path / f"reports/training/{variant}.json").write_text(json.dumps(stored))
        for target in (IN_DOMAIN, OUT_OF_DOMAIN)[: 1 if variant == "theirs" else 2]:
            compared = None if variant == "base" else plants.comparison(-0.1, verdict="worse")
            entries.append(plants.result(variant, compared, target, by_seed_run={seed_run: 0.4}))
    (tmp_path / "reports/results.json").write_text(results.as_json(entries))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def projected() -> Result:
    folders = ["--indexes=data/indexes", "--corpora=data/corpora"]
    return CliRunner().invoke(projecting.main, [*folders, POINTS, "--out=reports/projection.json"])


def drawn(out: str = "reports/figures") -> Result:
    read = ["--training=reports/training", "--results=reports/results.json", "--projection=reports/projection.json"]
    return CliRunner().invoke(visualize.main, [*read, POINTS, f"--out={out}"])


def run(out: str = "reports/figures") -> Result:
    """Both stages, the second where the first succeeds."""
    done = projected()
    return done if done.exit_code else drawn(out)


def test_one_sample_is_measured_for_all_variants_and_drawn_with_the_same_bytes_twice(project):
    done = run()
    assert done.exit_code == 0, done.output
    first = (project / "reports/projection.json").read_text()
    written = json.loads(first)
    assert written["sample"] == {"corpus": "in_domain", "split": "test", "seed": 3, "pairs": PAIRS}
    assert list(written["variants"]) == ["base", "turned", "collapsed"]
    assert run("again").exit_code == 0
    assert (project / "reports/projection.json").read_text() == first
    for name in ("degradation.png", "curves.png", "umap.png"):
        assert (project / "again" / name).read_bytes() == (project / "reports/figures" / name).read_bytes()


def test_the_figures_are_those_of_the_sampled_vectors(project):
    vectors = plants.write_vectors(project / "again")
    assert run().exit_code == 0
    corpus = project / "data/corpora/in_domain"
    tables = [pq.read_table(corpus / f"{name}.parquet") for name in ("topics/test", "docs", "qrels/test")]
    queries, passages = projection.pairs(tables[0]["query_id"], tables[1]["doc_id"], tables[2], 1, PAIRS, 3)
    base, turned = (vectors[name][np.concatenate([queries, QUERIES + passages])] for name in ("base", "turned"))
    measured = json.loads((project / "reports/projection.json").read_text())["variants"]
    assert measured["base"]["mean_cosine_to_base"] == 1
    # A quarter turn of a plane leaves x.Rx = what is outside the plane, and every angle between texts as it was.
    outside = (base[:, 2:] ** 2).sum(axis=1).mean()
    assert measured["turned"]["mean_cosine_to_base"] == pytest.approx(outside, abs=1e-4)
    for figure in ("silhouette_queries_passages_384d", "mean_cosine_to_positive"):
        assert measured["turned"][figure] == measured["base"][figure]
    from sklearn.metrics import silhouette_score

    silhouette = silhouette_score(turned, np.repeat([0, 1], PAIRS), metric="cosine")
    assert measured["turned"]["silhouette_queries_passages_384d"] == pytest.approx(silhouette, abs=1e-4)
    collapsed = measured["collapsed"]
    assert collapsed["silhouette_queries_passages_384d"] == 0 and collapsed["mean_cosine_to_positive"] == 1
    mean = base.sum(axis=1).mean() * plants.WIDTH**-0.5
    assert collapsed["mean_cosine_to_base"] == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize(
    "lost, message",
    [
        ("data/indexes/turned/in_domain", "data/indexes: no index of in_domain by turned; run dvc repro"),
        ("data/indexes/turned/in_domain/seed-13/topics/test.npy", "test.npy: there is no such file; run dvc repro"),
        ("reports/training/base.json", "base.json: there is no such training log; run dvc repro"),
    ],
)
def test_what_is_missing_is_named_in_one_line(project, lost, message):
    (project / lost).rename(project / "elsewhere")
    done = run()
    assert done.exit_code == 1 and done.output.splitlines()[-1].endswith(message)
    assert not (project / "reports/figures").exists()
    assert (project / "reports/projection.json").exists() == lost.startswith("reports/training")


def test_a_diverged_variant_is_named(project):
    path = project / "data/indexes/turned/in_domain/seed-13/docs.npy"
    np.save(path, np.full((plants.TEXTS["passages"], plants.WIDTH), np.nan, dtype=np.float32))
    done = run()
    assert done.exit_code == 1 and "turned/in_domain/seed-13/docs.npy: contains NaN or infinity" in done.output
