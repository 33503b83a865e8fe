"""The rates that an optimizer had are those of its schedule; an early end changes none of them."""

import math
from pathlib import Path

import pytest

from stages.core.errors import UserError
from stages.models import cross_encoder
from stages.training import loop, losses
from stages.training.validation import Points
from tests.plants import seed_run

PAIRS = {
    "query": [f"query {at}" for at in range(24)],
    "passage": [f"passage {at // 2}" for at in range(24)],
    "label": [float(at % 2) for at in range(24)],
}


def planned(tiny_cross, optimizer="adamw", **recipe):
    tuning = {"kind": "full", "lr": 0.001, "optimizer": optimizer}
    known = {"loss": {"kind": "pointwise"}, "epochs": 2, "warmup": 0.25, "weight_decay": 0.01}
    return seed_run(tiny_cross, tuning, {**known, **recipe}, Path("none.parquet"), seed=5)


def trained(tiny_cross, work, optimizer="adamw", **recipe):
    """A trainer that has run, and the (rate of each group) at each step, read before the optimizer took it."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from transformers import TrainerCallback, set_seed

    rates = []

    class Reading(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
            rates.append({group["lr"] for group in optimizer.param_groups})

    run = planned(tiny_cross, optimizer, **recipe)
    set_seed(5)
    model = cross_encoder.load(tiny_cross, 5)
    trainer = CrossEncoderTrainer(
        model=model,
        train_dataset=Dataset.from_dict(PAIRS),
        loss=losses.build(model, run.recipe.loss),
        args=CrossEncoderTrainingArguments(**loop.arguments(run, work, True), save_steps=6),
        **loop.parts(run, work, Points("RR of 5", None, run.curve, run.recipe, work)),
    )
    trainer.add_callback(Reading())
    trainer.train()
    return trainer, rates


CURVES = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda done: 1.0,
}


@pytest.mark.parametrize(
    "optimizer, schedule",
    [("adamw", "linear"), ("adamw", "cosine"), ("lion", "linear"), ("lion", "cosine"), ("lion", "constant")],
)
def test_the_schedule_is_that_of_the_optimizer_that_trains(optimizer, schedule, tiny_cross, tmp_path):
    trainer, rates = trained(tiny_cross, tmp_path, optimizer, schedule=schedule)
    warm, total = 3, 12
    share = [step / warm if step < warm else CURVES[schedule]((step - warm) / (total - warm)) for step in range(total)]
    expected = [0.001 * each for each in share]
    assert [rate for each in rates for rate in each] == pytest.approx(expected, abs=1e-12)
    log = loop.by_step(trainer.state.log_history)
    assert [entry["lr"] for entry in log] == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert [entry["step"] for entry in log] == list(range(1, total + 1))


@pytest.mark.parametrize("optimizer", ["adamw", "lion"])
def test_biases_and_norms_do_not_decay(optimizer, tiny_cross, tmp_path):
    trainer, _ = trained(tiny_cross, tmp_path, optimizer, epochs=1)
    assert type(trainer.optimizer.optimizer).__name__.lower() == optimizer
    names = {id(weights): name for name, weights in trainer.model.named_parameters()}
    decayed, spared = ([names[id(weights)] for weights in group["params"]] for group in trainer.optimizer.param_groups)
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.01, 0.0]
    assert all("bias" in name or "LayerNorm" in name for name in spared) and spared
    assert not any("bias" in name or "LayerNorm" in name for name in decayed) and decayed
    assert len(decayed) + len(spared) == len(names)


def test_an_early_end_is_a_prefix_of_the_whole(tiny_cross, tmp_path):
    """Also in its learning rates; and no checkpoint is kept at its last step, from which one would go on."""
    whole, _ = trained(tiny_cross, tmp_path / "whole", epochs=3)
    short, _ = trained(tiny_cross, tmp_path / "short", epochs=3, stop=2)
    log = loop.by_step(short.state.log_history)
    assert len(log) == 12 and log == loop.by_step(whole.state.log_history)[:12]
    assert loop.last_checkpoint(tmp_path / "short").endswith("checkpoint-6")
    assert loop.last_checkpoint(tmp_path / "whole").endswith("checkpoint-18")


def test_the_newest_whole_checkpoint_is_taken(tmp_path):
    for step, text in ((2, "{}"), (10, "{}"), (12, '{"cut')):
        folder = tmp_path / "trainer" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(text)
    (tmp_path / "trainer/checkpoint-14").mkdir()
    newest = loop.last_checkpoint(tmp_path)
    assert newest == str(tmp_path / "trainer/checkpoint-10") and loop.step_of(newest) == 10
    assert loop.last_checkpoint(tmp_path / "other") is None


def test_the_log_has_one_entry_a_step():
    history = [
        {"step": 0, "RR@10": 0.5},
        {"step": 1, "loss": 0.7, "learning_rate": 0.1, "grad_norm": 2.0},
        {"step": 1, "RR@10": 0.6},
        {"step": 1, "train_runtime": 3.0},
    ]
    assert loop.by_step(history) == [{"step": 0, "RR@10": 0.5}, {"step": 1, "loss": 0.7, "lr": 0.1, "RR@10": 0.6}]


def test_bfloat16_trains_and_float16_needs_a_gpu(tiny_cross, tmp_path):
    trainer, _ = trained(tiny_cross, tmp_path, precision="bfloat16", epochs=1)
    assert all(math.isfinite(entry["loss"]) for entry in loop.by_step(trainer.state.log_history))
    model = cross_encoder.load(tiny_cross, 5)
    if model.device.type == "cpu":
        with pytest.raises(UserError, match="x: its recipe has precision float16, which needs a GPU"):
            loop.on_cpu(model, planned(tiny_cross, precision="float16"))
