"""Hashes of files, folders and values, which tell whether unfinished work can be resumed. core/code.py hashes code."""

import hashlib
import json
from pathlib import Path


def of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def of_folder(folder: Path) -> str:
    """sha256 over the relative names and contents of all files below a folder, in hex."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return of_values(*([path.relative_to(folder).as_posix(), of_file(path)] for path in files))


def of_values(*values: object) -> str:
    """sha256 of JSON-serialisable values, in hex."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
