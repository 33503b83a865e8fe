"""The arithmetic of stages/ledger/claims.yaml: expressions over printed_tables.yaml, and their functions.

Some functions ask the libraries themselves: sizes of models, defaults of losses and of schedules.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import inspect
    from collections.abc import Mapping

    import torch
    from transformers import BertModel

Table = dict[str, Any]


class Between(NamedTuple):
    """A figure that is known only to lie in low..high."""

    low: float
    high: float


def between(*values: float) -> Between:
    """The range of several figures."""
    return Between(min(values), max(values))


def change(new: float, old: float) -> float:
    """Difference in per cent of the old value."""
    return 100 * (new / old - 1)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation."""
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)


def slower(runs: Sequence[float], base: Sequence[float]) -> Between:
    """95 % interval of the difference of two means (Welch 1947), in per cent of the base's mean."""
    from scipy.stats import ttest_ind

    interval = ttest_ind(runs, base, equal_var=False).confidence_interval(0.95)
    return Between(*(100 * float(end) / mean(base) for end in interval))


def differing(one: Table, other: Table, columns: list[str]) -> int:
    """How many cells of the named columns differ between two tables with the same rows."""
    return sum(
        one[row][column] != other[row][column] for row in one if row not in ("source", "unit") for column in columns
    )


def pairs(table: Table) -> list[Table]:
    """The rows of a table, without what says where it was read."""
    return [row for name, row in table.items() if name not in ("source", "unit")]


def least_deviation(average: float) -> float:
    """The smallest standard deviation that reciprocal ranks with this mean can have.

    A reciprocal rank is 0 or 1/k; the least spread has all of them at the two such values beside the mean, where
    (1/k - mean)(mean - 1/(k+1)) is the variance.
    """
    rank = math.floor(1 / average)
    return math.sqrt((1 / rank - average) * (average - 1 / (rank + 1)))


def largest_effect(average: float, base: float) -> float:
    """An upper bound of Cohen's d, with the pooled deviation, between reciprocal ranks of these two means."""
    pooled = math.sqrt((least_deviation(average) ** 2 + least_deviation(base) ** 2) / 2)
    return abs(average - base) / pooled


def chance_reciprocal_rank(passages: int) -> float:
    """Expected reciprocal rank of one relevant passage in a random order of so many: their mean of 1/rank."""
    return sum(1 / rank for rank in range(1, passages + 1)) / passages


def cosine_left(step: float, period: float) -> float:
    """The share of its first value that a cosine-annealed rate has at a step (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * step / period)) / 2


def weights(model: Table) -> int:
    """How many weights a BERT of this configuration has, counted in a transformers model without storage."""
    return sum(weight.numel() for weight in _body(model).parameters())


def adapter_weights(model: Table, rank: int) -> int:
    """How many weights peft trains with LoRA of this rank on query and value of every layer."""
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.device("meta"):
        adapted = get_peft_model(_body(model), LoraConfig(r=rank, target_modules=["query", "value"]))
    return sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)


def _body(model: Table) -> "BertModel":
    import torch
    from transformers import BertConfig, BertModel

    with torch.device("meta"):
        return BertModel(
            BertConfig(
                hidden_size=model["width"],
                num_hidden_layers=model["layers"],
                num_attention_heads=model["heads"],
                intermediate_size=model["inner"],
                vocab_size=model["vocabulary"],
            )
        )


def default_triplet_margin() -> float:
    """The margin of sentence-transformers' TripletLoss where it is not named."""
    return float(_triplet_defaults()["triplet_margin"].default)


def default_triplet_distance_at_right_angles() -> float:
    """The distance of sentence-transformers' TripletLoss between two unit vectors at right angles: 1 for cosine."""
    import torch

    return float(_triplet_defaults()["distance_metric"].default(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])))


def _triplet_defaults() -> "Mapping[str, inspect.Parameter]":
    import inspect

    from sentence_transformers.sentence_transformer.losses import TripletLoss

    return inspect.signature(TripletLoss.__init__).parameters


def default_rate_left(steps: int) -> float:
    """The share of its first value that transformers' own schedule leaves a learning rate with after these steps."""
    import torch
    from transformers import TrainingArguments, get_scheduler

    name = TrainingArguments.__dataclass_fields__["lr_scheduler_type"].default
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=steps)
    return _after(optimizer, schedule, optimizer, steps)


def rate_left_by_another_schedule(steps: int) -> float:
    """The share of its rate that AdamW keeps when the cosine schedule beside it was built on another optimizer."""
    import torch

    weight = [torch.zeros(1, requires_grad=True)]
    other, adamw = torch.optim.SGD(weight, lr=1.0), torch.optim.AdamW(weight, lr=1.0)
    return _after(adamw, torch.optim.lr_scheduler.CosineAnnealingLR(other, T_max=steps), other, steps)


def _after(
    watched: "torch.optim.Optimizer",
    schedule: "torch.optim.lr_scheduler.LRScheduler",
    stepped: "torch.optim.Optimizer",
    steps: int,
) -> float:
    """The rate of `watched` after these steps of it, of `stepped` and of the schedule."""
    for _ in range(steps):
        stepped.step()
        watched.step()
        schedule.step()
    return float(watched.param_groups[0]["lr"])


def draws_with_one_seed(ranks: int, seed: int) -> int:
    """How many different places pandas' sample takes, when each of 100 equal lists is sampled with the same seed."""
    import pandas as pd

    listed = pd.DataFrame({"place": range(ranks)})
    return len({int(listed.sample(n=1, random_state=seed)["place"].iloc[0]) for _ in range(100)})


FUNCTIONS = {
    function.__name__: function
    for function in (
        between,
        change,
        mean,
        spearman,
        slower,
        differing,
        pairs,
        largest_effect,
        chance_reciprocal_rank,
        cosine_left,
        weights,
        adapter_weights,
        default_triplet_margin,
        default_triplet_distance_at_right_angles,
        default_rate_left,
        rate_left_by_another_schedule,
        draws_with_one_seed,
        abs,
        min,
        max,
        sum,
        len,
        math.ceil,
    )
}


def evaluate(expression: str, tables: Table) -> list[float | str | Between]:
    """The values of an expression over the tables, by simpleeval: numbers, names, comparisons and FUNCTIONS only.

    One value where the expression is not a list. Raises ValueError with a reason where it names what is not there or
    does not compute.
    """
    from simpleeval import EvalWithCompoundTypes

    try:
        value = EvalWithCompoundTypes(names=tables, functions=FUNCTIONS).eval(expression)
    except Exception as error:
        raise ValueError(f"'{expression}' does not compute: {error}")
    return [_figure(one, expression) for one in (value if isinstance(value, list) and value else [value])]


def _figure(value: Any, expression: str) -> float | str | Between:
    if isinstance(value, (Between, str)):
        return value
    if isinstance(value, (bool, int, float, np.number)) and math.isfinite(value):
        return float(value)
    raise ValueError(f"'{expression}' is no figure: {value!r}")
