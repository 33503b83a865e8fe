"""The default collection: summaries of documentation strings as queries, their narratives as passages.

Files of installed packages are parsed, never imported. One call reads one corpus.
"""
import ast
import hashlib
import importlib.metadata
import inspect
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.collections.collection import Source
from stages.collections.docstring_text import summary_and_narrative
from stages.core.errors import UserError
from stages.collections.near_duplicates import normal, representatives

PASSAGE_WORDS = 20, 110
QUERY_WORDS = 4, 25
OBJECTS_PER_TEXT = 4
JACCARD = 0.7

SKIPPED = re.compile(r"(^|/)(_?tests?|_?test_\w+|_?testing|conftest|estimator_checks|_?benchmarks?|_?externals?|"
                     r"_?extern|_?vendor\w*|_lib|_build_utils|distutils|setup|\.\.)(\.py|/)")
BOILERPLATE = re.compile(r"(deprecated|alias|same as|see |refer to|internal|helper|private|todo|undocumented|"
                         r"placeholder|dummy|abstract|base class|constructor|initiali[sz]e self|copyright|docstring|"
                         r"this (is|file|module|class|function|method))", re.IGNORECASE)
MARKUP = re.compile(r"[_`\\{}<>=$|#@\[\]^~*%]|\w\.\w|\w\(|::|\b[a-z]+[A-Z]|//")


@dataclass(frozen=True)
class Documented:
    """An object with a documentation string: its dotted name and that of the module it is written in."""
    name: str
    module: str
    doc: str


def read(packages: list[str], shares: dict[str, int]) -> Source:
    """Harvest installed distributions; a name may carry a path in the distribution: "scipy/scipy/stats".

    shares maps the name of a split to its per cent of the clusters; queries of one cluster are in one split.
    """
    dropped: Counter[str] = Counter()
    origin, objects = {}, []
    for package in sorted(packages):
        name, _, folder = package.partition("/")
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(f"corpora: package {name} is not installed; install the locked requirements") from None
        origin[name] = distribution.version
        paths = sorted(path.as_posix() for path in distribution.files or [])
        paths = [path for path in paths
                 if path.endswith(".py") and path.startswith(folder) and not SKIPPED.search(path)]
        objects += harvest(((path, distribution.locate_file(path)) for path in paths), dropped)
    return collect(objects, shares, dropped, origin)


def harvest(files: Iterable[tuple[str, Path]], dropped: Counter[str]) -> Iterator[Documented]:
    """Yield what (path in its distribution, file) pairs document, in the order of the lines."""
    for path, file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(Path(file).read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            dropped["file that does not parse"] += 1
            continue
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name, doc in documented(tree, module):
            yield Documented(name, module, doc)


def documented(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, documentation string) of a module or class, what it defines, and add_newdoc calls."""
    doc = ast.get_docstring(node)
    if doc:
        yield name, doc
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from documented(child, f"{name}.{child.name}")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(child)
            if doc:
                yield f"{name}.{child.name}", doc
        elif isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
            called = getattr(child.value.func, "id", getattr(child.value.func, "attr", ""))
            texts = [a.value for a in child.value.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if called in ("add_newdoc", "add_docstr") and len(texts) > 1:
                yield f"{name}.{texts[-2]}", inspect.cleandoc(texts[-1])


def cut(narrative: Iterable[str]) -> str:
    """As many whole sentences from the start as fit in a passage."""
    passage, length = [], 0
    for sentence in narrative:
        length += len(sentence.split())
        if length > PASSAGE_WORDS[1]:
            break
        passage.append(sentence)
    return " ".join(passage)


def refusal(query: str, passage: str) -> str | None:
    """Why a summary and a narrative are no query and passage, or None."""
    words = len(re.findall(r"[\w']+", query))
    reasons = {
        "passage too short": len(passage.split()) < PASSAGE_WORDS[0],
        "query unfinished": query.endswith((":", ",", ";")),
        "query too short": words < QUERY_WORDS[0],
        "query too long": words > QUERY_WORDS[1],
        "query is boilerplate": BOILERPLATE.match(query),
        "query names code": MARKUP.search(query),
        "passage holds its query": normal(query) in normal(passage),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def pairs_of(objects: Iterable[Documented], dropped: Counter[str]) -> Iterator[tuple[Documented, str, str]]:
    """Yield (object, query, passage); a sentence that more than 4 objects share is left out of the passages."""
    parsed = [(item, *summary_and_narrative(item.doc)) for item in objects]
    common = Counter(sentence for _, _, narrative in parsed for sentence in set(narrative))
    for item, query, narrative in parsed:
        passage = cut(sentence for sentence in narrative if common[sentence] <= OBJECTS_PER_TEXT)
        reason = refusal(query, passage)
        if reason:
            dropped[reason] += 1
        else:
            yield item, query, passage


def collect(objects: Iterable[Documented], shares: dict[str, int], dropped: Counter[str],
            origin: dict[str, str]) -> Source:
    """Merge duplicates among the pairs, and deal the clusters to the splits."""
    pairs = list(pairs_of(objects, dropped))
    names = unique([item.name for item, _, _ in pairs])
    modules = [item.module for item, _, _ in pairs]
    relevant, same = judged([query for _, query, _ in pairs], [passage for _, _, passage in pairs], dropped)
    clusters = Components()
    for asking in relevant:
        for row in asking:
            clusters.join(modules[asking[0]], modules[row])
            clusters.join(modules[asking[0]], modules[same[row]])
    queries = {}
    qrels: dict[str, list[tuple[str, str, int]]] = {split: [] for split in shares}
    for asking, positives in relevant.items():
        first = asking[0]
        cluster = clusters.name(modules[first])
        queries[f"q:{names[first]}"] = pairs[first][1], cluster
        qrels[split_of(cluster, shares)] += [(f"q:{names[first]}", names[row], 1) for row in positives]
    kept = sorted({row for positives in relevant.values() for row in positives})
    dropped["passage merged or left without a query"] = len(pairs) - len(kept)
    docs = ((names[row], pairs[row][2]) for row in kept)
    return Source(docs, queries, qrels, {reason: n for reason, n in sorted(dropped.items()) if n}, origin)


def judged(queries: list[str], passages: list[str],
           dropped: Counter[str]) -> tuple[dict[tuple[int, ...], list[int]], list[int]]:
    """Which rows ask the same to which passages, {rows: relevant rows}, and the row each passage is merged into.

    A near duplicate gives up its passage and, unless others ask the same, its query: the sibling it resembles may
    answer something else.
    """
    same = representatives(passages, JACCARD)
    exact = [normal(passages[row]) == normal(passages[first]) for row, first in enumerate(same)]
    asking: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        asking.setdefault(normal(query), []).append(row)
    relevant = {}
    for text, rows in asking.items():
        positives = sorted({same[row] for row in rows if exact[row]})
        if len(rows) > OBJECTS_PER_TEXT:
            dropped["query of many objects"] += len(rows)
        elif not positives:
            dropped["query of a near duplicate"] += len(rows)
        elif any(text in normal(passages[row]) for row in positives):
            dropped["passage holds its query"] += len(rows)
        else:
            dropped["query equal to another's"] += len(rows) - 1
            relevant[tuple(rows)] = positives
    return relevant, same


def unique(names: list[str]) -> list[str]:
    """Leave out private parts of dotted names; number what is then equal: "a.b", "a.b#2"."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        short = re.sub(r"(?<=\.)_(?!_)\w+\.", "", name)
        seen[short] += 1
        found.append(short if seen[short] == 1 else f"{short}#{seen[short]}")
    return found


def split_of(cluster: str, shares: dict[str, int]) -> str:
    """The split that a cluster's name falls into, by SHA-256."""
    if sum(shares.values()) != 100 or min(shares.values()) < 0:
        raise UserError(f"corpora: shares {shares} do not sum to 100 per cent; change them")
    point = int(hashlib.sha256(cluster.encode()).hexdigest(), 16) % 100
    for split, share in shares.items():
        if point < share:
            return split
        point -= share
    raise AssertionError("the shares sum to 100")


class Components:
    """Names that were joined, directly or not; a component is called by its first name in the alphabet."""

    def __init__(self):
        self.above: dict[str, str] = {}

    def name(self, member: str) -> str:
        while (above := self.above.get(member, member)) != member:
            member = above
        return member

    def join(self, one: str, other: str) -> None:
        first, last = sorted([self.name(one), self.name(other)])
        self.above[last] = first
