"""A dvc.lock as tests/study.yaml leaves it, as far as model cards read it."""

from typing import Any

from tests import plants
from tests.conftest import STUDY

BLOCKS = plants.blocks()
TRAINED = {
    name: block for name, block in {**STUDY.retrievers, **STUDY.rerankers}.items() if STUDY.recipes[block.recipe]
}


def lock() -> dict[str, Any]:
    """What dvc.lock has of a finished run of tests/study.yaml, as far as cards read it; a hash is made of its path."""

    def file(path: str) -> dict[str, str]:
        return {"path": path, "md5": f"{sum(map(ord, path)):032x}.dir"}

    def stage(deps: list[str], outs: list[str], **settings: Any) -> dict[str, Any]:
        return {"deps": [*map(file, deps)], "outs": [*map(file, outs)], "params": {"params.yaml": settings}}

    stages = {f"download@{name}": stage([], [f"data/corpora/{name}"]) for name in STUDY.corpora}
    for name in STUDY.checkpoints:
        own = {f"checkpoints.{name}": BLOCKS["checkpoints"][name]}
        stages[f"checkpoint@{name}"] = stage([], [f"data/checkpoints/{name}"], **own)
    for name in STUDY.triplets:
        own = {f"triplets.{name}": BLOCKS["triplets"][name]}
        stages[f"triplets@{name}"] = stage([], [f"data/triplets/{name}"], **own)
    for name, block in TRAINED.items():
        kind, trainer = ("rerankers", "train-reranker") if name in STUDY.rerankers else ("retrievers", "train")
        recipe, code = f"recipes.{block.recipe}", f"data/code/{trainer}/{name}.json"
        inputs = [f"data/checkpoints/{block.checkpoint}", f"data/triplets/{block.triplets}"]
        own = {f"{kind}.{name}": BLOCKS[kind][name], recipe: BLOCKS["recipes"][block.recipe], "seeds": STUDY.seeds}
        own[block.tuning] = BLOCKS[block.tuning]
        stages[f"{trainer}@{name}"] = stage([code, *inputs], [f"data/models/{name}"], **own)
        if kind == "rerankers":
            stages[f"rerank@{name}"] = stage([f"data/models/{name}"], [], rerank=BLOCKS["rerank"])
        else:
            stages |= {f"encode@{name}-{corpus}": stage([f"data/models/{name}"], []) for corpus in STUDY.corpora}
    return stages
