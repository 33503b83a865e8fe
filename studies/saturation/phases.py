"""The two phases of the saturation study: `levels` trains the base checkpoint, `recipes` starts from each level."""

from pathlib import Path

from stages import params
from studies import clones

PARTS = ("default", "msmarco")
PHASES = ("levels", "recipes")
STUDY = Path("studies/saturation")
LEVELS = Path(".scratch/levels")  # where recipes.yaml looks for what levels.yaml trains


def text(part: str, phase: str, root: Path = Path()) -> str:
    """The params.yaml of one phase of a part."""
    return clones.merged([root / STUDY / f"{name}.yaml" for name in ("common", part, phase)])


def study(part: str, phase: str, root: Path = Path()) -> params.Study:
    from ruamel.yaml import YAML

    return params.parse(YAML(typ="safe").load(text(part, phase, root)))


def models(part: str, root: Path = Path()) -> dict[str, Path]:
    """Level -> where its model lies after the first phase."""
    first = study(part, "levels", root)
    (seed,) = first.seeds
    return {
        level: Path("data/models") / level / f"seed-{seed}"
        for level, block in first.retrievers.items()
        if first.recipes[block.recipe]
    }


def targets(part: str, phase: str, root: Path = Path()) -> list[str]:
    """The stages of dvc.yaml that a phase brings up to date."""
    return [f"train@{level}" for level in models(part, root)] if phase == "levels" else ["evaluate"]
