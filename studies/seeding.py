"""Other seeds for a study, as its --seeds says them: 1,2,3."""

from typing import Any

import click

from stages.core.errors import UserError


def checked(context: click.Context, option: click.Parameter, said: str | None) -> str | None:
    """The seeds as they were said; raises UserError where they are not different whole numbers with commas between."""
    if said and not all(seed.isdecimal() for seed in said.split(",")):
        raise UserError(f"--seeds {said}: give whole numbers with commas between them, such as 1,2,3")
    if len(set(seeds := block(said).get("seeds", []))) < len(seeds):
        raise UserError(f"--seeds {said}: names a seed twice; give different ones, such as 1,2,3")
    return said


def block(said: str | None) -> dict[str, Any]:
    """The block of params.yaml that other seeds change."""
    return {"seeds": [int(seed) for seed in said.split(",")]} if said else {}


def suffix(said: str | None) -> str:
    """What tells the folders of a study with other seeds from its own."""
    return f"-{said.replace(',', '-')}" if said else ""
