"""studies/papers/*.yaml are drop-ins: copied over params.yaml in a clone they build their graph and run, with the
network cut where it enters (ir_datasets.load, the hub's listing and download) and the sizes made small.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from ruamel.yaml import YAML

from stages import params
from stages.core import fingerprint
from stages.ledger import claims
from tests.conftest import ROOT, copy_of_project, run

PAPERS = ROOT / "studies/papers"

NETWORK = """
import shutil, types
from pathlib import Path

TINY, HOME = Path({tiny!r}), Path({home!r})
WORDS = "red green blue small large old new wooden boat house horse clock river wall market king garden".split()


def row(**fields):
    return types.SimpleNamespace(**fields)


class Dataset:
    def __init__(self, name):
        self.name = name

    def __getattr__(self, part):
        if part.startswith("has_"):
            return lambda: True
        raise AttributeError(part)

    def docs_iter(self):
        for at in range(600):
            yield row(doc_id=str(at), text=" ".join(WORDS[(at * step) % 17] for step in range(1, 12)) + f" {{at}}.")

    def queries_iter(self):
        first = {{"train/judged": 0, "natural-questions/train": 0, "dev/judged": 1000, "dev/small": 1000,
                  "trec-dl-2019/judged": 2000, "nfcorpus/test": 3000}}
        at = next(start for end, start in first.items() if self.name.endswith(end))
        for query in range(at, at + (520 if at == 0 else 8)):
            yield row(query_id=str(query), text=f"what of {{WORDS[query % 17]}} and {{WORDS[query % 13]}} {{query}}")

    def qrels_iter(self):
        for query in self.queries_iter():
            yield row(query_id=query.query_id, doc_id=str(int(query.query_id) % 600), relevance=2)

    def docpairs_iter(self):
        for query in range(520):
            yield row(query_id=str(query), doc_id_a=str(query % 600), doc_id_b=str((query * 7 + 30) % 600))


def snapshot_download(repository, revision=None, allow_patterns=None, **kwargs):
    target = HOME / repository.replace("/", "--")
    if not target.exists():
        shutil.copytree(TINY, target)
    return str(target)


def list_repo_files(self, repository, revision=None):
    return [path.relative_to(TINY).as_posix() for path in TINY.rglob("*") if path.is_file()]


import huggingface_hub
import ir_datasets
huggingface_hub.snapshot_download = snapshot_download
huggingface_hub.HfApi.list_repo_files = list_repo_files
ir_datasets.load = Dataset
"""


Repro = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, tiny_model) -> Path:
    """A copy of the project in which every stage is without the network."""
    folder = copy_of_project(tmp_path_factory.mktemp("paper"))
    edge = tmp_path_factory.mktemp("edge")
    (folder / "stages/__init__.py").write_text(NETWORK.format(tiny=str(tiny_model), home=str(edge)))
    return folder


@pytest.fixture(scope="module")
def dvc(clone) -> Repro:
    """A DVC command in the clone."""
    return lambda words, check=True: run(f"dvc {words}", clone, check)


def small(paper: str) -> str:
    """A paper's params file with less of everything, a tiny model's weights, and a precision that needs no GPU."""
    text = re.sub(r"size: \d{5,}", "size: 128", (PAPERS / paper).read_text())
    text = re.sub(r"batch: \d+", "batch: 64", text).replace("validation: 500", "validation: 100")
    text = re.sub(r"^ *sha256: .*\n", "", text, flags=re.MULTILINE)
    return text.replace("epochs: 40", "epochs: 1").replace("precision: float16", "precision: float32")


@pytest.mark.parametrize("paper", sorted(path.name for path in PAPERS.glob("*.yaml")))
def test_a_paper_builds_its_graph(paper, clone, dvc):
    shutil.copy(PAPERS / paper, clone / "params.yaml")
    blocks = YAML(typ="safe").load((PAPERS / paper).read_text())
    stages = set(dvc("stage list --name-only").stdout.split())
    assert {f"search@{variant}-{corpus}" for variant in blocks["retrievers"] for corpus in blocks["corpora"]} <= stages
    assert {f"rerank@{variant}" for variant in blocks["rerankers"]} <= stages


def test_the_first_paper_is_a_drop_in(clone, dvc):
    (clone / "params.yaml").write_text(small("2506.18535.yaml"))
    variants = ["base", "theirs-lora-hard", "full-random"]
    dvc("repro " + " ".join(f"search@{variant}-msmarco" for variant in variants))
    for variant in variants:
        assert len(list((clone / f"data/runs/{variant}/msmarco").glob("*/*.parquet"))) == 3
    assert (clone / "data/models/full-random/seed-42/modules.json").exists()
    assert '"sha256"' in dvc("repro -s checkpoint@cos-v5").stdout


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
