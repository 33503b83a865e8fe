"""Models of the Hugging Face hub, from the network or, without one, from the hub's cache on this machine."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection
from pathlib import Path

from stages.core.errors import UserError
from stages.models import local_weights, module_paths, repository_files

NAMING = ("modules.json", "router_config.json", "config.json")  # they name the folders that are wanted


def snapshot(repository: str, revision: str) -> Path:
    """The folder of the hub's cache that holds what a model is loaded from, brought there if need be.

    It may hold more. A commit that the cache has whole is not asked for again. Raises UserError where the hub has no
    such model, does not give it, or cannot be reached and the cache does not hold all of it; the line says which and
    what to do.
    """
    from huggingface_hub import HfApi

    if _is_commit(revision) and (cached := _cached(repository, revision, listed=True)):
        return cached
    try:
        files = HfApi().list_repo_files(repository, revision=revision)
        named = _brought(repository, revision, set(NAMING) & set(files)) if "modules.json" in files else None
        wanted = repository_files.wanted(files, module_paths.read(named) if named else {})
        if any(map(repository_files.is_weights, wanted)):
            return _brought(repository, revision, wanted)
    except UserError:
        raise
    except Exception as error:
        if _may_be_cached(error) and (cached := _cached(repository, revision)):
            return cached
        raise UserError(_explained(repository, revision, error))
    raise UserError(repository_files.without_weights(files))


def code(repository: str, revision: str) -> list[Path]:
    """The Python files in the root of a repository. Raises UserError, whose line begins with `code`."""
    from huggingface_hub import snapshot_download

    try:
        return sorted(Path(snapshot_download(repository, revision=revision, allow_patterns="*.py")).glob("*.py"))
    except Exception as error:
        raise UserError(f"code: {_explained(repository, revision, error)}")


def _brought(repository: str, revision: str, files: Collection[str]) -> Path:
    """The folder of the hub's cache, with these files of a repository in it."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repository, revision=revision, allow_patterns=sorted(map(glob.escape, files))))


def _is_commit(revision: str) -> bool:
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def _may_be_cached(error: Exception) -> bool:
    """Whether the hub may have, or have had, what it did not give."""
    from huggingface_hub.errors import HFValidationError, RevisionNotFoundError

    return not isinstance(error, RevisionNotFoundError | HFValidationError)


def _cached(repository: str, revision: str, listed: bool = False) -> Path | None:
    """The folder of the hub's cache if it holds all that is wanted; with `listed`, if a listing there proves it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, IncompleteSnapshotError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except IncompleteSnapshotError as incomplete:
        folder = Path(incomplete.snapshot_path)
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if _is_whole(folder, repository, revision, listed) else None


def _is_whole(folder: Path, repository: str, revision: str, needs_listing: bool) -> bool:
    """Whether a cached folder has all that is wanted, by the repository's listing if the cache has that as well."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        listed = [file.path for file in get_cached_repo_tree(repository, revision=revision)]
    except CachedRepoTreeNotFoundError:
        return not needs_listing and bool(local_weights.below(folder)) and not any(local_weights.missing(folder))
    if not (set(NAMING) & set(listed)) <= {path.name for path in folder.iterdir()}:
        return False
    return all((folder / file).is_file() for file in repository_files.wanted(listed, module_paths.read(folder)))


def _explained(repository: str, revision: str, error: Exception) -> str:
    """Why a model did not come from the hub and what to do, in one line."""
    from huggingface_hub import errors

    address = f"https://huggingface.co/{repository}"
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is gated; accept its terms at {address}, then log in with hf auth login, or set HF_TOKEN"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the hub has no model {repository}, or it is private; correct its name, or log in with hf auth login, or "
            f"set HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision {revision}; its commits are listed at {address}/commits/main"
    if isinstance(error, errors.HFValidationError):
        return f"{repository} is no name of a model on the hub; say hub:<owner>/<name>@<commit>"
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
    return (
        f"{repository} at {revision} did not come from the hub, and its cache on this machine has not all of it "
        f"({reason}); connect to the network, or say folder:<path> of a copy"
    )
