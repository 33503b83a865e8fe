"""Runs of a params file in a clone of the committed code, so that studies do not wait for each other's DVC lock."""

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from stages.core.errors import UserError

GIVEN = ("reports/cause", "reports/saturation")  # which stages read, and none of a study writes
DVC = [sys.executable, "-m", "dvc"]


def merged(files: list[Path], **changed: Any) -> str:
    """One params.yaml of several files: a later file's block, or a changed one, takes an earlier one's place."""
    from ruamel.yaml import YAML

    yaml = YAML()
    blocks = yaml.load(files[0].read_text())
    for file in files[1:]:
        for name, block in yaml.load(file.read_text()).items():
            blocks[name] = block
    for name, block in changed.items():
        blocks[name] = block
    text = io.StringIO()
    yaml.dump(blocks, text)
    return text.getvalue()


def make(folder: Path, collections: Path | None) -> None:
    """Clone the commit into a folder without its results; one that is there already stays at its own commit.

    The folder appears once it is whole, so that no committed result is taken for its own. collections is a folder of
    texts that the clone sees as `collections`.
    """
    if folder.exists():
        return
    draft = folder.with_name(f".{folder.name}.part")  # not publish: git's objects may not be written to
    shutil.rmtree(draft, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "-q", ".", draft], check=True)
    subprocess.run(["git", "rm", "-rq", "dvc.lock", "reports"], cwd=draft, check=True)
    subprocess.run(["git", "checkout", "-q", "HEAD", *GIVEN], cwd=draft, check=True)
    subprocess.run([*DVC, "config", "--local", "cache.type", "reflink,hardlink,copy"], cwd=draft, check=True)
    if collections:
        (draft / "collections").symlink_to(collections.resolve())
    draft.rename(folder)


def environment(jobs: int) -> dict[str, str]:
    """This environment for one of `jobs` runs that share the cores; this interpreter's programs come first."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "DVC_NO_ANALYTICS": "1"}


def reproduce(
    folder: Path,
    params: str,
    targets: Sequence[str] = (),
    jobs: int | None = None,
    runs: int = 1,
    log: IO[str] | None = None,
) -> bool:
    """Write a clone's params.yaml and bring its stages up to date, with a line for each; True if it ended well.

    What is finished is kept. So many jobs are stages at once, None as many as cores and memory allow; the run is one of
    `runs` that share the cores. The lines go to the log, where there is one.
    """
    (folder / "params.yaml").write_text(params)
    command = [sys.executable, "-m", "stages.reproduce", *targets, *(["--jobs", str(jobs)] if jobs else [])]
    return subprocess.run(command, cwd=folder, env=environment(runs), stdout=log, stderr=log).returncode == 0


def run(name: str, folder: Path, params: str, targets: Sequence[str], jobs: int | None) -> None:
    """Run a study in a clone of its own, and say how long it took. Raises UserError where it stopped."""
    start = time.time()
    make(folder, None)
    click.echo(f"{name}: begins in {folder}")
    done = reproduce(folder, params, targets, jobs)
    click.echo(f"{name}: {'done' if done else 'stopped'} after {(time.time() - start) / 60:.0f} min")
    if not done:
        raise UserError(f"{name}: stopped; the lines above say why; run the same command again")


def collected(folder: Path, words: list[str], log: IO[str], runs: int = 1) -> bool:
    """Run a module of a clone in the environment of its run and by its own code, which knows its params.yaml.

    Today's code may want other keys. True if it ended well.
    """
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=environment(runs), stdout=log, stderr=log).returncode == 0
