"""Regularizers: nothing before the first step, another training only where they weigh something."""

from functools import partial
from pathlib import Path

import pytest

from stages.models import encoding
from stages.params.losses import ScoresRegularizer
from stages.training import loop, losses, regularizers, tuning
from stages.training.validation import Points
from tests import planted_models
from tests.plants import seed_run, two_towers

TEXTS = [f"{kind} {noun}" for kind in ("red", "old", "small", "new") for noun in ("boat", "house", "clock", "river")]
TRIPLETS = {"anchor": TEXTS, "positive": TEXTS[5:] + TEXTS[:5], "negative": TEXTS[3:] + TEXTS[:3]}
LOSS = {"kind": "in-batch", "scale": 20.0, "hard_negatives": True}
FULL = {"kind": "full", "lr": 0.001}
LORA = {"kind": "lora", "lr": 0.01, "rank": 2, "lora_alpha": 4, "modules": ["query", "value"], "dropout": 0.1}
STEPS = 8
BOTH = pytest.mark.parametrize("block", [FULL, LORA], ids=["full", "lora"])


class Killed(Exception):
    pass


def planned(base, regularizer, block=FULL, loss=LOSS):
    recipe = {"loss": loss, "epochs": 2, "clip": 1e9, "regularizer": regularizer}
    return seed_run(base, block, recipe, Path("none.parquet"))


def regularized(run):
    """A model that is to be trained, and its loss with the regularizer."""
    from transformers import set_seed

    set_seed(3)
    model = encoding.load_encoder(run.checkpoint)
    tuning.prepare(model, run.tuning)
    loss = losses.build(model, run.recipe.loss)
    return model, regularizers.added(loss, model, run.recipe.regularizer, run.checkpoint)


def trained(run, work, kill_at=None):
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from transformers import TrainerCallback

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == kill_at:
                raise Killed

    model, module = regularized(run)
    trainer = SentenceTransformerTrainer(
        model=model,
        train_dataset=Dataset.from_dict(TRIPLETS),
        loss=module,
        args=SentenceTransformerTrainingArguments(**loop.arguments(run, work, True), save_steps=4),
        **loop.parts(run, work, Points("RR@10", None, run.curve, run.recipe, work)),
    )
    trainer.add_callback(Kill())
    trainer.train(resume_from_checkpoint=loop.last_checkpoint(work))
    return trainer


def distance(model, other) -> float:
    """Between the trained weights of two models."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return sum(float(((one - two) ** 2).sum().detach()) for one, two in pairs if one.requires_grad) ** 0.5


def features(model):
    return [model.preprocess(column[:6]) for column in TRIPLETS.values()]


def test_without_a_regularizer_the_loss_is_itself(tiny_model):
    model = encoding.load_encoder(tiny_model)
    loss = losses.build(model, planned(tiny_model, None).recipe.loss)
    assert regularizers.added(loss, model, None, tiny_model) is loss


@BOTH
@pytest.mark.parametrize("kind", ["weights", "scores", "outputs"])
def test_nothing_is_added_before_the_first_step(kind, block, tiny_model):
    model, module = regularized(planned(tiny_model, {"kind": kind, "weight": 1}, block))
    model.train()
    parts = module(features(model), None)
    assert parts["regularizer"].item() == 0 and parts["retrieval"].item() > 0.5 and model.training


def test_what_is_added_is_the_formula(tiny_model):
    import numpy as np
    import torch
    from scipy.special import softmax
    from scipy.stats import entropy

    model, by_weights = regularized(planned(tiny_model, {"kind": "weights", "weight": 3}))
    scores = ScoresRegularizer(kind="scores", weight=3, scale=5)
    by_scores = regularizers.added(by_weights.loss, model, scores, tiny_model)
    expected = 0
    with torch.no_grad():
        for weights in model.parameters():
            noise = 0.1 * torch.randn_like(weights)
            weights += noise
            expected += 3 * float((noise**2).sum())
    assert by_weights(features(model), None)["regularizer"].item() == pytest.approx(expected, rel=1e-4)
    shares = []
    for encoder in (encoding.load_encoder(tiny_model), model.eval()):
        anchors, *passages = (encoding.encode(encoder, column[:6], 2048) for column in TRIPLETS.values())
        shares.append(softmax(5 * anchors @ np.concatenate(passages).T, axis=1))
    expected = 3 * entropy(*shares, axis=1).mean()
    assert expected > 0.01
    assert by_scores(features(model), None)["regularizer"].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_outputs_are_the_squared_distances_of_the_vectors_that_are_searched(similarity, tiny_model, tmp_path):
    """Of all texts of a batch, queries and passages alike, the mean."""
    import numpy as np

    base = planted_models.rebuilt(tiny_model, tmp_path / "base", similarity=similarity)
    model, module = regularized(planned(base, {"kind": "outputs", "weight": 3}))
    for at, weights in enumerate(model.parameters()):
        weights.data.mul_(1 + 0.05 * (at % 3))
    texts = [text for column in TRIPLETS.values() for text in column[:6]]
    before, after = (encoder.encode(texts).astype(float) for encoder in (encoding.load_encoder(base), model.eval()))
    if similarity == "cosine":
        before, after = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (before, after))
    expected = 3 * ((after - before) ** 2).sum(axis=1).mean()
    assert expected > 1e-3
    model.train()
    assert module(features(model), None)["regularizer"].item() == pytest.approx(expected, rel=1e-3)


def test_scores_of_a_model_of_dot_products_are_dot_products(tiny_model, tmp_path):
    import numpy as np
    from scipy.special import softmax
    from scipy.stats import entropy

    base = planted_models.rebuilt(tiny_model, tmp_path / "base", similarity="dot")
    model, module = regularized(planned(base, {"kind": "scores", "weight": 3}))
    for weights in model.parameters():
        weights.data.mul_(1.05)
    shares = []
    for encoder in (encoding.load_encoder(base), model.eval()):
        anchors, *passages = (encoding.encode(encoder, column[:6], 2048) for column in TRIPLETS.values())
        shares.append(softmax(anchors.astype(float) @ np.concatenate(passages).T, axis=1))
    expected = 3 * entropy(*shares, axis=1).mean()
    assert expected > 1e-4
    assert module(features(model), None)["regularizer"].item() == pytest.approx(expected, rel=1e-2)


@BOTH
@pytest.mark.parametrize("kind", ["weights", "scores", "outputs"])
def test_a_weight_of_nothing_changes_nothing_and_a_weight_of_all_moves_nothing(kind, block, tiny_model, tmp_path):
    """Dropout is on: the regularizer must not take random numbers from the loss."""

    def with_weight(weight):
        regularizer = {"kind": kind, "weight": weight} if weight else None
        return trained(planned(tiny_model, regularizer, block), tmp_path / str(weight)).model

    free, light, heavy = (with_weight(weight) for weight in (0, 1e-9, 1e6))
    base, _ = regularized(planned(tiny_model, None, block))
    assert distance(light, free) < 0.01 * distance(free, base)
    if kind == "weights":
        assert distance(heavy, base) < 0.5 * distance(free, base)
    else:
        of_one = ScoresRegularizer(kind="scores", weight=1)
        moved = (
            partial(regularizers.scores_moved, regularizer=of_one) if kind == "scores" else regularizers.outputs_moved
        )
        lost = [moved(model, checkpoint=tiny_model)(features(model)).item() for model in (free, heavy)]
        assert lost[1] < 0.1 * lost[0]


@pytest.mark.parametrize(
    "kind, weight, mini_batch", [("weights", 0.1, 3), ("scores", 5, None), ("scores", 5, 3), ("outputs", 5, 3)]
)
def test_a_killed_run_is_held_to_the_base_checkpoint(kind, weight, mini_batch, tiny_model, tmp_path):
    """Not to the checkpoint that it goes on from; and the frozen base is in neither optimizer nor checkpoint."""
    import torch
    from safetensors.torch import load_file

    run = planned(tiny_model, {"kind": kind, "weight": weight}, loss={**LOSS, "mini_batch": mini_batch})
    whole = trained(run, tmp_path / "whole")
    with pytest.raises(Killed):
        trained(run, tmp_path / "part", kill_at=6)
    resumed = trained(run, tmp_path / "part")
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    held = [weights for group in whole.optimizer.param_groups for weights in group["params"]]
    assert len(held) == len(list(whole.model.parameters())) == len(list(whole.loss.parameters()))
    saved = tmp_path / "whole" / "trainer" / f"checkpoint-{STEPS}" / "model.safetensors"
    assert load_file(str(saved)).keys() == load_file(str(tiny_model / "model.safetensors")).keys()


@pytest.mark.parametrize("kind", ["scores", "outputs"])
def test_two_towers_are_held_each_to_its_own(kind, tiny_model, tmp_path):
    base = two_towers(tiny_model, tmp_path / "towers")
    model, module = regularized(planned(base, {"kind": kind, "weight": 1}))
    roles = ("query", "document", "document")
    columns = zip(TRIPLETS.values(), roles, strict=True)
    batch = [{**model.preprocess(column[:6], task=role), "task": role} for column, role in columns]
    assert module(batch, None)["regularizer"].item() == 0
    next(model[0].sub_modules["document"].parameters()).data.add_(1).mul_(-2)
    assert module(batch, None)["regularizer"].item() > 0


def test_weights_are_held_in_both_towers(tiny_model, tmp_path):
    base = two_towers(tiny_model, tmp_path / "towers")
    model, _ = regularized(planned(base, None))
    penalty = regularizers.weights_moved(model)
    next(model[0].sub_modules["document"].parameters()).data.add_(1)
    assert penalty([]).item() > 0
