"""The default collection: summaries of documentation strings as queries, their narratives as passages.

Files of installed packages are parsed, never imported. One call reads one corpus.
"""
import ast
import hashlib
import importlib.metadata
import inspect
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.lib.collection import Source
from stages.lib.mistakes import Mistake
from stages.lib.near_duplicates import normal, representatives

PASSAGE_WORDS = 20, 110
QUERY_WORDS = 4, 25
OBJECTS_PER_TEXT = 4
JACCARD = 0.7

SKIPPED = re.compile(r"(^|/)(_?tests?|_?test_\w+|_?testing|conftest|estimator_checks|_?benchmarks?|_?externals?|"
                     r"_?extern|_?vendor\w*|_lib|_build_utils|distutils|setup|\.\.)(\.py|/)")
NARRATIVE = {"", "notes", "note", "explanation", "description", "extended summary"}
UNDERLINE = re.compile(r"([-=~^*])\1{2,}\s*$")
HEADING = re.compile(r"(args|arguments|parameters|params|returns?|yields?|raises|throws|examples?|usage|notes?|"
                     r"attributes|see also|references|keyword args|keyword arguments|other parameters|methods|"
                     r"warnings?|warns|todo|explanation|description|inputs?|outputs?)\s*:{1,2}\s*$", re.IGNORECASE)
FIELD = re.compile(r"[:@](param|parameter|arg|argument|key|keyword|type|returns?|rtype|raises?|except|exception|var|"
                   r"ivar|cvar|vartype|yields?|ytype|meta|see|note|since|author|license|copyright)\b[^:]*:")
BULLET = re.compile(r"^([-*+•]|\(?\d{1,2}[.)]|\([a-z]\))\s+")
NOT_PROSE = re.compile(r"(\.\. |\.\.$|>>>|\.\.\. |\||\+[-=]|={3,}|-{3,}|@|```|#|%)")
SIGNATURE = re.compile(r"[\w.]+\(.*\)(\s*->.*)?", re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|cf|vs|al|etc|eqs?|refs?|figs?|sec|ch|pp?|no|vol|dr)\.$", re.IGNORECASE)
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
            raise Mistake(f"corpora: package {name} is not installed; install the locked requirements") from None
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


def sections(doc: str) -> dict[str, str]:
    """Split a documentation string in numpydoc, Google or field-list style: lower-case title to lines; "" leads."""
    found: dict[str, list[str]] = {"": []}
    title, lines = "", doc.expandtabs().splitlines()
    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if UNDERLINE.match(line):
            continue
        if line.strip() and not line.startswith(" ") and UNDERLINE.match(below):
            title = line.strip().lower()
        elif HEADING.match(line):
            title = line.strip(" :").lower()
        elif FIELD.match(line):
            title = "fields"
        else:
            found.setdefault(title, []).append(line)
            continue
        found.setdefault(title, [])
    return {title: textwrap.dedent("\n".join(lines)) for title, lines in found.items()}


def paragraphs(text: str) -> list[str]:
    """The prose of a section, one string a paragraph or list item; code, tables, directives and formulas left out."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith(" ") or NOT_PROSE.match(block) or SIGNATURE.fullmatch(block):
            if found and not found[-1].endswith((".", "!", "?")):
                found[-1] = " ".join(sentences(found[-1])[:-1])
            continue
        for item in re.split(r"\n(?=\s*(?:[-*+•]|\(?\d{1,2}[.)])\s)", block):
            found.append(plain(BULLET.sub("", item.strip())))
    return [paragraph for paragraph in found if paragraph]


def sentences(paragraph: str) -> list[str]:
    found: list[str] = []
    for piece in SENTENCE_END.split(paragraph):
        if found and ABBREVIATION.search(found[-1]):
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return found


def plain(text: str) -> str:
    """Unwrap roles, links, emphasis and literals; one space between words."""
    text = re.sub(r"(\[#?\w+\])_", r"\1", text)
    text = re.sub(r"`([^`<]+?)\s*<[^`<>\s]+>`", r"`\1`", text)
    text = re.sub(r"(?::[\w:+-]+:\s?)?`+[~.!]?([^`]*)`+_*", r"\1", text)
    text = re.sub(r"(?<![\w*])(\*{1,2})([^*\s](?:[^*]*[^*\s])?)\1(?![\w*])", r"\2", text)
    return re.sub(r"::$", ":", " ".join(text.split()))


def summary_and_narrative(doc: str) -> tuple[str, list[str]]:
    """The first sentence, and the sentences of the narrative after it that are prose."""
    parts = sections(doc)
    lead = paragraphs(parts.pop(""))
    if not lead:
        return "", []
    summary, *rest = sentences(lead[0])
    for paragraph in lead[1:] + [p for title in parts if title in NARRATIVE for p in paragraphs(parts[title])]:
        rest += sentences(paragraph)
    return summary.removesuffix("."), [ended(sentence) for sentence in rest if is_prose(sentence)]


def is_prose(sentence: str) -> bool:
    """Whether a sentence is more than a label, holds no formula, link or loose end of one, and is mostly words."""
    words = sentence.split()
    return (len(words) >= 4 and not re.search(r"\\|http|%\(|>>>|^where ", sentence)
            and sum(bool(re.search(r"[A-Za-z]{2}", word)) for word in words) >= 0.6 * len(words))


def ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?", ":", ";", ",")) else f"{sentence}."


def cut(sentences: Iterable[str]) -> str:
    """As many whole sentences from the start as fit in a passage."""
    passage, length = [], 0
    for sentence in sentences:
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
        raise Mistake(f"corpora: shares {shares} do not sum to 100 per cent; change them")
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
