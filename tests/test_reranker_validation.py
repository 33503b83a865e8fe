"""The candidates that a reranker is measured on while it trains: each query's relevant passage among others."""

from types import SimpleNamespace

import numpy as np
import torch

from stages.training import validation
from stages.training.reranker import validation as reranker_validation
from stages.training.validation import Points, Sample
from tests.plants import seed_run

SAMPLE = Sample(
    ["a", "b", "c"],
    [f"p{at}" for at in range(8)],
    np.array([[at == 0 for at in range(8)], [at in (6, 7) for at in range(8)], [at == 3 for at in range(8)]]),
)
WANTED = {("a", "p0"): 1.0, ("b", "p6"): 0.5, ("c", "p3"): -1.0}


def scores(model, queries, passages, batch_tokens, precision):
    assert not model.training
    return np.array([WANTED.get(pair, 0.0) for pair in zip(queries, passages, strict=True)])


def test_each_query_has_its_first_relevant_passage_among_others_that_are_not_relevant():
    queries, passages, relevant = reranker_validation.candidates(SAMPLE)
    assert queries == [query for query in "abc" for _ in range(5)] and relevant.sum() == 3
    shown = np.array(passages).reshape(relevant.shape)
    assert list(shown[relevant]) == ["p0", "p6", "p3"] and "p7" not in shown[1]
    assert all(len(set(of_query)) == 5 for of_query in shown)


def test_a_sample_of_too_few_passages_is_not_measured():
    few = Sample(["a"], ["p", "q", "r", "s"], np.array([[True, False, False, False]]))
    assert reranker_validation.candidates(few) is None
    assert reranker_validation.reciprocal_rank(few, scores, "float32") is None


def test_a_point_is_the_rank_that_the_scores_give_and_leaves_the_model_training(tmp_path):
    state = SimpleNamespace(global_step=0, max_steps=5, log_history=[])
    model = torch.nn.Linear(1, 1).train()
    run = seed_run(tmp_path, {"kind": "full", "lr": 0.1}, {"loss": {"kind": "pointwise"}}, tmp_path / "seed-3.parquet")
    measure = reranker_validation.reciprocal_rank(SAMPLE, scores, "float32")
    watching = validation.callback(Points("RR of 5", measure, run.curve, run.recipe, tmp_path))
    watching.on_train_begin(None, state, None, model=model)
    for step in range(1, 6):
        state.global_step = step
        watching.on_step_end(None, state, None, model=model)
    assert [entry["step"] for entry in state.log_history] == [0, 2, 4, 5] and model.training
    assert state.log_history[0]["RR of 5"] == round((1 + 1 + 1 / 5) / 3, 6)


def test_nothing_is_measured_without_a_sample(tmp_path):
    run = seed_run(tmp_path, {"kind": "full", "lr": 0.1}, {"loss": {"kind": "pointwise"}}, tmp_path / "seed-3.parquet")
    points = reranker_validation.points(run, scores, tmp_path)
    state = SimpleNamespace(global_step=0, max_steps=5, log_history=[])
    points.take(state, torch.nn.Linear(1, 1))
    assert state.log_history == [] and points.finish(state, None) is None
