"""A folder in BEIR layout: corpus, queries and qrels/<split>, in the forms that tables.py and judgments.py read."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from stages.collections import judgments, records, tables
from stages.collections.source import Source, subsets
from stages.core import fingerprint
from stages.params.corpora import Corpus


class Files(NamedTuple):
    """The files of a collection; those of qrels by their split's name in the canonical format."""

    passages: Path
    queries: Path
    qrels: dict[str, Path]

    @property
    def every(self) -> list[Path]:
        return [self.passages, self.queries, *self.qrels.values()]


def read(corpus: Corpus, location: str) -> Source:
    """The collection in the folder `location`; a split's name in the source is the stem of its file in qrels/.

    corpus.jsonl holds {_id, title?, text}, queries.jsonl {_id, text}. qrels/<stem>.tsv has the header
    query-id corpus-id score; qrels/<stem>.trec, .txt or .qrels is TREC's (query 0 passage grade); a stem may name its
    form itself. All but TREC's may be jsonl, csv, tsv or parquet. Passages stream, title and text joined by a space.
    Every query is its own cluster. UserError names a file that is not there or is there twice, or the file and line
    that cannot be read.
    """
    folder, found = _found(corpus, location)
    dropped: Counter[str] = Counter()
    queries = records.queries(tables.rows(found.queries), dropped)
    return Source(
        docs=records.passages(tables.rows(found.passages)),
        queries=queries,
        qrels={split: judgments.read(path) for split, path in found.qrels.items()},
        dropped=dict(dropped),
        origin={path.relative_to(folder).as_posix(): fingerprint.of_file(path) for path in found.every},
    )


def files(corpus: Corpus, location: str) -> dict[str, Path]:
    """The files that `read` reads, by their names in the folder; raises UserError as it does."""
    folder, found = _found(corpus, location)
    return {path.relative_to(folder).as_posix(): path for path in found.every}


def splits(location: str) -> list[str]:
    """The names of the splits in the folder, sorted; UserError where it is none."""
    return judgments.stems(tables.folder_of(location) / "qrels")


def _found(corpus: Corpus, location: str) -> tuple[Path, Files]:
    folder = tables.folder_of(location)
    passages, queries = (tables.find(folder, name) for name in ("corpus", "queries"))
    return folder, Files(passages, queries, judgments.find(folder / "qrels", subsets(corpus)))
