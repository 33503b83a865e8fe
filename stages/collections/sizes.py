"""How large a collection will be, known before it is read: from the files it is in, or from what is published."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stages.collections import readers
from stages.collections.source import subsets
from stages.core import space
from stages.params.corpora import Corpus

# Mean words of a query and of a passage: Thakur et al. 2021, BEIR, table 1. DPR's passages are of 100 words (Karpukhin
# et al. 2020, section 4.1); its queries are Natural Questions', as BEIR's nq.
WORDS = {
    "msmarco-passage": (5.96, 55.98),
    "dpr-w100": (9.16, 100.0),
    "beir/msmarco": (5.96, 55.98),
    "beir/trec-covid": (10.60, 160.77),
    "beir/nfcorpus": (3.30, 232.26),
    "beir/nq": (9.16, 78.88),
    "beir/hotpotqa": (17.61, 46.30),
    "beir/fiqa": (10.77, 132.32),
    "beir/arguana": (192.98, 166.80),
    "beir/webis-touche2020": (6.55, 292.37),
    "beir/cqadupstack": (8.59, 129.09),
    "beir/quora": (9.53, 11.44),
    "beir/dbpedia-entity": (5.39, 49.68),
    "beir/scidocs": (9.38, 176.19),
    "beir/fever": (8.13, 84.76),
    "beir/climate-fever": (20.13, 84.76),
    "beir/scifact": (12.37, 213.63),
}
BYTES = 6.0  # of a word of English with its space, in UTF-8
STORED = 0.45  # of a text's bytes in docs.parquet, which is zstd's
PACKED = 1.1  # of the bytes of a file that was compressed already
ARCHIVE = 0.4  # of a text's bytes in the archive that ir_datasets fetches; it keeps the texts unpacked beside it
FETCHED = {"msmarco-passage/train/triples-small": 7.9e9}  # the released triples' archive, as ir_datasets lists it


class Published(NamedTuple):
    """What is known of a collection that others published: passages, queries by split, and mean words of both."""

    passages: int
    queries: dict[str, int]
    query_words: float
    passage_words: float


def published(corpus: Corpus) -> Published | None:
    """Sizes of an irds: source, from ir_datasets' own counts and the words above; None where one of them is lacking."""
    kind, _, location = corpus.source.partition(":")
    words = next((mean for name, mean in WORDS.items() if f"{location}/".startswith(f"{name}/")), None)
    if kind != "irds" or words is None:
        return None
    import ir_datasets

    try:
        passages = ir_datasets.load(location).metadata()["docs"]["count"]
        queries = {
            split: ir_datasets.load(f"{location}/{subset}" if subset else location).metadata()["queries"]["count"]
            for split, subset in subsets(corpus).items()
        }
    except (AttributeError, KeyError):
        return None
    return Published(passages, queries, *words)


def require_space(corpus: Corpus, out: Path) -> None:
    """Raise UserError where the disk has no room for a collection, as far as its size is known beforehand."""
    here = readers.files(corpus)
    told = published(corpus)
    if here:
        size = sum(_stored(path) for path in here.values())
    elif told:
        size = STORED * told.passages * told.passage_words * BYTES
    else:
        return
    what = "the passages as they are kept here"
    if told and not here:
        home, fetched = _fetched(corpus, told)
        if space.same_disk(home, out):
            size, what = size + fetched, f"{what} and as ir_datasets fetches them"
        else:
            space.require(home, fetched, "what ir_datasets fetches")
    space.require(out, size, what)


def _stored(path: Path) -> float:
    """Bytes that a file of texts takes as parquet."""
    return path.stat().st_size * (PACKED if path.suffix in (".gz", ".parquet") else STORED)


def _fetched(corpus: Corpus, told: Published) -> tuple[Path, float]:
    """Where ir_datasets keeps a collection, and bytes of what it does not have of it yet."""
    import ir_datasets

    location = corpus.source.partition(":")[2]
    family, _, name = location.partition("/")
    home = ir_datasets.util.home_path() / (f"{family}/{name.partition('/')[0]}" if family == "beir" else family)
    if home.is_dir() and any(home.rglob("*")):
        return home, 0.0
    pairs = FETCHED.get(f"{location}/{corpus.docpairs}", 0.0)
    return home, (1 + ARCHIVE) * told.passages * told.passage_words * BYTES + pairs
