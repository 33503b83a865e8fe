"""The vectors that encoding left: whose they are, opened and checked, and those looked at as float64 of length 1."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stages.core.errors import UserError


def seed_runs(indexes: Path, variants: Iterable[str], corpus: str) -> dict[str, list[Path]]:
    """Variant -> the folders of its seed runs' indexes of a corpus, sorted. Raises UserError where one has none."""
    folders = {
        variant: sorted(path for path in (indexes / variant / corpus).glob("*") if path.is_dir())
        for variant in variants
    }
    if missing := [variant for variant, own in folders.items() if not own]:
        raise UserError(f"{indexes}: no index of {corpus} by {', '.join(missing)}; run dvc repro")
    return folders


def opened(path: Path, texts: int) -> np.memmap:
    """The vectors (texts, d) of a file. Raises UserError where it is missing or holds another number of vectors."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run dvc repro")
    vectors = np.load(path, mmap_mode="r")
    if len(vectors) != texts:
        raise UserError(f"{path}: {len(vectors)} vectors for {texts} texts; encode the corpus again")
    return vectors


def chosen(vectors: np.memmap, rows: np.ndarray) -> np.ndarray:
    """The vectors at some row numbers, as `unit` gives them. Raises UserError where some hold NaN or infinity."""
    if not np.isfinite(vectors[rows]).all():
        raise UserError(
            f"{vectors.filename}: contains NaN or infinity; the training of this variant diverged, lower its lr"
        )
    return unit(vectors[rows])


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows of (n, d) as float64 of length 1, free of what float16 or float32 rounded away; one of 0 stays that."""
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths, lengths, 1)
