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


def variants(part: str, root: Path = Path()) -> dict[str, str]:
    """Level -> the variant of levels.yaml that becomes it; its name must not be that of a variant of recipes.yaml."""
    first = study(part, "levels", root)
    trained = [variant for variant, block in first.retrievers.items() if first.recipes[block.recipe]]
    return {variant.replace("trained-", "level-"): variant for variant in trained}


def models(part: str, root: Path = Path()) -> dict[str, Path]:
    """Level -> where its model lies after the first phase."""
    (seed,) = study(part, "levels", root).seeds
    return {level: Path("data/models") / variant / f"seed-{seed}" for level, variant in variants(part, root).items()}


def targets(part: str, phase: str, root: Path = Path()) -> list[str]:
    """The stages of dvc.yaml that a phase brings up to date."""
    return [f"train@{variant}" for variant in variants(part, root).values()] if phase == "levels" else ["evaluate"]
