"""Readers of collections, one file or package a kind of source; `corpora.<name>.source` is `<kind>:<location>`.

A reader is a module here named by its kind with a function

    read(corpus: Corpus, location: str) -> Source

and, where it reads files of this machine, `files(corpus, location) -> dict[str, Path]`, those that it reads by name;
`splits(location) -> list[str]` where that takes no time.
It raises UserError for what it cannot read. It is imported by its name, so that a new reader makes no corpus of another
kind stale.
"""

from importlib import import_module
from pathlib import Path

from stages.collections.source import Source
from stages.core.errors import UserError
from stages.params.corpora import Corpus


def module(corpus: Corpus) -> str:
    """The name of the module that reads a corpus's kind of source."""
    return f"{__name__}.{corpus.source.partition(':')[0]}"


def read(corpus: Corpus) -> Source:
    """What the source of a corpus holds, its splits under their names in the canonical format."""
    kind, _, location = corpus.source.partition(":")
    try:
        reader = import_module(module(corpus))
    except ModuleNotFoundError as error:
        if error.name != module(corpus):
            raise
        raise UserError(f"source: nothing reads '{kind}:'; write {module(corpus).replace('.', '/')}.py") from None
    source: Source = reader.read(corpus, location)
    if corpus.docpairs and (source.docpairs is None or corpus.train is None):
        raise UserError("docpairs: released triples need a source that has them (irds:) and a train split")
    return source


def files(corpus: Corpus) -> dict[str, Path]:
    """The files on this machine that a corpus is read from, by their names in its folder.

    None where it is read from somewhere else, and where they are not there.
    """
    reader = import_module(module(corpus))
    try:
        return reader.files(corpus, corpus.source.partition(":")[2]) if hasattr(reader, "files") else {}
    except UserError:
        return {}


def splits(corpus: Corpus) -> list[str] | None:
    """The names of the splits in a corpus's source; None where only its reader finds out."""
    reader = import_module(module(corpus))
    return reader.splits(corpus.source.partition(":")[2]) if hasattr(reader, "splits") else None
