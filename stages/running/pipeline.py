"""What DVC knows: the stages of dvc.yaml, who needs whom, and which of them changed."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import UserError
from stages.running import lock_file
from stages.running.turns import Turn

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

FIRST = "check"  # nothing runs beside it: it may end the run, and it removes the outputs of dropped variants


@dataclass(frozen=True)
class Pipeline:
    """DVC's graph: `needs` has every stage, in the order in which DVC would run them one after the other."""

    repo: "Repo"
    stages: dict[str, "PipelineStage"]
    needs: dict[str, set[str]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.needs)

    @cached_property
    def megabytes(self) -> dict[str, float]:
        """Stage -> size of its outputs as dvc.lock has it; stages that it does not have are left out."""
        sizes = {name: [out.meta.size for out in stage.outs] for name, stage in self.stages.items()}
        return {name: sum(size) / 1e6 for name, size in sizes.items() if None not in size}


def load(targets: Iterable[str] = (), root: str | None = None) -> Pipeline:
    """The stages that `targets` need, all where none is named.

    Raises UserError with DVC's own words for a pipeline, params file or target that DVC does not take.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # no bars of DVC's beside the one line of this run
    try:
        repo = Repo(root, _wait_for_lock=True)
        repo.lock = Turn(repo.lock, Path(repo.tmp_dir) / "turn")
        graph = get_active_graph(repo.index.graph)
        wanted = [stage for target in targets for stage in repo.stage.collect(_below(target, root))]
        ordered = [stage for stage in plan_repro(graph, wanted or None) if not stage.is_data_source]
    except DvcException as error:
        raise UserError(words(error).replace(f"{root}/", "") if root else words(error))
    names = {stage: stage.addressing.removeprefix(f"{root}/dvc.yaml:") for stage in ordered}
    needs = {names[stage]: {names[one] for one in graph.successors(stage) if one in names} for stage in ordered}
    if FIRST in needs:
        needs = {name: needs[name] | ({FIRST} - {name}) for name in [FIRST, *needs]}
    return Pipeline(repo, {name: stage for stage, name in names.items()}, needs)


def _below(target: str, root: str | None) -> str:
    """A target as DVC names it from here, where the pipeline is that of another folder."""
    from dvc.repo.stage import parse_target

    if not root:
        return target
    path, name = parse_target(target)
    return f"{root}/{path or 'dvc.yaml'}{f':{name}' if name else ''}"


@contextmanager
def locked(repo: "Repo") -> Iterator[None]:
    """Hold DVC's lock of the repository, as its own commands do."""
    from dvc.repo import lock_repo

    with lock_repo(repo):
        yield


def is_stale(stage: "PipelineStage") -> bool:
    """Whether DVC would run the stage or take it from its cache: command, inputs, parameters or outputs changed."""
    if stage.changed_stage() or stage.is_callback or stage.always_changed:
        return True
    read = [] if stage.frozen else stage.deps
    return any(entry.status() for entry in [*read, *stage.outs])


def reproduce(repo: "Repo", stage: "PipelineStage") -> None:
    """Run one stage as `dvc repro --single-item` does, and write its entry of dvc.lock.

    Raises DVC's exceptions.
    """
    from dvc.stage.serialize import to_single_stage_lockfile

    with locked(repo):
        if stage.reproduce(interactive=False) and not lock_file.put(stage.name, to_single_stage_lockfile(stage)):
            stage.dump(update_pipeline=False)


def words(error: BaseException | None) -> str:
    """What an exception of DVC says, with what is behind it, in one line."""
    said: list[str] = []
    while error is not None:
        line = " ".join(str(error).split())
        if line and line not in said:
            said.append(line)
        error = error.__cause__
    return ": ".join(said)
