"""`-S key=value`, with DVC's meaning, on params.yaml or on a copy of it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import publish

PARAMS = Path("params.yaml")


def apply(settings: Sequence[str], target: Path = PARAMS) -> bytes:
    """Write params.yaml with the settings at `target`, whole or not at all; returns params.yaml as it was.

    Raises UserError for a key that params.yaml does not have, and for more than one value of a key.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    before = PARAMS.read_bytes()
    with publish(target) as draft:
        copy = draft.with_suffix(".yaml")
        shutil.copy(PARAMS, copy)
        try:
            if settings and len(get_hydra_sweeps({str(copy): list(settings)})) > 1:
                raise UserError("-S: several values of a key are several runs; name one value at a time")
            if settings:
                apply_overrides(copy, list(settings))
            copy.rename(draft)
        except DvcException as error:
            raise UserError(f"-S: {_words(error)}")
        finally:
            copy.unlink(missing_ok=True)
    return before


@contextmanager
def applied(settings: Sequence[str]) -> Iterator[None]:
    """Change params.yaml; a UserError from within puts it back as it was, and says so."""
    before = apply(settings) if settings else None
    try:
        yield
    except UserError as error:
        if before is None:
            raise
        with publish(PARAMS) as draft:
            draft.write_bytes(before)
        wrong = error.message.partition("; git restore")[0]  # what `check` advises where nobody puts the file back
        raise UserError(f"{wrong}; params.yaml is as it was")


def _words(error: BaseException) -> str:
    """What is behind DVC's words, which name no key: what cannot be set, and how a new key is added."""
    return " ".join(str(error.__cause__ or error).split("\n")[:2])
