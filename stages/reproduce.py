"""Reproduce: run what changed, several stages at once, and show the answer."""

import math
import os
import sys

import click

from stages import params
from stages.core import on_ray
from stages.core.errors import UserError
from stages.params.scale import Scale
from stages.running import (
    closing,
    costs,
    driver,
    guard,
    lock_file,
    machine,
    overrides,
    pipeline,
    preview,
    remote,
    warm,
)
from stages.running.console import Console, duration
from stages.running.job import log_of

FIRST = ("check", "code")  # they decide what else is stale


@click.command()
@click.argument("targets", nargs=-1)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="stages at once, on the cluster with --ray; what cores, memory and GPUs allow",
)
@click.option("-S", "--set-param", "settings", multiple=True, help="change params.yaml first, as dvc exp run -S does")
@click.option(
    "--ray", metavar="ADDRESS", help="compute on the machines of a Ray cluster, auto for the one that is here"
)
@click.option("--gpus", type=click.FloatRange(0, 1), help="of a GPU, for a stage on the cluster; 1 where it has any")
@click.option("--dry", is_flag=True, help="say what would run, for how long and how large, and change nothing")
def main(
    targets: tuple[str, ...],
    jobs: int | None,
    settings: tuple[str, ...],
    ray: str | None,
    gpus: float | None,
    dry: bool,
) -> None:
    """Run the stages that changed, or of these what TARGETS need; DVC is the cache and says what changed.

    Stages that do not need each other run side by side, each with its output in data/logs/<stage>.log. dvc.lock is the
    same as after `dvc repro`. A stage that fails stops those that need it, and no others. With --ray what trains,
    encodes, reranks and searches is computed by machines of a cluster, which share this folder.
    """
    _check_options(ray, gpus, dry)
    with guard.alone():
        if lock_file.is_cut():
            click.echo(lock_file.mend(), err=True)
        if dry:
            plan = preview.plan(targets, settings)
            for line in preview.lines(plan, costs.known(), jobs or plan.jobs):
                click.echo(line)
            return
        with overrides.applied(settings):
            run = _begun(targets)
            if ray and run.ahead:
                run.remote = remote.found(ray, params.load(), gpus, jobs)
        _run(run, None if ray else jobs)
    for line in closing.lines(run.known.needs.keys()):
        click.echo(line)


def _check_options(ray: str | None, gpus: float | None, dry: bool) -> None:
    if gpus is not None and not ray:
        raise UserError("--gpus is of a cluster's stages; name its address with --ray")
    if gpus is not None and not math.isfinite(gpus):
        raise UserError(f"--gpus {gpus}: give a number from 0 to 1")
    if ray is not None and not ray.strip():
        raise UserError("--ray: names no address; say auto for the cluster that is here, or leave --ray out")
    if ray and dry:
        raise UserError("--dry counts the stages that run at once here; leave --ray out")
    if ray:
        os.environ[on_ray.AWAY] = "1"


def _begun(targets: tuple[str, ...]) -> driver.Run:
    """The pipeline once params.yaml has been checked and the code looked at; raises UserError where that fails."""
    try:
        known = pipeline.load(targets)
    except UserError:
        params.load()  # says what is wrong in the study's own words
        raise
    run = driver.Run(known, Console(), costs.expected(known, costs.known()))
    driver.survey(run, FIRST)
    driver.go(run, FIRST)
    _end_where_stopped(run)
    for error in run.failed.values():
        run.console.close()
        raise UserError(error)
    driver.survey(run)
    return run


def _run(run: driver.Run, jobs: int | None) -> None:
    """Run everything else, and end with 1 where a stage failed."""
    if not run.ahead:
        run.console.line(f"Nothing to run: none of {len(run.known.needs)} stages changed")
    else:
        limit = threads()
        scale = _scale()
        run.jobs, run.gpus = jobs or machine.jobs(limit, scale.most if scale else 1), machine.gpus()
        if scale:
            run.processes, run.encoders = scale.training.processes, scale.encoding.own_gpus
        run.console.begin(len(run.ahead))
        run.console.line(announcement(run))
        here = [name for name in run.ahead if not run.goes(name)]
        with warm.server(here, limit, log_of("server")) as run.warm:
            driver.go(run)
    run.console.close()
    lock_file.order(run.known)
    lock_file.keep()
    _end_where_stopped(run)
    _end_where_failed(run)


def announcement(run: driver.Run) -> str:
    """How many stages run and about how long."""
    unknown = [name for name in run.ahead if run.seconds[name] is None]
    most = "" if not run.unsure else "up to "
    time = "time unknown" if run.left is None else f"about {duration(run.left)}"
    lacking = f" and {len(unknown)} stages of unknown time" if unknown and run.left is not None else ""
    where = f"{run.jobs} at once" + (f" and {run.remote.room} on the cluster" if run.remote else "")
    return f"{most}{len(run.ahead)} of {len(run.known.needs)} stages to run, {where}: {time}{lacking}"


def threads() -> int | None:
    """How many threads the study gives a stage; None where it leaves that to the libraries, or cannot be read."""
    try:
        return params.load().threads
    except UserError:
        return None


def _scale() -> Scale | None:
    """What shares the work of a stage; None where the study cannot be read."""
    try:
        return params.load().scale
    except UserError:
        return None


def _end_where_stopped(run: driver.Run) -> None:
    if run.stopped:
        run.console.close()
        click.echo("stopped; run again to go on", err=True)
        sys.exit(128 + run.stopped)


def _end_where_failed(run: driver.Run) -> None:
    for stage, error in run.failed.items():
        click.echo(f"{stage} failed: {error} ({log_of(stage)})", err=True)
    if run.failed:
        lost = f"; {len(run.lost)} that need {'it' if len(run.failed) == 1 else 'them'} did not run" if run.lost else ""
        raise UserError(f"{len(run.failed)} of {len(run.known.needs)} stages failed{lost}")


if __name__ == "__main__":
    main()
