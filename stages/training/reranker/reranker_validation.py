"""RR on a few candidates of a small validation sample while a reranker trains: after how many steps it ranks well."""
import numpy as np

BATCH_TOKENS = 2048
CANDIDATES = 5


def candidates(sample: dict) -> tuple[list[str], list[str], np.ndarray] | None:
    """Queries and passages of the pairs that a look scores, and what is relevant, (queries, CANDIDATES).

    None where the sample has too few passages for that.

    Of each watched query the first relevant passage, and as many others as make CANDIDATES: those that follow it in the
    sample, round and round, relevant ones left out. Where it stands among them is the same for every row.
    """
    queries, passages, relevant = [], [], []
    for number, query in enumerate(sample["queries"]):
        known = sample["relevant"][number]
        first = int(known.argmax())
        others = [at % len(known) for at in range(first + 1, first + len(known)) if not known[at % len(known)]]
        if len(others) < CANDIDATES - 1:
            return None
        chosen = sorted([first, *others[:CANDIDATES - 1]])
        queries += [query] * len(chosen)
        passages += [sample["passages"][at] for at in chosen]
        relevant.append([at == first for at in chosen])
    return queries, passages, np.array(relevant)


def callback(sample: dict | None, score, precision: str, every: int):
    """A trainer callback that appends {"step", "RR of 5"} to the trainer's own history, which its checkpoints keep.

    score(model, queries, passages, batch_tokens, precision) gives a number a pair. It looks before the first step,
    every so many steps, and after the last one; where nothing is watched it does nothing.
    """
    from transformers import TrainerCallback

    from stages.training.validation import mean_reciprocal_rank
    pairs = candidates(sample) if sample else None

    class Watch(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 0:
                self.look(state, model)

        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step % every == 0 or state.global_step == state.max_steps:
                self.look(state, model)

        def look(self, state, model):
            if not pairs:
                return
            queries, passages, relevant = pairs
            training = model.training
            model.eval()
            scores = score(model, queries, passages, BATCH_TOKENS, precision).reshape(relevant.shape)
            model.train(training)
            found = round(mean_reciprocal_rank(scores, relevant), 6)
            state.log_history.append({"step": state.global_step, "RR of 5": found})

    return Watch()
