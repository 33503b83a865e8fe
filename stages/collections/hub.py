"""Datasets of the Hugging Face hub, and folders that are laid out as they are: which files hold what."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stages.collections import tables
from stages.collections.tables import Row
from stages.core import fingerprint
from stages.core.errors import UserError
from stages.params.corpora import LOCAL

PREFIX = re.compile(r"^hf://datasets/[^@]+@[^/]+/")
SHARD = r"(-\d+-of-\d+)?"
OTHERS = {".json": "json", ".arrow": "arrow"}  # the library's reader of each form that tables.py does not read


@dataclass(frozen=True)
class Dataset:
    """A folder, whose revision is None, or a dataset of the hub; its files go by their names in it."""

    name: str
    revision: str | None

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"

    @cached_property
    def configurations(self) -> list[str]:
        """The names of its configurations; a dataset that declares none has `default` alone."""
        from datasets import get_dataset_config_names

        try:
            return get_dataset_config_names(self.name, revision=self.revision)
        except Exception as error:
            raise UserError(self._unreadable(error))

    def splits(self, configuration: str | None) -> dict[str, list[str]]:
        """Split -> its files, of a configuration; None is the only one or the default."""
        from datasets import load_dataset_builder

        try:
            found = load_dataset_builder(self.name, configuration, revision=self.revision).config.data_files or {}
        except Exception as error:
            raise UserError(self._unreadable(error))
        return {str(split): [self._name(file) for file in files] for split, files in found.items()}

    @cached_property
    def names(self) -> list[str]:
        """The names of all its files, sorted."""
        if self.revision is None:
            folder = Path(self.name)
            return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        from huggingface_hub import list_repo_files

        try:
            return sorted(list_repo_files(self.name, repo_type="dataset", revision=self.revision))
        except Exception as error:
            raise UserError(self._unreadable(error))

    def called(self, stem: str, folders: Iterable[str], forms: Iterable[str]) -> list[str]:
        """The file called `stem` in one of the folders, in its shards if it has some; none where it is not there.

        Raises UserError where files could be meant that are no shards of one.
        """
        ending = "|".join(re.escape(form) for form in forms)
        where = "|".join(re.escape(folder) for folder in folders)
        found = [
            (match[1] is not None, name)
            for name in self.names
            if (match := re.fullmatch(rf"(?:{where}){re.escape(stem)}{SHARD}(?:{ending})(?:\.gz)?", name))
        ]
        if len(found) > 1 and not all(is_shard for is_shard, _ in found):
            raise UserError(f"{self}: holds {' and '.join(name for _, name in found)}; keep the one that is meant")
        return [name for _, name in found]

    def path(self, name: str) -> Path:
        """A file of the dataset on this machine, fetched if it was not here."""
        if self.revision is None:
            return Path(self.name) / name
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(self.name, name, repo_type="dataset", revision=self.revision))
        except Exception as error:
            raise UserError(self._unreadable(error))

    def origin(self, names: Iterable[str]) -> dict[str, str]:
        """The files' sha256, or of a dataset of the hub its revision."""
        if self.revision is not None:
            return {self.name: self.revision}
        return {name: fingerprint.of_file(self.path(name)) for name in names}

    def _name(self, file: str) -> str:
        if self.revision is not None:
            return PREFIX.sub("", file)
        folder = Path(self.name).absolute()
        return Path(file).relative_to(folder).as_posix() if Path(file).is_relative_to(folder) else file

    def _unreadable(self, error: Exception) -> str:
        where = "is not laid out as a dataset" if self.revision is None else "did not come from the hub"
        return f"{self}: {where} ({' '.join(str(error).split())[:200]})"


def dataset(location: str) -> Dataset:
    """The dataset <name>@<revision>, or the folder, that a location names; UserError where the folder is not there."""
    if not location.startswith(LOCAL):
        name, _, revision = location.partition("@")
        return Dataset(name, revision)
    return Dataset(str(tables.folder_of(location)), None)


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file of a dataset."""
    if tables.form(path) not in OTHERS:
        return tables.rows(path)
    return _by_library(path)


def _by_library(path: Path) -> Iterator[Row]:
    from datasets import load_dataset

    number = 0
    try:
        reader = OTHERS[tables.form(path)]
        for values in load_dataset(reader, data_files=str(path), split="train", streaming=True):
            number += 1
            yield Row(f"{path}: row {number}", values)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read behind row {number} ({reason}); fetch the file again")
