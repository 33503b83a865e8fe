"""What an edit would run, found without changing a file of the study.

The stages `check` and `code` run in a copy of the pipeline, on the params file as it would be, and DVC resolves the
stages there. Then a stage would run where its command, its settings or its code differ from those of dvc.lock, where
DVC finds it changed as it is now, and where one that it needs would run.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stages import params
from stages.core.errors import UserError
from stages.running import costs, lock_file, machine, overrides, pipeline, schedule
from stages.running.console import duration
from stages.running.pipeline import Pipeline

COPY = Path(".dvc/tmp/exps/preview")  # from here paths of params.yaml lead to the repository, as in DVC's experiments
OWN = (".dvc", ".git", ".scratch", ".venv", "data", "dvc.lock", "params.yaml")
CODE = "data/code"
WRITTEN = ("params.yaml", f"{CODE}/")
FIRST = {
    "check": ["--data", "data", "--training", "data/training", "--out", "data/checked"],
    "code": ["--pipeline", "stages/pipeline.yaml", "--watched", "own", "--out", CODE],
}


@dataclass(frozen=True)
class Plan:
    """The stages that an edit would run, of all that the pipeline would then have, so many `jobs` at once."""

    known: Pipeline
    stale: list[str]
    jobs: int

    @property
    def needs(self) -> dict[str, set[str]]:
        """The stages that would run -> those among them that they need."""
        return {name: self.known.needs[name] & set(self.stale) for name in self.stale}


def plan(targets: Sequence[str], settings: Sequence[str]) -> Plan:
    """What these settings would run, or params.yaml as it is where there are none.

    Raises UserError as the run would, for settings that DVC or the study refuses.
    """
    try:
        now = pipeline.load()
    except UserError:
        params.load()  # says what is wrong in the study's own words
        raise
    with _copy(settings) as folder:
        _run_first(folder, now)
        then = pipeline.load(targets, folder)
        stale: list[str] = []
        for name, needs in then.needs.items():
            if not (needs - set(FIRST)).isdisjoint(stale) or _differs(then, name) or _is_stale_now(now, name):
                stale.append(name)
        jobs = _at_once(COPY / "params.yaml")
    return Plan(then, stale, jobs)


def lines(plan: Plan, known: Mapping[str, float], jobs: int) -> Iterator[str]:
    """What a plan would run, with seconds and megabytes where earlier runs know them, and in total."""
    seconds, sizes = (costs.expected(plan.stale, figures) for figures in (known, plan.known.megabytes))
    width = max(map(len, plan.stale), default=0)
    for name in plan.stale:
        took, size = seconds[name], sizes[name]
        known_size = "size unknown" if size is None else f"{size:,.1f} MB"
        yield f"{name:{width}}  {'time unknown' if took is None else duration(took):>12}  {known_size:>12}"
    if not plan.stale:
        yield f"Nothing would run: none of {len(plan.known.needs)} stages would change"
        return
    time = schedule.makespan(plan.needs, {name: took or 0.0 for name, took in seconds.items()}, jobs)
    some = sum(took is None for took in seconds.values())
    lacking = f" without {some} stages of unknown time" if some else ""
    total = sum(size or 0.0 for size in sizes.values())
    yield (
        f"{len(plan.stale)} of {len(plan.known.needs)} stages would run, {jobs} at once: about {duration(time)}"
        f"{lacking}, and write {total:,.0f} MB. Those whose inputs come out equal, or that DVC has cached, are skipped."
    )


def _at_once(path: Path) -> int:
    """How many stages of a params file this machine runs at once; one where that cannot be read and one takes all."""
    try:
        study = params.load(path)
    except UserError:
        return machine.jobs(None)
    return machine.jobs(study.threads, study.scale.most)


def _differs(then: Pipeline, name: str) -> bool:
    """Whether a stage's command, settings or code would not be those of dvc.lock."""
    stage = then.stages[name]
    return stage.changed_stage() or any(dep.status() for dep in stage.deps if dep.def_path.startswith(WRITTEN))


def _is_stale_now(now: Pipeline, name: str) -> bool:
    """Whether inputs that no stage makes are changed, or outputs, without DVC's cache having them."""
    if name not in now.stages:
        return True
    stage = now.stages[name]
    made = {out.fs_path for other in now.stages.values() for out in other.outs}
    given = [dep for dep in stage.deps if dep.fs_path not in made and not dep.def_path.startswith(WRITTEN)]
    return any(dep.status() for dep in given) or (any(out.status() for out in stage.outs) and not stage.outs_cached())


@contextmanager
def _copy(settings: Sequence[str]) -> Iterator[str]:
    """A folder like the repository, with the params file as it would be and without data; removed at the end."""
    shutil.rmtree(COPY, ignore_errors=True)
    try:
        (COPY / ".dvc").mkdir(parents=True)
        (COPY / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
        overrides.apply(settings, COPY / "params.yaml")
        for path in Path.cwd().iterdir():
            if path.name not in OWN:
                (COPY / path.name).symlink_to(path)
        if lock_file.LOCK.exists():
            shutil.copy(lock_file.LOCK, COPY)
        yield str(COPY)
    finally:
        shutil.rmtree(COPY, ignore_errors=True)


def _run_first(folder: str, now: Pipeline) -> None:
    """Run the stages that decide about the others in the copy; raises UserError with the line of one that fails."""
    commands = {
        name: [sys.executable, "-m", f"stages.{name}", *options]
        for name, options in FIRST.items()
        if name in now.stages
    }
    running = {
        name: subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for name, command in commands.items()
    }
    said = {name: one.communicate()[1].strip() for name, one in running.items()}
    for name, one in running.items():
        if one.returncode:
            words = said[name] or f"{name}: was killed and said nothing (exit code {one.returncode}); run it again"
            raise UserError(words.splitlines()[-1].removeprefix("Error: "))
