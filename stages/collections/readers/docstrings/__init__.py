"""The default collection: summaries of documentation strings as queries, their narratives as passages.

The location is a list of installed distributions, commas between; their files are parsed, never imported. A name may
carry a path in the distribution: "scipy/scipy/stats". `shares` maps the name of a split to its per cent of the
clusters; queries of one cluster are in one split.
"""

from collections import Counter
from dataclasses import replace

from stages.collections.readers.docstrings import harvest, pairs
from stages.collections.source import Source, subsets
from stages.core.errors import UserError
from stages.params.corpora import Corpus


def read(corpus: Corpus, location: str) -> Source:
    """The pairs of the packages named; UserError for one that is not installed, and for a split without a share."""
    shares = corpus.shares or {}
    for subset in subsets(corpus).values():
        if subset not in shares:
            raise UserError(f"no split is called '{subset}'; shares makes: {', '.join(shares)}")
    dropped: Counter[str] = Counter()
    objects, versions = harvest.installed(location.split(","), dropped)
    source = pairs.collect(objects, shares, dropped, versions, corpus.queries)
    return replace(source, qrels={split: source.qrels[subset] for split, subset in subsets(corpus).items()})
