"""Validation while training: the best point is what is restored, also of a run that was killed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.models import encoding
from stages.params.report import ValidationCurve
from stages.training import loop, losses, tuning, validation
from stages.training.validation import Points, Sample
from tests.plants import seed_run

TEXTS = [f"{kind} {noun}" for kind in ("red", "old", "small", "new") for noun in ("boat", "house", "clock", "river")]
WRONG = {"anchor": TEXTS, "positive": TEXTS[5:] + TEXTS[:5]}
SAMPLE = Sample(TEXTS, [f"{text} seen here" for text in TEXTS], np.eye(len(TEXTS), dtype=bool))
FULL = {"kind": "full", "lr": 0.01}
LORA = {"kind": "lora", "lr": 0.1, "rank": 2, "lora_alpha": 4, "modules": ["query", "value"]}


class Killed(Exception):
    pass


def ranked(model) -> float:
    return validation.reciprocal_rank(model, SAMPLE)


def planned(base, block=FULL, every=2, **recipe):
    known = {"loss": {"kind": "in-batch", "scale": 20.0, "hard_negatives": False}, "select": "best"}
    curve = ValidationCurve(queries=1, passages=1, every=every, early=[])
    return seed_run(base, block, {**known, **recipe}, Path("none.parquet"), curve=curve)


def trained(run, work, measure=ranked, kill_at=None):
    """A trainer of twelve steps that has run, its model with what `finish` restored, and the step that this was."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from transformers import TrainerCallback, set_seed

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == kill_at:
                raise Killed

    set_seed(3)
    model = encoding.load_encoder(run.checkpoint)
    tuning.prepare(model, run.tuning)
    points = Points("RR@10", measure, run.curve, run.recipe, work)
    trainer = SentenceTransformerTrainer(
        model=model,
        train_dataset=Dataset.from_dict(WRONG),
        loss=losses.build(model, run.recipe.loss),
        args=SentenceTransformerTrainingArguments(**loop.arguments(run, work, True), save_steps=4),
        **loop.parts(run, work, points),
    )
    trainer.add_callback(Kill())
    trainer.train(resume_from_checkpoint=loop.last_checkpoint(work))
    return trainer, model, points.finish(trainer.state, model)


def planted(figures: list[float]):
    """A measure whose n-th figure is figures[n]; weights that were measured before get the same figure again."""
    seen: dict[int, int] = {}

    def measure(model):
        weights = hash(b"".join(part.detach().numpy().tobytes() for part in model.parameters()))
        return figures[seen.setdefault(weights, len(seen))]

    return measure


def curve(trainer) -> dict[int, float]:
    return {entry["step"]: entry["RR@10"] for entry in trainer.state.log_history if "RR@10" in entry}


def weights(model) -> dict:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one, two) -> bool:
    import torch

    return all(torch.equal(one[name], two[name]) for name in one | two)


def files(work) -> list[str]:
    return sorted(path.stem for path in work.glob("*best*"))


def test_the_reciprocal_rank_by_hand():
    scores = np.array([[3.0, 2, 1], [1, 1, 2], [9, 8, 7], [1, 2, 3]])
    relevant = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    assert validation.mean_reciprocal_rank(scores, relevant) == (1 + 1 / 3 + 1 / 3 + 0) / 4
    assert validation.mean_reciprocal_rank(scores, relevant, depth=2) == 1 / 4


@pytest.mark.parametrize("block", [FULL, LORA], ids=["full", "lora"])
def test_where_every_point_is_worse_the_base_checkpoint_is_restored(block, tiny_model, tmp_path):
    """Training on wrong pairs spoils the ranking; only weights that are trained are written."""
    from safetensors.torch import load_file

    trainer, model, step = trained(planned(tiny_model, block), tmp_path)
    points = curve(trainer)
    assert list(points) == [0, 2, 4, 6, 8, 10, 12] and points[12] < 0.95 * points[0]
    assert step == 0 and files(tmp_path) == ["best-0"]
    assert ranked(model) == pytest.approx(points[0], abs=1e-6)
    base = encoding.load_encoder(tiny_model)
    written = load_file(str(tmp_path / "best-0.safetensors"))
    if block is FULL:
        assert same(weights(model), weights(base)) and len(written) == len(weights(base))
    else:
        assert all("lora_" in name for name in written) and len(written) == 8


def test_the_last_weights_stay_where_the_best_are_not_asked_for(tiny_model, tmp_path):
    trainer, model, step = trained(planned(tiny_model, every=5, select="last", stop=2), tmp_path)
    assert step is None and files(tmp_path) == [] and model.training
    assert list(curve(trainer)) == [0, 5, 8]
    assert not same(weights(model), weights(encoding.load_encoder(tiny_model)))


@pytest.mark.parametrize(
    "figures, chosen",
    [
        ([0.1, 0.3, 0.5, 0.5, 0.2, 0.4, 0.1], 4),
        ([0.1, 0.5, 0.2, 0.6, 0.2, 0.4, 0.1], 6),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 12),
    ],
)
def test_a_killed_run_chooses_as_one_that_was_not(figures, chosen, tiny_model, tmp_path):
    """Killed just after the point at step 6; the newest checkpoint is of step 4, its best of step 2 or 4."""
    run, measure = planned(tiny_model), planted(figures)
    whole, model, step = trained(run, tmp_path / "whole", measure)
    assert step == chosen and files(tmp_path / "whole") == [f"best-{chosen}"]
    with pytest.raises(Killed):
        trained(run, tmp_path / "part", measure, kill_at=6)
    assert f"best-{2 * int(np.argmax(figures[:3]))}" in files(tmp_path / "part")
    resumed, again, step = trained(run, tmp_path / "part", measure)
    assert step == chosen and same(weights(again), weights(model))
    assert curve(resumed) == curve(whole)


def test_what_is_restored_are_the_weights_of_that_point(tiny_model, tmp_path):
    """Those of the trainer's own checkpoint at the same step."""
    run, measure = planned(tiny_model), planted([0.1, 0.2, 0.5, 0.4, 0.3, 0.2, 0.1])
    with pytest.raises(Killed):
        trained(run, tmp_path, measure, kill_at=5)
    shutil.copytree(tmp_path / "trainer" / "checkpoint-4", tmp_path / "kept")
    _, model, step = trained(run, tmp_path, measure)
    assert step == 4 and same(weights(model), weights(encoding.load_encoder(tmp_path / "kept")))


def test_an_early_end_has_a_point_and_may_be_the_best(tiny_model, tmp_path):
    trainer, _, step = trained(planned(tiny_model, every=3, stop=1), tmp_path, planted([0.1, 0.2, 0.9]))
    assert list(curve(trainer)) == [0, 3, 4] and step == 4


def test_patience_ends_training_without_a_checkpoint_there(tiny_model, tmp_path):
    run, measure = planned(tiny_model, patience=3), planted([0.1, 0.5, 0.4, 0.5, 0.3, 0.9, 0.9])
    whole, model, step = trained(run, tmp_path / "whole", measure)
    assert whole.state.global_step == 8 and step == 2
    assert loop.last_checkpoint(tmp_path / "whole").endswith("checkpoint-4")
    with pytest.raises(Killed):
        trained(run, tmp_path / "part", measure, kill_at=7)
    resumed, again, step = trained(run, tmp_path / "part", measure)
    assert resumed.state.global_step == 8 and step == 2 and same(weights(again), weights(model))


def test_the_best_needs_something_to_measure(tmp_path):
    last, best = planned(tmp_path, select="last"), planned(tmp_path)
    Points("RR@10", None, last.curve, last.recipe, tmp_path)
    with pytest.raises(UserError, match="select: best chooses by validation queries and there are none"):
        Points("RR@10", None, best.curve, best.recipe, tmp_path)
