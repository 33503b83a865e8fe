"""Keeping: nothing at the start, no other training where it weighs nothing, no training where it weighs all."""
import pytest

from stages.models import encoding
from stages.training import losses
from stages.training import optimizers
from stages.training import regularizers
from stages.training import loop
from stages.training import tuning
from stages.params.losses import InBatchLoss, ScoresRegularizer, WeightsRegularizer
from stages.params.tuning import FullTuning, LoraTuning
from stages.params.variants import Recipe

TEXTS = [f"{kind} {noun}" for kind in ("red", "old", "small", "new") for noun in ("boat", "house", "clock", "river")]
TAUGHT = {"anchor": TEXTS, "positive": TEXTS[5:] + TEXTS[:5], "negative": TEXTS[3:] + TEXTS[:3]}
LOSS = InBatchLoss(kind="in-batch", scale=20.0, hard=True)
FULL = FullTuning(kind="full", lr=0.001)
LORA = LoraTuning(kind="lora", lr=0.01, rank=2, alpha=4, modules=["query", "value"], dropout=0.1)
STEPS = 12


class Killed(Exception):
    pass


def wrapped(start, keep, tune=FULL, loss=LOSS):
    """A model that is to be trained, and its loss with what it keeps."""
    from transformers import set_seed
    set_seed(3)
    model = encoding.load_encoder(start)
    tuning.prepare(model, tune)
    return model, regularizers.wrap(losses.build(model, loss), model, keep, start)


def trained(start, work, keep, tune=FULL, loss=LOSS, kill_at=None):
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from transformers import TrainerCallback

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == kill_at:
                raise Killed

    model, module = wrapped(start, keep, tune, loss)
    fit = Recipe(loss=loss.model_dump(), batch=4, epochs=3, warmup=0, weight_decay=0, clip=1e9)
    trainer = SentenceTransformerTrainer(
        model=model, train_dataset=Dataset.from_dict(TAUGHT), loss=module, callbacks=[Kill()],
        args=SentenceTransformerTrainingArguments(**loop.arguments(tune, fit, 3, work, True), save_steps=4),
        optimizer_cls_and_kwargs=optimizers.chosen(tune, 0))
    trainer.train(resume_from_checkpoint=loop.last_checkpoint(work))
    return trainer


def distance(model, other) -> float:
    """Between the trained weights of two models."""
    pairs = zip(model.parameters(), other.parameters())
    return sum(float(((one - two) ** 2).sum().detach()) for one, two in pairs if one.requires_grad) ** 0.5


def features(model, texts=TAUGHT):
    return [model.preprocess(column[:6]) for column in texts.values()]


def test_without_keep_the_loss_is_itself(tiny_model):
    model = encoding.load_encoder(tiny_model)
    loss = losses.build(model, LOSS)
    assert regularizers.wrap(loss, model, None, tiny_model) is loss


@pytest.mark.parametrize("tuning", [FULL, LORA])
@pytest.mark.parametrize("regularizer", [WeightsRegularizer(kind="weights", weight=1), ScoresRegularizer(kind="scores", weight=1)])
def test_nothing_is_added_at_the_start(keep, tune, tiny_model):
    model, module = wrapped(tiny_model, keep, tune)
    model.train()
    found = module(features(model), None)
    assert found["regularizer"].item() == 0 and found["lesson"].item() > 0.5 and model.training


def test_what_is_added_is_the_formula(tiny_model):
    import numpy as np
    import torch
    from scipy.special import softmax
    from scipy.stats import entropy
    model, by_weights = wrapped(tiny_model, WeightsRegularizer(kind="weights", weight=3))
    by_scores = regularizers.wrap(losses.build(model, LOSS), model, ScoresRegularizer(kind="scores", weight=3, scale=5), tiny_model)
    expected = 0
    with torch.no_grad():
        for weights in model.parameters():
            noise = 0.1 * torch.randn_like(weights)
            weights += noise
            expected += 3 * float((noise ** 2).sum())
    assert by_weights(features(model), None)["regularizer"].item() == pytest.approx(expected, rel=1e-4)
    shares = []
    for encoder in (encoding.load_encoder(tiny_model), model.eval()):
        anchors, *passages = (encoding.encode(encoder, column[:6], 2048) for column in TAUGHT.values())
        shares.append(softmax(5 * anchors @ np.concatenate(passages).T, axis=1))
    expected = 3 * entropy(*shares, axis=1).mean()
    assert by_scores(features(model), None)["regularizer"].item() == pytest.approx(expected, rel=1e-3) and expected > 0.01


@pytest.mark.parametrize("tuning", [FULL, LORA])
@pytest.mark.parametrize("kind", ["weights", "scores"])
def test_a_weight_of_nothing_changes_nothing_and_a_weight_of_all_moves_nothing(kind, tune, tiny_model, tmp_path):
    """Dropout is on: what is kept must not take random numbers from the lesson."""
    keep = {"weights": KeepWeights, "scores": KeepScores}[kind]
    free = trained(tiny_model, tmp_path / "free", None, tune).model
    light = trained(tiny_model, tmp_path / "light", keep(kind=kind, weight=1e-9), tune).model
    heavy = trained(tiny_model, tmp_path / "heavy", keep(kind=kind, weight=1e6), tune).model
    start, _ = wrapped(tiny_model, None, tune)
    assert distance(light, free) < 0.01 * distance(free, start)
    if kind == "weights":
        assert distance(heavy, start) < 0.5 * distance(free, start)
    else:
        lost = [regularizers.scores_moved(model, keep(kind=kind, weight=1), tiny_model)(features(model)).item()
                for model in (free, heavy)]
        assert lost[1] < 0.1 * lost[0]


@pytest.mark.parametrize("loss", [LOSS, LOSS.model_copy(update={"cached": 3})])
def test_a_killed_run_keeps_to_the_start_of_training(loss, tiny_model, tmp_path):
    """Not to the checkpoint that it goes on from; and the frozen start is in neither optimizer nor checkpoint."""
    import torch
    from safetensors.torch import load_file
    for keep in (WeightsRegularizer(kind="weights", weight=0.1), ScoresRegularizer(kind="scores", weight=5)):
        whole = trained(tiny_model, tmp_path / keep.kind / "whole", keep, loss=loss)
        with pytest.raises(Killed):
            trained(tiny_model, tmp_path / keep.kind / "part", keep, loss=loss, kill_at=6)
        resumed = trained(tiny_model, tmp_path / keep.kind / "part", keep, loss=loss)
        assert all(torch.equal(one, two) for one, two in zip(whole.model.parameters(), resumed.model.parameters()))
        held = [weights for group in whole.optimizer.param_groups for weights in group["params"]]
        assert len(held) == len(list(whole.model.parameters())) == len(list(whole.loss.parameters()))
        saved = tmp_path / keep.kind / "whole" / "trainer" / f"checkpoint-{STEPS}" / "model.safetensors"
        assert load_file(str(saved)).keys() == load_file(str(tiny_model / "model.safetensors")).keys()


def test_two_towers(tiny_model, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Router
    towers = [list(encoding.load_encoder(tiny_model))[:2] for _ in range(2)]
    router = Router.for_query_document(query_modules=towers[0], document_modules=towers[1])
    SentenceTransformer(modules=[router, Normalize()]).save_pretrained(str(tmp_path / "towers"))
    model = encoding.load_encoder(tmp_path / "towers")
    module = regularizers.wrap(losses.build(model, LOSS), model, ScoresRegularizer(kind="scores", weight=1), tmp_path / "towers")
    asked = [{**model.preprocess(column[:6], task=role), "task": role}
             for column, role in zip(TAUGHT.values(), ("query", "document", "document"))]
    assert module(asked, None)["regularizer"].item() == 0
    list(model[0].sub_modules["document"].parameters())[0].data.add_(1).mul_(-2)
    assert module(asked, None)["regularizer"].item() > 0
