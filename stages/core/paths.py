"""Paths as people write them into params.yaml."""

from pathlib import Path

EXPERIMENTS = (".dvc", "tmp", "exps")


def of_user(name: str) -> Path:
    """A path of params.yaml: `~` is the home folder, and a relative path begins at the working directory.

    DVC runs queued experiments in a copy of the repository below its .dvc/tmp/exps, which holds only what git tracks. A
    relative path that leads nowhere from there begins at the repository itself.
    """
    path = _expanded(name)
    root = _repository(Path.cwd())
    return path if root is None or path.exists() or not (root / path).exists() else root / path


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~somebody whom this machine does not know
        return Path(name)


def _repository(here: Path) -> Path | None:
    """The repository whose experiment runs in `here`; None where `here` is no experiment's folder."""
    for at in range(len(here.parts) - len(EXPERIMENTS)):
        if here.parts[at : at + len(EXPERIMENTS)] == EXPERIMENTS:
            return Path(*here.parts[:at])
    return None
