"""The blocks of the params.yaml that a plan writes, from the choices that were made."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_origin

from stages.params import Study
from stages.planning.choices import Training
from stages.planning.layout import Layout

CORPUS, OTHER = "in_domain", "out_of_domain"
NO = {"tuning": "none", "triplets": "none", "recipe": "none"}
OUT_OF_DOMAIN = {
    "source": "docstrings:altair,fonttools,hypothesis,matplotlib,pillow,pytest",
    "queries": ["summary", "returns", "see-also", "listing"],
    "shares": {"test": 100},
    "judged": {"test": {}},
}
MEASURES = ["RR@10", "RR@100", "nDCG@10", "AP", "R@100", "Judged@10"]
TRAINED = {
    "in-batch-hard": ("full", "in-batch"),
    "lora-hard": ("lora", "in-batch"),
    "anchored-hard": ("full", "anchored"),
}
TRIALS = 8
SAMPLE = {"top": 20, "random": 500}  # of the passages that a trial is scored on
SCHEDULE = {"epochs": 1, "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0}
# What may be tried, the most telling first; a plan takes them in this order until its hours are used.
VARIANTS = {
    "hybrid": "bm25 and base fused: what many deploy instead of fine-tuning",
    "in-batch-hard": "all weights, the batch's passages and mined negatives that the base scores below the positive",
    "in-batch-mix": "the weights between base and in-batch-hard that rank validation best: keeps more out of domain",
    "hybrid-tuned": "bm25 fused with in-batch-hard",
    "in-batch-searched": "in-batch-hard at the learning rate that ranks validation best of some trials (Optuna)",
    "seeds": "three seeds, without which a verdict is about one model and not about the recipe",
    "anchored-hard": "the same training, held to the base's vectors: what gained most steadily in docs/recipes.md",
    "lora-hard": "the same training on low-rank adapters",
    "late": "a late-interaction reranker over base",
    "out_of_domain": "another collection, English documentation, on which what fine-tuning costs elsewhere is seen",
}


@dataclass(frozen=True)
class Choices:
    """All that a params.yaml holds that a plan decides."""

    corpus: dict[str, Any]
    base: dict[str, Any]
    layout: Layout
    measure: str
    training: Training | None
    lora_modules: Sequence[str]
    rerank_depth: int
    chosen: tuple[str, ...] = ()

    def with_variants(self, names: Iterable[str]) -> Choices:
        return replace(self, chosen=tuple(names))


def possible(choices: Choices, english: bool) -> dict[str, str]:
    """The variants that this collection and model allow -> "", and those that they do not -> why."""
    there = {}
    for name in VARIANTS:
        why = ""
        if choices.training is None and name not in ("hybrid", "out_of_domain"):
            why = "nothing is trained"
        elif name == "anchored-hard" and choices.training and choices.training.mini_batch:
            why = "its anchor needs a whole batch in memory"
        elif name in ("in-batch-mix", "in-batch-searched") and not choices.layout.validation:
            why = "there are no validation queries to choose on"
        elif name == "lora-hard" and not choices.lora_modules:
            why = "which layers of this model get adapters is not known: name them in lora.modules"
        elif name == "out_of_domain" and not english:
            why = "the collection at hand for it is English, and yours is not: name one in corpora"
        elif name == "out_of_domain" and choices.corpus["source"].startswith("docstrings:"):
            why = "the collection at hand for it is of the same kind"
        there[name] = why
    return there


def blocks(choices: Choices) -> dict[str, Any]:
    """The whole params.yaml."""
    has = set(choices.chosen)
    corpora = {CORPUS: choices.corpus} | ({"out_of_domain": OUT_OF_DOMAIN} if "out_of_domain" in has else {})
    target = {"corpus": CORPUS, "split": choices.layout.judge, "measure": choices.measure}
    out = {"corpus": "out_of_domain", "split": "test", "measure": choices.measure}
    training = choices.training if has & {*TRAINED, "late"} else None
    filled = {
        "precision": "auto",
        "threads": 1,
        "scale": {"training": {"processes": 1}, "encoding": {"engine": "local"}, "search": {"processes": 1}},
        "seeds": [13, 14, 15] if "seeds" in has else [13],
        "corpora": corpora,
        "base": choices.base,
        "checkpoints": _checkpoints(choices, has),
        **_trained(training, choices, has),
        **{"scored": {}, "mixes": {}},
        **_variants(has, choices.layout),
        "searches": _searches(training, has),
        "index": {"dtype": "float32", "batch_tokens": 2048, "block": 20000},
        "search": {"depth": 200, "block": 65536},
        "rerank": {"depth": choices.rerank_depth, "queries": 300, "batch_tokens": 2048, "seed": 13},
        "measures": MEASURES,
        "report": {
            "base": "base",
            "in_domain": target,
            "out_of_domain": out if "out_of_domain" in has else None,
            "chosen_on": choices.layout.chooser,
            "significance": 0.05,
            "margin": 2.0,
            "resamples": 10000,
            "pairs": [],
            "shown": 5,
        },
        "gate": {"tolerance": 1.0},
        "validation_curve": _curve(training, "in-batch-searched" in has),
        "diagnose": {"passages": 1000, "neighbours": 10, "norms": 64, "seed": 13},
        "umap": {
            **{key: target[key] for key in ("corpus", "split")},
            "pairs": 200,
            "n_neighbors": 15,
            "min_dist": 0.1,
            "metric": "cosine",
            "seed": 13,
        },
    }
    lacking = [name for name, field in Study.model_fields.items() if get_origin(field.annotation) is dict]
    return filled | {name: {} for name in lacking if name not in filled and name != "tunings"}


def _checkpoints(choices: Choices, has: set[str]) -> dict[str, Any]:
    late = {"late": {"architecture": "late-interaction"}} if "late" in has else {}
    return {
        "bm25": {"architecture": "lexical", "source": "bm25s", "k1": 0.9, "b": 0.4},
        "retriever": {"architecture": "symmetric"},
        **late,
    }


def _trained(training: Training | None, choices: Choices, has: set[str]) -> dict[str, Any]:
    """Pools, triplets, tunings and recipes."""
    none = {"none": {"corpus": CORPUS, "from": f"corpora/{CORPUS}", "size": 0}}
    if training is None:
        return {"pools": {}, "triplets": none, "none": {"kind": "none"}, "recipes": {"none": {}}}
    hard = {
        "corpus": CORPUS,
        "from": "pools/base",
        "ranks": list(training.ranks),
        **({"relative_margin": training.relative_margin} if training.relative_margin else {}),
        "size": training.size,
        **({"allow_judged": True} if training.allow_judged else {}),
    }
    loss = {"kind": "in-batch", "hard_negatives": True}
    cached = {"mini_batch": training.mini_batch} if training.mini_batch else {}
    recipe = {"loss": {**loss, **cached}, "batch": training.batch, **SCHEDULE}
    anchor = {"regularizer": {"kind": "outputs", "weight": 1.0}}
    anchored = {"anchored": {**recipe, **anchor}} if "anchored-hard" in has else {}
    tunings: dict[str, Any] = {"none": {"kind": "none"}, "full": {"kind": "full", "lr": training.lr}}
    if "lora-hard" in has:
        tunings["lora"] = {
            "kind": "lora",
            "lr": training.lora_lr,
            "rank": 16,
            "lora_alpha": 32,
            "modules": list(choices.lora_modules),
            "dropout": 0.05,
        }
    if "late" in has:
        tunings["late-full"] = {"kind": "full", "lr": training.lr / 5}
    return {
        "pools": {"base": {"retriever": "base", "corpus": CORPUS, "depth": training.depth}},
        "triplets": {**none, "hard": hard},
        **tunings,
        "recipes": {"none": {}, "in-batch": recipe, **anchored},
    }


def _variants(has: set[str], splits: Layout) -> dict[str, Any]:
    trained = {
        name: {"checkpoint": "retriever", "tuning": tuning, "triplets": "hard", "recipe": recipe}
        for name, (tuning, recipe) in TRAINED.items()
    }
    mix = {
        "checkpoint": "retriever",
        "trained": "in-batch-hard",
        "triplets": "hard",
        "alphas": [0.0, 0.25, 0.5, 0.75, 1.0],
    }
    late = {
        "checkpoint": "late",
        "tuning": "late-full",
        "triplets": "hard",
        "recipe": "in-batch",
        "first_stage": "base",
    }
    fusions = {"hybrid": ["bm25", "base"], "hybrid-tuned": ["bm25", "in-batch-hard"]}
    found: dict[str, Any] = {
        "retrievers": {
            "bm25": {"checkpoint": "bm25", **NO},
            "base": {"checkpoint": "retriever", **NO},
            **{name: block for name, block in trained.items() if name in has},
        },
        "interpolations": {"in-batch-mix": mix} if "in-batch-mix" in has else {},
        "searches": {},
        "rerankers": {"late": late} if "late" in has else {},
    }
    kind = "weighted" if splits.chooser else "rrf"  # weights are chosen where the variant is
    fused = {name: {"kind": kind, "of": of} for name, of in fusions.items() if name in has}
    return {**found, "fusions": fused}


def _searches(training: Training | None, has: set[str]) -> dict[str, Any]:
    """A search around the learning rate that was taken."""
    if training is None or "in-batch-searched" not in has:
        return {}
    rate = {"low": training.lr / 10, "high": training.lr * 10, "log": True}
    same = {"variant": "in-batch-hard", "checkpoint": "retriever", "tuning": "full", "triplets": "hard"}
    space = {"space": {"tuning": {"lr": rate}}, "trials": TRIALS, "seed": 13, **SAMPLE}
    return {"in-batch-searched": {**same, "recipe": "in-batch", "corpus": CORPUS, **space}}


def _curve(training: Training | None, searched: bool) -> dict[str, Any]:
    """A trial of a search is scored at these points as well, at a higher price."""
    every = max(4, training.steps // (3 if searched else 6)) if training else 8
    return {"queries": 48, "passages": 120, "every": every, "early": []}


def text(filled: Mapping[str, Any], head: Sequence[str], comments: Mapping[str, Sequence[str]]) -> str:
    """The file in the form that DVC writes: a head of comments, and comments at the beginning of blocks."""
    from dvc.utils.serialize import dumps_yaml

    lines = [f"# {line}".rstrip() for line in head]
    apart = json.loads(json.dumps(filled))  # what stands twice would be written once, with an anchor
    for line in dumps_yaml(apart).splitlines():
        lines.append(line)
        if line.endswith(":") and not line.startswith((" ", "-")):
            lines += [f"  # {words}" for words in comments.get(line[:-1], ())]
    return "\n".join(lines) + "\n"


def stable(written: str) -> str:
    """What DVC makes of the file when it changes nothing."""
    from dvc.utils.serialize._yaml import _dump, parse_yaml_for_update

    stream = io.StringIO()
    _dump(parse_yaml_for_update(written, "params.yaml"), stream)
    return stream.getvalue()
