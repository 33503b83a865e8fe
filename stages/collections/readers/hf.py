"""A dataset of the Hugging Face hub in the layout of MTEB or BEIR, or of pairs; or a folder in the same layout."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from stages.collections import hub, judgments, pairs, records, tables
from stages.collections.source import Source, subsets
from stages.collections.tables import Row
from stages.core.errors import UserError
from stages.params.corpora import LOCAL, Configs, Corpus

FOLDERS = ("qrels/", "default/", "data/")  # where the older layout has its judgments


class Files(NamedTuple):
    """Files of a dataset, by their names in it."""

    dataset: hub.Dataset
    names: list[str]

    def rows(self) -> Iterator[Row]:
        for name in self.names:
            yield from hub.rows(self.dataset.path(name))


def read(corpus: Corpus, location: str) -> Source:
    """The collection `location`, <dataset>@<revision> or a folder.

    Its configurations are corpus (_id, title?, text), queries (_id, text) and default or qrels (query-id, corpus-id,
    score), whose splits are those of the collection; corpora.<name>.configs renames them. In the older layout, without
    configurations, they are files: corpus, queries, and qrels/<split> there or <split> in a second dataset. Passages
    stream. Where corpora.<name>.pairs says so, the train split holds pairs or triplets (see pairs.py). UserError names
    what is not there, and the row that cannot be read.
    """
    parts = _parts(corpus, location)
    origin: dict[str, str] = {}
    for part in parts.values():
        origin |= part.dataset.origin(part.names)
    columns = corpus.pairs

    def trained() -> Iterator[Row]:
        return islice(parts["qrels train"].rows(), columns.limit if columns else None)

    if columns and not columns.ids:
        return pairs.of_texts(trained, columns, origin)
    dropped: Counter[str] = Counter()
    queries = records.queries(parts["queries"].rows(), dropped)
    judged = [split for split in subsets(corpus) if split != "train" or not columns]
    qrels = {"train": pairs.judgments(trained, columns)} if columns else {}
    return Source(
        docs=records.passages(parts["corpus"].rows()),
        queries=queries,
        qrels=qrels | {split: _judgments(parts[f"qrels {split}"]) for split in judged},
        dropped=dict(dropped),
        origin=origin,
        docpairs=pairs.released(trained, columns) if columns else None,
    )


def files(corpus: Corpus, location: str) -> dict[str, Path]:
    """The files that `read` reads of a folder, by their names in it; none for a dataset of the hub."""
    if not location.startswith(LOCAL):
        return {}
    return {name: part.dataset.path(name) for part in _parts(corpus, location).values() for name in part.names}


def _parts(corpus: Corpus, location: str) -> dict[str, Files]:
    """The files of `corpus`, of `queries` and of `qrels <split>` for each split."""
    dataset = hub.dataset(location)
    parts = {}
    wanted, configs = subsets(corpus), corpus.configs or Configs()
    if corpus.pairs:
        splits = dataset.splits(corpus.pairs.config)
        parts["qrels train"] = Files(dataset, _of_split(dataset, splits, wanted.pop("train")))
    if not corpus.pairs or corpus.pairs.ids:
        parts["corpus"] = Files(dataset, _table(dataset, "corpus", configs.corpus))
        parts["queries"] = Files(dataset, _table(dataset, "queries", configs.queries))
    found = _qrels(dataset, configs.qrels, wanted) if wanted else {}
    return parts | {f"qrels {split}": part for split, part in found.items()}


def _table(dataset: hub.Dataset, kind: str, name: str) -> list[str]:
    """The files of the passages or the queries: of a configuration's split, or called so."""
    config, _, split = name.partition("/")
    if config in dataset.configurations:
        splits = dataset.splits(config)
        if split or kind in splits or len(splits) == 1:
            return _of_split(dataset, splits, split or (kind if kind in splits else next(iter(splits))))
        if kind == "queries":
            return [file for files in splits.values() for file in files]
        raise UserError(
            f"{dataset}: configuration {config} has several splits; say configs: {{{kind}: {config}/<split>}}, "
            f"one of {', '.join(splits)}"
        )
    found = dataset.called(config, [""], tables.FORMS) or _below(dataset, config)
    if not found:
        raise UserError(
            f"{dataset}: has neither a configuration nor a file called {config}; its configurations are: "
            f"{', '.join(dataset.configurations)}; say configs: {{{kind}: <name>}}"
        )
    return found


def _below(dataset: hub.Dataset, folder: str) -> list[str]:
    """The files of a folder that holds nothing but one table."""
    names = [name for name in dataset.names if name.startswith(f"{folder}/")]
    return [name for name in names if tables.form(Path(name)) in tables.FORMS]


def _qrels(dataset: hub.Dataset, name: str | None, wanted: dict[str, str]) -> dict[str, Files]:
    """The files of each split's judgments: a configuration's, a second dataset's, or those called like the split."""
    if name and ("@" in name or name.startswith(LOCAL)):
        return _by_name(hub.dataset(name), ("", *FOLDERS), wanted)
    config = name or next((usual for usual in ("default", "qrels") if usual in _declared(dataset)), None)
    if config in _declared(dataset):
        splits = dataset.splits(config)
        return {split: Files(dataset, _of_split(dataset, splits, subset, wanted)) for split, subset in wanted.items()}
    beside = Path(f"{dataset.name}-qrels")
    if dataset.revision is None and beside.is_dir() and not any(file.startswith(FOLDERS) for file in dataset.names):
        return _by_name(hub.Dataset(str(beside), None), ("", *FOLDERS), wanted)
    return _by_name(dataset, (f"{name}/",) if name else FOLDERS, wanted)


def _declared(dataset: hub.Dataset) -> list[str]:
    """The configurations of a dataset that says which it has; a bare folder of files only seems to have `default`."""
    return dataset.configurations if len(dataset.configurations) > 1 else []


def _by_name(dataset: hub.Dataset, folders: Iterable[str], wanted: dict[str, str]) -> dict[str, Files]:
    found = {split: dataset.called(subset, folders, judgments.FORMS) for split, subset in wanted.items()}
    absent = [wanted[split] for split in wanted if not found[split]]
    if absent:
        there = sorted({Path(name).name.partition(".")[0] for name in dataset.names if name.startswith((*folders,))})
        raise UserError(
            f"{dataset}: {judgments.lacking(wanted, absent, there)}; if they are in a second dataset, say configs: "
            f"{{qrels: <dataset>@<revision>}}"
        )
    return {split: Files(dataset, names) for split, names in found.items()}


def _of_split(
    dataset: hub.Dataset, splits: dict[str, list[str]], split: str, wanted: dict[str, str] | None = None
) -> list[str]:
    if split not in splits and wanted is None:
        raise UserError(f"{dataset}: no split is called {split}; there are: {', '.join(splits)}")
    if split not in splits:
        absent = [subset for subset in (wanted or {}).values() if subset not in splits]
        raise UserError(f"{dataset}: {judgments.lacking(wanted or {}, absent, [*splits])}")
    return splits[split]


def _judgments(part: Files) -> list[judgments.Judgment]:
    """The judgments of all files of a split."""
    paths = [part.dataset.path(name) for name in part.names]
    if any(tables.form(path) in hub.OTHERS for path in paths):
        return list(judgments.of_rows(part.rows()))
    return [judgment for path in paths for judgment in judgments.read(path)]
