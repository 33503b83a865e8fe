"""Watching: the best look is what comes back, the start where nothing was better, and a killed run finds the same."""
import shutil

import numpy as np
import pytest

from stages.models import encoding
from stages.training import losses
from stages.training import optimizers
from stages.training import loop
from stages.training import tuning
from stages.training import validation
from stages.core.errors import UserError
from stages.params.losses import InBatchLoss
from stages.params.report import ValidationCurve
from stages.params.tuning import FullTuning, LoraTuning
from stages.params.variants import Recipe

TEXTS = [f"{kind} {noun}" for kind in ("red", "old", "small", "new") for noun in ("boat", "house", "clock", "river")]
WRONG = {"anchor": TEXTS, "positive": TEXTS[5:] + TEXTS[:5]}
LOSS = InBatchLoss(kind="in-batch", scale=20.0, hard=False)
SAMPLE = {"queries": TEXTS, "passages": [f"{text} seen here" for text in TEXTS],
          "relevant": np.eye(len(TEXTS), dtype=bool)}
CURVE = ValidationCurve(queries=1, passages=1, every=2, early=[])
FULL = FullTuning(kind="full", lr=0.01)
LORA = LoraTuning(kind="lora", lr=0.1, rank=2, alpha=4, modules=["query", "value"])
STEPS = 12


class Killed(Exception):
    pass


def fitting(**more) -> Fit:
    return Recipe(**{"loss": LOSS.model_dump(), "batch": 4, "epochs": 3, "warmup": 0, "weight_decay": 0, "clip": 1.0,
                  "select": "best"} | more)


def trained(start, work, fit, tune=FULL, kill_at=None, curve=CURVE):
    """A trainer that has run, its model with what `finish` put back, and the step that this was."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from transformers import TrainerCallback, set_seed

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == kill_at:
                raise Killed

    set_seed(3)
    model = encoding.load_encoder(start)
    tuning.prepare(model, tune)
    watch = validation.callback(SAMPLE, curve, fit, work)
    trainer = SentenceTransformerTrainer(
        model=model, train_dataset=Dataset.from_dict(WRONG), loss=losses.build(model, LOSS),
        callbacks=[watch, loop.stopping(fit.stop), Kill()],
        args=SentenceTransformerTrainingArguments(**loop.arguments(tune, fit, 3, work, True), save_steps=4),
        optimizer_cls_and_kwargs=optimizers.chosen(tune, 0))
    trainer.train(resume_from_checkpoint=loop.last_checkpoint(work))
    return trainer, model, watch.finish(trainer.state, model)


def planted(monkeypatch, figures: list[float]) -> None:
    """Let the n-th look find figures[n]; a look at weights that were looked at before finds the same again."""
    seen: dict[int, int] = {}

    def figure(model, sample, precision):
        weights = hash(b"".join(part.detach().numpy().tobytes() for part in model.parameters()))
        return figures[seen.setdefault(weights, len(seen))]
    monkeypatch.setattr(validation, "reciprocal_rank", figure)


def weights(model) -> dict:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one, two) -> bool:
    import torch
    return all(torch.equal(one[name], two[name]) for name in one | two)


def files(work) -> list[str]:
    return sorted(path.stem for path in work.glob("*best*"))


@pytest.mark.parametrize("tuning", [FULL, LORA])
def test_where_every_look_is_worse_the_start_comes_back(tune, tiny_model, tmp_path):
    """Learning wrong pairs spoils the ranking; only weights that are trained are written."""
    from safetensors.torch import load_file
    trainer, model, step = trained(tiny_model, tmp_path, fitting(), tune)
    found = validation.looks(trainer.state.log_history)
    assert list(found) == [0, 2, 4, 6, 8, 10, 12] and found[12] < 0.95 * found[0]
    assert step == 0 and files(tmp_path) == ["best-0"]
    assert validation.reciprocal_rank(model, SAMPLE) == pytest.approx(found[0], abs=1e-6)
    start = encoding.load_encoder(tiny_model)
    written = load_file(str(tmp_path / "best-0.safetensors"))
    if tune is FULL:
        assert same(weights(model), weights(start)) and len(written) == len(weights(start))
    else:
        assert all("lora_" in name for name in written) and len(written) == 8


def test_the_last_weights_stay_where_the_best_are_not_asked_for(tiny_model, tmp_path):
    trainer, model, step = trained(tiny_model, tmp_path, fitting(select="last", stop=2), curve=CURVE.model_copy(
        update={"every": 5}))
    assert step is None and files(tmp_path) == []
    assert list(validation.looks(trainer.state.log_history)) == [0, 5, 8]
    assert not same(weights(model), weights(encoding.load_encoder(tiny_model)))


@pytest.mark.parametrize("figures, chosen", [
    ([0.1, 0.3, 0.5, 0.5, 0.2, 0.4, 0.1], 4), ([0.1, 0.5, 0.2, 0.6, 0.2, 0.4, 0.1], 6),
    ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 12)])
def test_a_killed_run_finds_the_best_that_it_would_have_found(figures, chosen, tiny_model, tmp_path, monkeypatch):
    """Killed just after the look at step 6; the newest checkpoint is of step 4 and names a best of step 2 or 4."""
    planted(monkeypatch, figures)
    whole, model, step = trained(tiny_model, tmp_path / "whole", fitting())
    assert step == chosen and files(tmp_path / "whole") == [f"best-{chosen}"]
    with pytest.raises(Killed):
        trained(tiny_model, tmp_path / "part", fitting(), kill_at=6)
    assert f"best-{2 * int(np.argmax(figures[:3]))}" in files(tmp_path / "part")
    resumed, again, step = trained(tiny_model, tmp_path / "part", fitting())
    assert step == chosen and same(weights(again), weights(model))
    assert validation.looks(resumed.state.log_history) == validation.looks(whole.state.log_history)


def test_what_comes_back_are_the_weights_of_that_look(tiny_model, tmp_path, monkeypatch):
    """Those of the trainer's own checkpoint at the same step."""
    planted(monkeypatch, [0.1, 0.2, 0.5, 0.4, 0.3, 0.2, 0.1])
    with pytest.raises(Killed):
        trained(tiny_model, tmp_path, fitting(), kill_at=5)
    shutil.copytree(tmp_path / "trainer" / "checkpoint-4", tmp_path / "kept")
    _, model, step = trained(tiny_model, tmp_path, fitting())
    assert step == 4 and same(weights(model), weights(encoding.load_encoder(tmp_path / "kept")))


def test_an_early_end_is_looked_at_and_may_be_the_best(tiny_model, tmp_path, monkeypatch):
    planted(monkeypatch, [0.1, 0.2, 0.9])
    trainer, _, step = trained(tiny_model, tmp_path, fitting(stop=1), curve=CURVE.model_copy(update={"every": 3}))
    assert list(validation.looks(trainer.state.log_history)) == [0, 3, 4] and step == 4


def test_patience_ends_training_without_a_checkpoint_there(tiny_model, tmp_path, monkeypatch):
    figures = [0.1, 0.5, 0.4, 0.5, 0.3, 0.9, 0.9]
    planted(monkeypatch, figures)
    whole, model, step = trained(tiny_model, tmp_path / "whole", fitting(patience=3))
    assert whole.state.global_step == 8 and step == 2
    assert loop.last_checkpoint(tmp_path / "whole").endswith("checkpoint-4")
    with pytest.raises(Killed):
        trained(tiny_model, tmp_path / "part", fitting(patience=3), kill_at=7)
    resumed, again, step = trained(tiny_model, tmp_path / "part", fitting(patience=3))
    assert resumed.state.global_step == 8 and step == 2 and same(weights(again), weights(model))


def test_the_best_needs_something_to_look_at(tmp_path):
    assert validation.callback(None, CURVE, fitting(select="last"), tmp_path)
    with pytest.raises(UserError, match="select: best chooses by validation queries and there are none"):
        validation.callback(None, CURVE, fitting(), tmp_path)
