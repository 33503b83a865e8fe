"""Facts that the libraries themselves state when asked: sizes of models, defaults of losses and of schedules."""


def weights(model: dict) -> int:
    """How many weights a BERT of this shape has, counted in a transformers model without storage."""
    return sum(weight.numel() for weight in _body(model).parameters())


def adapter_weights(model: dict, rank: int) -> int:
    """How many weights peft trains with LoRA of this rank on query and value of every layer."""
    from peft import LoraConfig, get_peft_model
    import torch
    with torch.device("meta"):
        adapted = get_peft_model(_body(model), LoraConfig(r=rank, target_modules=["query", "value"]))
    return sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)


def _body(model: dict):
    import torch
    from transformers import BertConfig, BertModel
    with torch.device("meta"):
        return BertModel(BertConfig(hidden_size=model["width"], num_hidden_layers=model["layers"],
                                    num_attention_heads=model["heads"], intermediate_size=model["inner"],
                                    vocab_size=model["vocabulary"]))


def default_triplet_margin() -> float:
    """The margin of sentence-transformers' TripletLoss where none is named."""
    return float(_triplet_defaults()["triplet_margin"].default)


def default_triplet_distance_at_right_angles() -> float:
    """The distance of sentence-transformers' TripletLoss between two unit vectors at right angles: 1 for cosine."""
    import torch
    return float(_triplet_defaults()["distance_metric"].default(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])))


def _triplet_defaults():
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


def _after(watched, schedule, stepped, steps: int) -> float:
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


FUNCTIONS = {function.__name__: function for function in (
    weights, adapter_weights, default_triplet_margin, default_triplet_distance_at_right_angles, default_rate_left,
    rate_left_by_another_schedule, draws_with_one_seed)}
