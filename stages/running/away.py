"""What runs for a stage whose command goes to a Ray cluster: launch.py calls it in the command's place."""

import json
import sys
from pathlib import Path

import click

from stages.core import on_ray
from stages.core.on_ray import Cluster


@click.group()
def main() -> None:
    """A Ray cluster for `python -m stages.reproduce --ray`."""


@main.command()
@click.argument("asked")
def room(asked: str) -> None:
    """Print as JSON what a cluster gives to stages as ASKED, and how many of them it runs at once."""
    known = json.loads(asked)
    processes = known["processes"]
    if known["gpus"] is None:
        known["gpus"] = float(on_ray.has_gpus(_cluster(known["address"], known["cpus"], 0)))
    on_ray.room(_cluster(known["address"], known["cpus"] * processes, known["gpus"] * processes))  # for a training
    known["jobs"] = on_ray.room(_cluster(known["address"], known["cpus"], known["gpus"]))
    click.echo(json.dumps(known))


@main.command()
@click.argument("asked")
@click.argument("command")
def run(asked: str, command: str) -> None:
    """Run COMMAND on a machine of a cluster, as ASKED, and end with its exit code."""
    known = json.loads(asked)
    cluster = _cluster(known["address"], known["cpus"], known["gpus"])
    code = on_ray.run(command, cluster, Path(known["log"]))
    sys.exit(code if code >= 0 else 128 - code)


def _cluster(address: str, cpus: float, gpus: float) -> Cluster:
    return Cluster(address, cpus, gpus, said="--ray", lower="threads or --gpus")


if __name__ == "__main__":
    main()
