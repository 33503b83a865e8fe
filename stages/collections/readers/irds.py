"""A collection of ir_datasets, by its id; whatever it does not have on this machine it downloads."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from stages.collections.source import Query, Source, subsets
from stages.core.errors import UserError
from stages.params.corpora import Corpus


def read(corpus: Corpus, location: str) -> Source:
    """The passages of the dataset `location`, with the queries and judgments of its subsets.

    The subset "test" of beir/scifact is beir/scifact/test, and "" is the dataset itself; `docpairs` is a subset too.
    Texts are what ir_datasets calls the default text, else title and text. Every query is its own cluster. UserError
    names an id that does not exist, with those near it, a subset without judgments, and what could not be fetched.
    """
    from importlib import metadata

    dataset = _load(location, "docs")
    names = {split: _name(location, subset) for split, subset in subsets(corpus).items()}
    queries: dict[str, Query] = {}
    qrels = {}
    for split, name in names.items():
        part = _load(name, "queries", "qrels")
        with _fetching(name):
            for query in part.queries_iter():
                text = _text(query)
                if queries.setdefault(query.query_id, Query(text, query.query_id)).text != text:
                    raise UserError(f"irds:{name}: query id '{query.query_id}' appears twice, with different texts")
            qrels[split] = [(row.query_id, row.doc_id, int(row.relevance)) for row in part.qrels_iter()]
    released = _name(location, corpus.docpairs) if corpus.docpairs else None
    version = f"ir_datasets {metadata.version('ir_datasets')}"
    return Source(
        docs=_docs(location, dataset),
        queries=queries,
        qrels=qrels,
        origin=dict.fromkeys((location, *names.values()), version),
        docpairs=_docpairs(released, _load(released, "docpairs"), corpus.docpairs_limit) if released else None,
    )


def _name(dataset_id: str, subset: str) -> str:
    return f"{dataset_id}/{subset}" if subset else dataset_id


def _load(name: str, *parts: str) -> Any:
    import difflib

    import ir_datasets

    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        near = difflib.get_close_matches(name, list(ir_datasets.registry), 4)
        raise UserError(f"irds:{name}: ir_datasets knows no such dataset; near it: {', '.join(near) or 'nothing'}")
    for part in parts:
        if not getattr(dataset, f"has_{part}")():
            below = [key for key in ir_datasets.registry if key.startswith(f"{name}/")]
            raise UserError(f"irds:{name}: has no {part}; below it there are: {', '.join(below[:8]) or 'none'}")
    return dataset


@contextmanager
def _fetching(name: str) -> Iterator[None]:
    """Turn whatever ir_datasets raises while it fetches or reads into one line."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(
            f"irds:{name}: only its owners hand out its files; place them at {error} (see https://ir-datasets.com)"
        )
    except Exception as error:
        reason = " ".join(str(error).split())
        host = re.search(r"(?:host='|https?://)([^/'\s]+)", reason)
        if host and isinstance(error, OSError):
            raise UserError(
                f"irds:{name}: {host[1]} could not be reached; run where there is a network, or name a folder "
                f"as the source: beir:<folder>"
            )
        raise UserError(f"irds:{name}: could not be read ({type(error).__name__}: {reason[:200]})")


def _docs(name: str, dataset: Any) -> Iterator[tuple[str, str]]:
    with _fetching(name):
        for doc in dataset.docs_iter():
            yield doc.doc_id, _text(doc)


def _docpairs(name: str, dataset: Any, limit: int | None) -> Iterator[tuple[str, str, str]]:
    with _fetching(name):
        for pair in islice(dataset.docpairs_iter(), limit):
            yield pair.query_id, pair.doc_id_a, pair.doc_id_b


def _text(record: Any) -> str:
    if hasattr(record, "default_text"):
        text = record.default_text().strip()
    else:
        text = f"{getattr(record, 'title', '')} {getattr(record, 'text', '')}".strip()
    text.encode()  # half of a surrogate pair is no character: it stops here, with the name of the dataset
    return text
