"""The seed runs of a variant: one model for each seed, each trained in a workspace that survives a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import fingerprint, scratch
from stages.core.files import link, publish
from stages.models import model_folder, precision
from stages.training.tuning import unmerged

if TYPE_CHECKING:
    from stages.params import Study
    from stages.params.report import ValidationCurve
    from stages.params.tuning import FineTuning
    from stages.params.variants import Recipe, Retriever

LIBRARIES = ("torch", "transformers", "sentence-transformers", "peft", "accelerate", "datasets", "lion-pytorch")


@dataclass(frozen=True)
class SeedRun:
    """All that a trained model depends on, besides the code.

    checkpoint is the folder of the base checkpoint, triplets the parquet file of the seed; validation/ may be next to
    it. So many processes share each batch.
    """

    variant: str
    seed: int
    checkpoint: Path
    triplets: Path
    tuning: FineTuning
    recipe: Recipe
    curve: ValidationCurve
    processes: int = 1

    @property
    def validation(self) -> Path:
        """The folder of the validation sample, which is missing where the corpus has no validation queries."""
        return self.triplets.parent / "validation"

    def key(self, code: str) -> str:
        """What unfinished work belongs to: the inputs, the settings, the code and the libraries, as one hash."""
        inputs = [fingerprint.of_folder(self.checkpoint), fingerprint.of_file(self.triplets)]
        settings = [block.model_dump() for block in (self.tuning, self.recipe, self.curve)]
        versions = [metadata.version(name) for name in LIBRARIES]
        validation = fingerprint.of_folder(self.validation)
        settings += [{"processes": self.processes}] if self.processes > 1 else []
        return fingerprint.of_values(self.variant, self.seed, *inputs, validation, *settings, code, versions)

    def record(self) -> dict[str, Any]:
        """What recipe.json in the model's folder holds; equal runs have equal records."""
        return {
            "variant": self.variant,
            "seed": self.seed,
            "base": model_folder.describe(self.checkpoint).as_dict(),
            "tuning": self.tuning.model_dump(mode="json", exclude_none=True),
            "recipe": self.recipe.model_dump(mode="json", exclude_none=True),
            "triplets_sha256": fingerprint.of_file(self.triplets),
            **({"processes": self.processes} if self.processes > 1 else {}),
        }


def of_variant(study: Study, variant: str, block: Retriever, checkpoint: Path, triplets: Path) -> list[SeedRun]:
    """A variant's seed runs, from the folders of its base checkpoint and triplets; none without fine-tuning.

    Their recipe names the precision that is computed in, also where params.yaml says "auto".
    """
    tuning, recipe = study.tunings[block.tuning], study.recipes[block.recipe]
    if recipe is None or tuning.kind == "none":
        return []
    recipe = recipe.model_copy(update={"precision": precision.chosen(recipe.precision)})
    settings = tuning, recipe, study.validation_curve, study.scale.training.processes
    return [SeedRun(variant, seed, checkpoint, triplets / f"seed-{seed}.parquet", *settings) for seed in study.seeds]


def copy_checkpoint(variant: str, checkpoint: Path, out: Path, log: Path) -> None:
    """Write a variant without fine-tuning: its base checkpoint to out/pretrained, and a log of no seed runs."""
    with publish(out) as draft:
        shutil.copytree(checkpoint, draft / "pretrained")
        _write_log(variant, [], log)


def train(
    runs: list[SeedRun], stage: str, code: str, out: Path, log: Path, one: Callable[[SeedRun, Path], None]
) -> None:
    """Train a model for each seed run and publish them as out/seed-<n>, with a log of what each one reports.

    `one(run, work)` leaves work/model and, last, work/finished.json. A workspace that an earlier, killed run of the
    same inputs, settings and `code` (a fingerprint) finished is taken as it is.
    """
    with ExitStack() as stack, publish(out) as draft:
        works = [stack.enter_context(scratch.workspace(stage, run.key(code))) for run in runs]
        for run, work in zip(runs, works, strict=True):
            if not (work / "finished.json").exists():
                one(run, work)
        for run, work in zip(runs, works, strict=True):
            link(work / "model", draft / f"seed-{run.seed}")
        _write_log(runs[0].variant, [json.loads((work / "finished.json").read_text()) for work in works], log)


def write_model(model: Any, run: SeedRun, folder: Path) -> None:
    """Write a model as the library loads it, with code of its own, its architecture.json and recipe.json."""
    record = run.record()
    if unmerged.remain(model):
        unmerged.write(model, run.checkpoint, folder)
        record["adapter"] = "unmerged"
    else:
        model.save_pretrained(str(folder), create_model_card=False)
    if model_folder.describe(run.checkpoint).remote_code:
        for path in run.checkpoint.glob("*.py"):
            shutil.copy(path, folder)
    shutil.copy(run.checkpoint / "architecture.json", folder / "architecture.json")
    (folder / "recipe.json").write_text(json.dumps(record, indent=2) + "\n")


def _write_log(variant: str, finished: list[dict[str, Any]], log: Path) -> None:
    with publish(log) as draft:
        draft.write_text(json.dumps({"variant": variant, "seed_runs": finished}, indent=1) + "\n")
