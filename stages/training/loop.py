"""What training a retriever and training a reranker share: arguments, an early end, resumption, the log."""
import json
from importlib import metadata
from pathlib import Path

from stages.core import fingerprint
from stages.training import optimizers
from stages.core.errors import UserError

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
LIBRARIES = ("torch", "transformers", "sentence-transformers", "peft", "accelerate", "datasets", "lion-pytorch")


def on_cpu(model, fit, where: str) -> bool:
    """Whether a model is trained on the CPU; raises UserError, naming the row `where`, for float16 there."""
    if model.device.type != "cpu":
        return False
    if fit.precision == "float16":
        raise UserError(f"{where}: its fit asks for precision float16, which needs a GPU; say bfloat16 or float32")
    return True


def arguments(tune, fit, seed: int, work: Path, use_cpu: bool) -> dict:
    """Keywords of the trainer's arguments that a tune, a fit and a seed decide.

    The trainer builds the schedule itself, on the optimizer that it trains with. It is that of all `fit.epochs`,
    also where `fit.stop` ends sooner.
    """
    return {"output_dir": str(work / "trainer"), "num_train_epochs": fit.epochs, "seed": seed, "data_seed": seed,
            "per_device_train_batch_size": fit.batch, "learning_rate": tune.lr, "weight_decay": fit.weight_decay,
            "max_grad_norm": fit.clip, "warmup_steps": fit.warmup, "lr_scheduler_type": SCHEDULES[fit.schedule],
            "use_cpu": use_cpu, "bf16": fit.precision == "bfloat16", "fp16": fit.precision == "float16",
            "save_strategy": "steps", "save_total_limit": 1, "logging_strategy": "steps", "logging_steps": 1,
            "report_to": "none", "dataloader_pin_memory": False}


def stopping(epochs: int | None):
    """A trainer callback that ends training after so many epochs; None lets it run to its end.

    It keeps the trainer from writing a checkpoint at the last step, from which a resumed run would go one step on.
    """
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if epochs and epochs < state.num_train_epochs and state.epoch >= epochs:
                control.should_training_stop, control.should_save = True, False

    return Stop()


def key(row: str, inputs: list[str], tune, fit, seed: int, code: list[str], *more) -> str:
    """What a half-trained copy belongs to: hashes of its inputs, its recipe, the code and the libraries that train.

    `code` are paths of modules; those of this module and of the optimizers are always among them.
    """
    files = [fingerprint.of_file(Path(path)) for path in (*code, __file__, optimizers.__file__)]
    versions = [metadata.version(name) for name in LIBRARIES]
    return fingerprint.of_values(row, inputs, tune.model_dump(), fit.model_dump(), seed, files, versions, *more)


def last_checkpoint(work: Path) -> str | None:
    """The newest whole checkpoint of a killed run: the trainer writes trainer_state.json last, and so whole or cut."""
    whole = [state.parent for state in (work / "trainer").glob("checkpoint-*/trainer_state.json") if _is_json(state)]
    return str(max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))) if whole else None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True


def by_step(history: list[dict]) -> list[dict]:
    """A trainer's history as one entry a step: {"step", "loss", "lr" (the rate of that step), what was watched}."""
    names = {"loss": "loss", "learning_rate": "lr", "RR@10": "RR@10", "RR of 5": "RR of 5"}
    steps: dict[int, dict] = {}
    for entry in history:
        kept = {name: entry[logged] for logged, name in names.items() if logged in entry}
        if kept:
            steps.setdefault(entry["step"], {"step": entry["step"]}).update(kept)
    return [steps[step] for step in sorted(steps)]
