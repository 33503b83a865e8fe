"""What is watched while a reranker trains: the same candidates for every row, with their relevant one among them."""
from types import SimpleNamespace

import numpy as np
import torch

from stages.reporting import tables
from stages.training.reranker import reranker_validation

SAMPLE = {"queries": ["a", "b", "c"], "passages": [f"p{at}" for at in range(8)],
          "relevant": np.array([[at == 0 for at in range(8)], [at in (6, 7) for at in range(8)],
                                [at == 3 for at in range(8)]])}


def test_each_query_has_its_first_relevant_passage_among_others_that_are_not_relevant():
    queries, passages, relevant = reranker_validation.candidates(SAMPLE)
    assert queries == [query for query in "abc" for _ in range(5)] and relevant.sum() == 3
    shown = np.array(passages).reshape(relevant.shape)
    assert list(shown[relevant]) == ["p0", "p6", "p3"] and "p7" not in shown[1]
    assert all(len(set(row)) == 5 for row in shown)


def test_a_look_is_the_rank_that_the_scores_give_and_leaves_the_model_training():
    state = SimpleNamespace(global_step=0, max_steps=4, log_history=[])
    model = torch.nn.Linear(1, 1).train()
    wanted = {"p0": 1, "p6": 0.5, "p3": -1}
    watch = reranker_validation.callback(SAMPLE, lambda model, queries, passages, tokens, precision: np.array(
        [wanted.get(passage, 0.0) if (query, passage) in (("a", "p0"), ("b", "p6"), ("c", "p3")) else 0.0
         for query, passage in zip(queries, passages)]), "float32", 2)
    watch.on_train_begin(None, state, None, model=model)
    for step in (1, 2, 3, 4):
        state.global_step = step
        watch.on_step_end(None, state, None, model=model)
    assert [entry["step"] for entry in state.log_history] == [0, 2, 4] and model.training
    assert state.log_history[0]["RR of 5"] == round((1 + 1 + 1 / 5) / 3, 6)


def test_steps_to_the_quality_that_both_reached():
    def log(*looks):
        return {"seed_runs": [{"log": [{"step": step, "RR of 5": figure} for step, figure in zip((0, 8, 16, 24), copy)]}
                           for copy in looks]}
    assert tables.steps_to_quality(log([0.2, 0.5, 0.7, 0.6]), log([0.2, 0.3, 0.4, 0.6])) == "16 against 24 (0.600)"
    assert tables.steps_to_quality(log([0.2, 0.4], [0.4, 0.6]), log([0.3, 0.5])) == "8 against 8 (0.500)"
    assert tables.steps_to_quality({"seed_runs": []}, log([0.3])) == "–"
