"""A variant's model as a folder of its own, proven to score as the run that it comes from before it is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.collections.canonical import Caps
from stages.core.errors import UserError
from stages.core.files import publish
from stages.models import architectures, encoding, model_folder, module_paths, plain_scores
from stages.models.caps import cut
from stages.params import Study
from stages.params.models import RERANKING
from stages.params.variants import ReciprocalRanks, WeightedSum
from stages.reporting import run_sample
from stages.reporting.model_usage import LOADERS
from stages.reporting.run_sample import DATA, Sample

READING = "sentence_bert_config.json"
SAME = 1e-4  # of the largest score: the same weights in float32, other batches
BACKENDS = {"onnx": ("optimum.onnxruntime", 1e-3), "openvino": ("optimum.intel.openvino", 1e-2)}
WITHIN = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}  # of the largest score, by what the run was computed in
BATCH_TOKENS = 4096


def write(
    study: Study,
    variant: str,
    seed_run: str,
    out: Path,
    card: Callable[[str], str],
    backends: Sequence[str] = (),
    python: str = sys.executable,
) -> list[str]:
    """Write the model of a seed run to the folder `out`, whole and checked or not at all; returns a line a check.

    card(seed_run) is the text of its README.md; `python` is the interpreter that exports to `backends`. Raises
    UserError where the model, its run or the collection is not here, and where what is written does not score as they
    do.
    """
    model = DATA / "models" / variant / seed_run
    for backend in backends:
        check_backend(backend, python)
    wanted = run_sample.of_variant(study, variant, seed_run)
    text = card(seed_run)
    with publish(out) as draft:
        copy(model, draft, wanted.caps)
        (draft / "README.md").write_text(text)
        own = _own_scores(model, wanted)
        lines = [check(model, draft, wanted, own)]
        for backend in backends:
            _export(model, draft, wanted, backend, python)
            lines.append(check(model, draft, wanted, own, backend, python))
    return lines


def seed_runs(study: Study, variant: str) -> list[str]:
    """The names of a variant's models. Raises UserError for one that has none, and where they are not here."""
    block = study.variants[variant]
    if isinstance(block, ReciprocalRanks | WeightedSum):
        raise UserError(f"{variant}: has no model of its own; export those of {' and '.join(block.of)}")
    architecture = study.checkpoints[block.checkpoint].architecture
    if architecture not in LOADERS:
        raise UserError(f"{variant}: is {architecture} and has no model; its runs are exported by: export run")
    folder = DATA / "models" / variant
    if not folder.is_dir():
        raise UserError(f"{folder}: is not here; run dvc pull {folder} or dvc repro")
    return [path.name for path in model_folder.seed_runs(folder)]


def copy(model: Path, folder: Path, caps: Caps) -> None:
    """Copy a seed run's model, cut where the collection is cut that it was measured on."""
    shutil.copytree(model, folder)
    for place in {".": "", **module_paths.read(folder)}:
        path = folder / place / READING
        if path.is_file() and any(caps):
            said = json.loads(path.read_text())
            if caps.tokens:
                said |= {"max_seq_length": caps.tokens, "query_length": None, "document_length": None}
            said |= {"query_length": caps.query_tokens} if caps.query_tokens else {}
            said |= {"document_length": caps.passage_tokens} if caps.passage_tokens else {}
            path.write_text(json.dumps(said, indent=4) + "\n")


def check(
    model: Path,
    folder: Path,
    wanted: Sample,
    own: Sequence[np.ndarray],
    backend: str = "torch",
    python: str = sys.executable,
) -> str:
    """How near a folder's scores in a new process are to those of the model here and of the run, in words.

    own: the scores of the model here. Raises UserError where they are further away than other batches, the backend, or
    the run's precision explain.
    """
    made = _plain_scores(model, folder, wanted, backend, python)
    largest = max(1.0, max(float(np.abs(scores).max()) for scores in own))
    allowed = SAME if backend == "torch" else BACKENDS[backend][1]
    limits = {"the model here": allowed, "the run": WITHIN[wanted.computed_in] + allowed}
    gaps = dict(zip(limits, (_gap(made, own) / largest, _gap(made, wanted.scores) / largest), strict=True))
    for name, gap in gaps.items():
        if not gap <= limits[name]:
            raise UserError(
                f"{backend}: in a new process the exported model scores {gap:.1e} of the largest score away from "
                f"{name}, and {limits[name]:.1e} is allowed; it is not written"
            )
    same = sum(_order(one) == _order(other) for one, other in zip(made, wanted.scores, strict=True))
    return (
        f"{backend}, loaded by a new process: {len(made)} queries of {wanted.where} with {max(map(len, made))} "
        f"passages each; of the largest score, the scores are within {gaps['the model here']:.1e} of those of the "
        f"model here (allowed {allowed:.0e}) and {gaps['the run']:.1e} of the run's ({wanted.computed_in}); the order "
        f"is the run's for {same} of {len(made)} queries"
    )


def _gap(one: Sequence[Any], other: Sequence[Any]) -> float:
    """The largest difference between the scores of two lists a query."""
    return max(float(np.abs(np.subtract(mine, theirs)).max()) for mine, theirs in zip(one, other, strict=True))


def _order(scores: Sequence[float]) -> list[int]:
    return [int(at) for at in np.argsort(-np.asarray(scores), kind="stable")]


def _own_scores(model: Path, wanted: Sample) -> list[np.ndarray]:
    """The scores of a sample by the study's own code, in float32."""
    architecture = model_folder.describe(model).architecture
    pairs = [(query, text) for query, texts in zip(wanted.queries, wanted.texts, strict=True) for text in texts]
    queries, passages = map(list, zip(*pairs, strict=True))
    loaded: Any
    if architecture in RERANKING:
        module = architectures.load_module(architecture)
        loaded = module.load(model)
        module.cut(loaded, *wanted.caps)
        flat = module.score(loaded, queries, passages, BATCH_TOKENS)
    else:
        loaded = encoding.load_encoder(model)
        cut(loaded, *wanted.caps)
        sides = (
            encoding.encode(loaded, queries, BATCH_TOKENS, role="query"),
            encoding.encode(loaded, passages, BATCH_TOKENS),
        )
        flat = np.einsum("ij,ij->i", *sides)
    return np.split(flat, np.cumsum([len(texts) for texts in wanted.texts])[:-1])


def _plain_scores(model: Path, folder: Path, wanted: Sample, backend: str, python: str) -> list[list[float]]:
    """The scores of a sample by a new process that loads the folder and knows nothing of this study."""
    with tempfile.TemporaryDirectory() as aside:
        _loaded_anew(model, folder, backend, Path(aside), wanted, python)
        made: list[list[float]] = json.loads((Path(aside) / "scores.json").read_text())
        return made


def _export(model: Path, folder: Path, wanted: Sample, backend: str, python: str) -> None:
    """Let the library export a folder to a backend, and put what it made beside the weights."""
    with tempfile.TemporaryDirectory() as aside:
        _loaded_anew(model, folder, backend, Path(aside), wanted, python, f"{aside}/written")
        made = [path for path in Path(aside, "written").rglob(backend) if path.is_dir()]
        if not made:
            raise UserError(f"--{backend}: the library exported nothing for this model")
        for path in made:
            shutil.copytree(path, folder / path.relative_to(Path(aside, "written")))


def _loaded_anew(
    model: Path, folder: Path, backend: str, aside: Path, wanted: Sample, python: str, write: str | None = None
) -> None:
    """Run plain_scores.py on a folder in a new process elsewhere, without the hub. Raises UserError where it fails."""
    description = model_folder.describe(model)
    asked = {
        "folder": str(folder.absolute()),
        "loader": LOADERS[description.architecture],
        "backend": backend,
        "remote_code": description.remote_code,
        "write": write,
        "queries": wanted.queries,
        "passages": wanted.texts,
        "out": str(aside / "scores.json"),
    }
    program = [python, str(Path(plain_scores.__file__).absolute())]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(program, input=json.dumps(asked), cwd=aside, env=offline, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no words").splitlines()[-1][:300]
        raise UserError(f"{backend}: a new process does not load the exported model ({last})")


def check_backend(backend: str, python: str) -> None:
    """Raises UserError where an interpreter does not import what the library exports with to another backend."""
    module = BACKENDS[backend][0]
    done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True, cwd=tempfile.gettempdir())
    if done.returncode:
        reason = (done.stderr.strip() or "no words").splitlines()[-1][:200]
        raise UserError(
            f"--{backend}: sentence-transformers exports with {module}, which {python} does not import ({reason}); see "
            f"requirements-onnx.txt, and name the Python of an environment that has it by --python"
        )
