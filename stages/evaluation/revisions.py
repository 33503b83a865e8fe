"""What git has of a revision: committed files, and the per-query table and settings there under today's names.

Revisions from before the project's names were those of the field are read too, so that a change of names alone can be
held to what came before it.
"""

import subprocess
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.core.errors import UserError
from stages.evaluation import per_query
from stages.params import renamed

COLUMNS = {"row": "variant", "copy": "seed_run"}
SEED_RUNS = {"untrained": "pretrained"}


def commit(revision: str) -> str:
    """A revision's commit in git's short form. Raises UserError where git knows none of that name in this folder."""
    done = _git("rev-parse", "--verify", "--quiet", "--short", f"{revision}^{{commit}}")
    if done.returncode:
        raise UserError(
            f"{revision}: git knows no such revision here; name one that git log shows, or fetch it "
            "(a shallow clone is completed by git fetch --unshallow)"
        )
    return done.stdout.decode().strip()


def read(revision: str, path: str) -> bytes:
    """A committed file as it is at a revision; path is relative to this folder.

    Raises UserError for an unknown revision and for a file that is not there.
    """
    done = _git("show", f"{commit(revision)}:./{path}")
    if done.returncode:
        raise UserError(
            f"{revision}: {path} is not committed there; name a revision that has it "
            f"(git log --oneline -- {path} lists them)"
        )
    return done.stdout


def name_of(revision: str | None) -> str:
    """What errors call the per-query table of a revision, or of the workspace."""
    return str(per_query.TABLE) if revision is None else f"{revision}:{per_query.TABLE}"


def table(revision: str | None) -> pa.Table:
    """The per-query table of a revision, or of the workspace; see per_query.parse for its form and errors."""
    if revision is None:
        return per_query.read()
    return per_query.parse(read(revision, str(per_query.TABLE)), name_of(revision), _named_as_today)


def settings(revision: str) -> dict[str, Any]:
    """The blocks of params.yaml at a revision, with today's keys; today's code may not accept them.

    Raises UserError where it is not YAML.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        blocks = YAML(typ="safe").load(read(revision, "params.yaml"))
    except YAMLError:
        blocks = None
    if not isinstance(blocks, dict):
        raise UserError(f"{revision}: its params.yaml cannot be read as YAML; name another revision")
    return _translated(blocks)


def _named_as_today(values: pa.Table) -> pa.Table:
    values = values.rename_columns([COLUMNS.get(name, name) for name in values.column_names])
    if "seed_run" not in values.column_names:
        return values
    seed_runs = values["seed_run"]
    for old, new in SEED_RUNS.items():
        seed_runs = pc.if_else(pc.equal(seed_runs, old), new, seed_runs)
    return values.set_column(values.column_names.index("seed_run"), "seed_run", seed_runs)


def _translated(blocks: dict[str, Any]) -> dict[str, Any]:
    """The blocks of a params file with today's names of blocks and of keys in them."""
    blocks = _renamed(blocks, renamed.BLOCKS)
    for block, keys in renamed.KEYS.items():
        if isinstance(blocks.get(block), dict):
            blocks[block] = {name: _renamed(entry, keys) for name, entry in blocks[block].items()}
    return {**blocks, "report": _renamed(blocks.get("report"), renamed.REPORT)}


def _renamed(entry: Any, names: dict[str, str]) -> Any:
    return {names.get(key, key): value for key, value in entry.items()} if isinstance(entry, dict) else entry


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *words], capture_output=True)
    except FileNotFoundError:
        raise UserError("git: is not installed, and earlier revisions are read with it; install it")
