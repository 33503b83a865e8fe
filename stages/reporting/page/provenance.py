"""Where a number comes from: what dvc.lock records of the files behind it, and what git says of the code."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import code, graph
from stages.evaluation.results import Result

CHECKS = ("data/checked", "data/code")  # checked settings, and what stages depend on in place of their source files
Stages = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class File:
    """A file or folder and its md5 in dvc.lock."""

    path: str
    hash: str | None


@dataclass(frozen=True)
class Stage:
    """A stage behind a section of the page: its command, what it read and wrote.

    `known` is whether dvc.lock has it.
    """

    command: str
    known: bool
    reads: Sequence[File]
    writes: Sequence[File]


@dataclass(frozen=True)
class Output:
    """The md5 of a stage's first output in dvc.lock, None where it is not there, and whether it is here unchanged."""

    hash: str | None
    state: str


OF_OTHERS = Output(None, "those of the runs that it fuses")


@dataclass(frozen=True)
class Number:
    """One value of the results, with the run, model and data behind it; `link` is the id of its line on the page."""

    link: str
    result: Result
    run: Output
    model: Output
    data: Output


@dataclass(frozen=True)
class Commit:
    """`commit` is None where git or a repository is missing, or where no commit has them; `says` is the text shown."""

    commit: str | None
    says: str


def recorded(lock: Path) -> Stages:
    """The stages of a dvc.lock by name; none where there is no such file."""
    from ruamel.yaml import YAML

    if not lock.is_file():
        return {}
    return (YAML(typ="safe").load(lock.read_text()) or {}).get("stages", {})


def lineage(stages: Stages, paths: Iterable[str]) -> list[str]:
    """The names of the stages that made the files or folders at `paths`, directly or through other stages; sorted.

    The stages that fingerprint code and check settings make no number and are left out.
    """
    names: set[str] = set()
    wanted = set(paths)
    while wanted:
        path = wanted.pop()
        for name, entry in stages.items():
            if name not in names and any(_overlap(out["path"], path) for out in entry.get("outs", [])):
                names.add(name)
                wanted |= {dep["path"] for dep in entry.get("deps", []) if not dep["path"].startswith(CHECKS)}
    return sorted(names)


def sources(stages: Stages, names: Iterable[str]) -> list[str]:
    """params.yaml and the source files of what the named stages run, with all that these import; sorted."""
    modules = {match[1] for name in names if (match := graph.MODULE.search(stages[name]["cmd"]))}
    files = code.closure(*sorted(modules))
    return sorted({"params.yaml", *(path.relative_to(code.ROOT).as_posix() for path in files)})


def commit(paths: Sequence[str], root: Path) -> Commit:
    """The last commit that changed any of `paths`."""
    try:
        last = _git(root, "log", "-1", "--format=%H", "--", *paths)
        changed = _git(root, "status", "--porcelain", "--", *paths)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return Commit(None, "no git here")
    return Commit(last or None, (last or "in no commit yet") + (" with uncommitted changes" if changed else ""))


def stage(stages: Stages, name: str) -> Stage:
    """A stage as the page shows it."""
    known = stages.get(name)
    reads, writes = (_files((known or {}).get(kind, [])) for kind in ("deps", "outs"))
    return Stage(f"dvc repro {name}", known is not None, reads, writes)


def maker(stages: Stages, path: str) -> str | None:
    """The stage whose output is at `path`, or holds it; None where no stage of the lock has one."""
    makers = (
        name
        for name, entry in stages.items()
        for out in entry.get("outs", [])
        if path == out["path"] or path.startswith(out["path"] + "/")
    )
    return next(makers, None)


def output(stages: Stages, name: str | None, path: Path) -> Output:
    """What dvc.lock has of the first output of a stage, which is at `path`.

    Its state is "as recorded" where the files there have the number and total size that dvc.lock says, else "changed
    since", or "not here".
    """
    out = next(iter(stages.get(name or "", {}).get("outs", [])), None)
    if out is None:
        return Output(None, "not in dvc.lock")
    if not path.exists():
        return Output(out["md5"], "not here")
    here = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    same = (sum(file.stat().st_size for file in here), len(here)) == (out["size"], out.get("nfiles", 1))
    return Output(out["md5"], "as recorded" if same else "changed since")


def numbers(stages: Stages, results: Iterable[Result], runs: Path, models: Path, corpora: Path) -> list[Number]:
    """One line for each result."""
    lines = []
    for result in results:
        variant, corpus = result.variant, result.corpus
        run = maker(stages, f"data/runs/{variant}/{corpus}")
        whole = run is not None and run.startswith(("fuse@", "rerank@"))  # one output for all corpora
        fused = run is not None and run.startswith("fuse@")
        lines.append(
            Number(
                link(result),
                result,
                output(stages, run, runs / variant if whole else runs / variant / corpus),
                OF_OTHERS if fused else output(stages, maker(stages, f"data/models/{variant}"), models / variant),
                output(stages, f"download@{corpus}", corpora / corpus),
            )
        )
    return lines


def link(result: Result) -> str:
    """The id of the line that says where a number comes from."""
    return f"from-{result.variant}-{result.corpus}-{result.split}-{result.measure}"


def _files(entries: Iterable[Mapping[str, Any]]) -> list[File]:
    return [File(entry["path"], entry.get("md5")) for entry in entries if not entry["path"].startswith(CHECKS)]


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are one, or one holds the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()
