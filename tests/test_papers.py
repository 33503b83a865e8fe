"""studies/papers/*.yaml are drop-ins: copied over params.yaml in a clone they build their graph and run, with the
network cut where it enters and the sizes made small (studies/rehearsal.py): ir_datasets' own readers read small files
in the layout of MS MARCO, BEIR and DPR, and the hub has one tiny model.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from ruamel.yaml import YAML

from stages import params
from stages.core import fingerprint, yaml_file
from stages.ledger import claims
from stages.params import parse
from studies import rehearsal
from tests.conftest import ROOT, copy_of_project, run

PAPERS = ROOT / "studies/papers"

Repro = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, tiny_model) -> Path:
    """A copy of the project in which every stage is without the network."""
    folder = copy_of_project(tmp_path_factory.mktemp("paper"))
    edge = tmp_path_factory.mktemp("edge")
    for paper in PAPERS.glob("*.yaml"):
        rehearsal.collections(edge / "irds", yaml_file.load(paper)["corpora"])
        rehearsal.trained_rerankers(edge / "hub", yaml_file.load(paper), tiny_model)
    (folder / "stages/__init__.py").write_text(rehearsal.edge(edge / "irds", tiny_model, edge / "hub"))
    return folder


@pytest.fixture(scope="module")
def dvc(clone) -> Repro:
    """A DVC command in the clone."""
    return lambda words, check=True: run(f"dvc {words}", clone, check)


def small(paper: str) -> str:
    return rehearsal.cut((PAPERS / paper).read_text())


@pytest.mark.parametrize("paper", sorted(path.name for path in PAPERS.glob("*.yaml")))
def test_a_paper_builds_its_graph(paper, clone, dvc):
    shutil.copy(PAPERS / paper, clone / "params.yaml")
    blocks = YAML(typ="safe").load((PAPERS / paper).read_text())
    stages = set(dvc("stage list --name-only").stdout.split())
    assert {f"search@{variant}-{corpus}" for variant in blocks["retrievers"] for corpus in blocks["corpora"]} <= stages
    assert {f"rerank@{variant}" for variant in blocks["rerankers"]} <= stages


@pytest.mark.parametrize("paper", sorted(path.name for path in PAPERS.glob("*.yaml")))
def test_two_processes_can_share_the_trainings_of_a_paper(paper):
    rehearsed = parse(YAML(typ="safe").load(rehearsal.cut((PAPERS / paper).read_text(), processes=2)))
    assert rehearsed.scale.training.processes == 2


def test_the_first_paper_is_a_drop_in(clone, dvc):
    (clone / "params.yaml").write_text(small("2506.18535.yaml"))
    variants = ["base", "theirs-lora-hard", "full-random"]
    dvc("repro " + " ".join(f"search@{variant}-msmarco" for variant in variants))
    for variant in variants:
        assert len(list((clone / f"data/runs/{variant}/msmarco").glob("*/*.parquet"))) == 3
    assert (clone / "data/models/full-random/seed-42/modules.json").exists()
    assert '"sha256"' in dvc("repro -s checkpoint@cos-v5").stdout


def test_the_second_paper_is_a_drop_in(clone, dvc):
    """BM25's first passages reranked by a cross-encoder that was trained on the released triples for one epoch, and
    by one that others trained.
    """
    (clone / "params.yaml").write_text(small("2506.18297.yaml"))
    dvc("repro rerank@minilm-lion-1 rerank@msmarco-minilm")
    for split in ("dl19", "dl20", "dev"):
        assert (clone / f"data/runs/minilm-lion-1/msmarco/seed-12/{split}.parquet").exists()


def test_weights_with_another_hash_are_refused_in_one_line(clone, dvc, tiny_model):
    shutil.copy(PAPERS / "2506.18535.yaml", clone / "params.yaml")
    done = dvc("repro -s -f checkpoint@minilm", check=False)
    assert done.returncode and "Traceback" not in done.stderr
    sha256 = fingerprint.of_file(tiny_model / "model.safetensors")
    assert f"checkpoints.minilm.sha256: model.safetensors has sha256 {sha256}, params.yaml asks for 53aa" in done.stderr


def test_the_third_paper_has_beirs_sets_as_ir_datasets_has_them():
    """Every judged split is one that ir_datasets knows, as large there as the ledger says that it is in the paper."""
    import ir_datasets

    study = params.load(PAPERS / "2311.09765.yaml")
    scales = claims.read(ROOT / "stages/ledger/claims.yaml").scales["studies/papers/2311.09765.yaml"]
    judged = {name: corpus for name, corpus in study.corpora.items() if corpus.judged}
    sets = {corpus.group or name for name, corpus in judged.items()}
    assert sets == {
        "msmarco",
        "trec-covid",
        "nfcorpus",
        "nq",
        "hotpotqa",
        "fiqa",
        "arguana",
        "cqadupstack",
        "touche",
        "quora",
        "dbpedia",
        "scidocs",
        "fever",
        "climate-fever",
        "scifact",
    }
    assert sum(corpus.group == "cqadupstack" for corpus in judged.values()) == 12
    assert set(scales) == {name for name, corpus in study.corpora.items() if corpus.group != "cqadupstack"}
    assert study.corpora["touche"].source == "irds:beir/webis-touche2020/v2"
    alone = [name for name, corpus in judged.items() if any(rules.drop_self for rules in corpus.judged.values())]
    assert alone == ["arguana"]
    for name, corpus in study.corpora.items():
        place = corpus.source.removeprefix("irds:")
        whole = ir_datasets.load(place)
        parts = {split: split if rules.subset is None else rules.subset for split, rules in corpus.judged.items()}
        splits = {split: ir_datasets.load(f"{place}/{part}" if part else place) for split, part in parts.items()}
        assert all(rules.rel == 1 for rules in corpus.judged.values())
        assert all(part.has_queries() and part.has_qrels() for part in splits.values())
        if name in scales:
            counts = {split: part.metadata()["queries"]["count"] for split, part in splits.items()}
            assert (whole.metadata()["docs"]["count"], counts) == (scales[name].passages, scales[name].queries), name
        if corpus.train:
            assert ir_datasets.load(f"{place}/{corpus.train}").has_qrels()


def test_the_third_paper_is_a_drop_in(clone, dvc):
    """Two towers with LoRA and hard negatives, one tower, and a variant whose negatives another trained one mined."""
    blocks = YAML().load(small("2311.09765.yaml"))
    for name in [
        name for name, corpus in blocks["corpora"].items() if name not in ("nfcorpus", "fiqa") and "train" not in corpus
    ]:
        del blocks["corpora"][name]  # their arrows are in the graph above
    YAML().dump(blocks, clone / "params.yaml")
    dvc("repro search@asym-lora-hard-msmarco search@sym-full-nfcorpus train@nq-asym-lora-dpr")
    for path in ("asym-lora-hard/msmarco/seed-42/dev", "sym-full/nfcorpus/seed-42/test"):
        assert (clone / f"data/runs/{path}.parquet").exists()
    assert (clone / "data/models/nq-asym-lora-dpr/seed-42/modules.json").exists()
