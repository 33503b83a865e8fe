"""A folder in BEIR layout: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each plain or .gz."""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.collections.source import Query, Source, subsets
from stages.core import fingerprint
from stages.core.errors import UserError
from stages.params.corpora import Corpus

FORMS = (".tsv", ".trec", ".txt")


def read(corpus: Corpus, location: str) -> Source:
    """The collection in the folder `location`; a split's name in the source is the stem of its file in qrels/.

    corpus.jsonl holds {_id, title?, text}, queries.jsonl {_id, text}. qrels/<stem>.tsv has the header
    query-id corpus-id score; qrels/<stem>.trec or .txt is TREC's (query 0 passage grade); .tsv is looked for first,
    and a stem may name its form itself. Passages stream, title and text joined by a space. Every query is its own
    cluster. UserError names a file that is not there, or the file and line that cannot be read.
    """
    folder = Path(location)
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'there is no such folder'}")
    docs, topics = (_find(folder, [f"{name}.jsonl"]) for name in ("corpus", "queries"))
    qrels = {split: _find(folder / "qrels", _names(stem)) for split, stem in subsets(corpus).items()}
    dropped: Counter[str] = Counter()
    queries = _queries(topics, dropped)
    return Source(
        docs=((doc_id, f"{title} {text}".strip()) for _, doc_id, title, text in _records(docs)),
        queries=queries,
        qrels={split: _judgments(path) for split, path in qrels.items()},
        dropped=dict(dropped),
        origin={
            path.relative_to(folder).as_posix(): fingerprint.of_file(path) for path in (docs, topics, *qrels.values())
        },
    )


def _names(stem: str) -> list[str]:
    """The names that the qrels of a split may have, the likelier first."""
    return [stem] if stem.removesuffix(".gz").endswith(FORMS) else [stem + form for form in FORMS]


def _find(folder: Path, names: list[str]) -> Path:
    """The first of the names that is there, plain or as .gz."""
    for path in (folder / (name + packed) for name in names for packed in ("", ".gz")):
        if path.is_file():
            return path
    there = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
    raise UserError(f"{folder / names[0]}: there is no such file; there are: {there or 'none'}")


def _queries(path: Path, dropped: Counter[str]) -> dict[str, Query]:
    queries: dict[str, Query] = {}
    for number, query_id, _, text in _records(path):
        if query_id not in queries:
            queries[query_id] = Query(text, query_id)
        elif queries[query_id].text == text:
            dropped["repeated queries"] += 1
        else:
            raise UserError(f"{path}:{number}: query id '{query_id}' appears twice, with different texts")
    return queries


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line) of a UTF-8 file without its blank lines."""
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as handle:
            for number, line in enumerate(handle, 1):
                if not line.isspace():
                    yield number, line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: not valid UTF-8 ({error.reason} at byte {error.start + 1} of the line)")
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}:{number + 1}: cannot be read any further ({error}); fetch the file again")


def _records(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """(line number, _id, title or "", text) of a jsonl file."""
    for number, line in _lines(path):
        yield number, *_record(f"{path}:{number}", line)


def _record(where: str, line: str) -> tuple[str, str, str]:
    """_id, title or "", and text of one line; UserError beginning with `where`, its file and number."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{where}: not valid JSON; a line is one object with _id and text")
    if not isinstance(record, dict):
        raise UserError(f"{where}: not a JSON object with _id and text")
    values = {"_id": record.get("_id"), "title": record.get("title") or "", "text": record.get("text")}
    for name, value in values.items():
        if not isinstance(value, str) or (name == "_id" and not value):
            raise UserError(f'{where}: "{name}" is not there, empty, or not a string')
    doc_id, title, text = map(str, values.values())
    try:
        f"{doc_id}{title}{text}".encode()
    except UnicodeEncodeError:
        raise UserError(f"{where}: half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    return doc_id, title, text


def _judgments(path: Path) -> list[tuple[str, str, int]]:
    """(query_id, doc_id, grade) of a qrels file in BEIR's or TREC's form."""
    trec = path.name.removesuffix(".gz").endswith((".trec", ".txt"))
    lines = _lines(path)
    if not trec:
        _check_header(path, next(lines, None))
    return [_judgment(f"{path}:{number}", line, trec) for number, line in lines]


def _check_header(path: Path, first: tuple[int, str] | None) -> None:
    if first and first[1].rstrip("\r\n").split("\t")[:2] != ["query-id", "corpus-id"]:
        raise UserError(
            f"{path}:{first[0]}: the header query-id corpus-id score, tabs between, is missing; TREC files end in .trec"
        )


def _judgment(where: str, line: str, trec: bool) -> tuple[str, str, int]:
    fields = line.split() if trec else line.rstrip("\r\n").split("\t")
    if len(fields) != 3 + trec:
        form = "query 0 passage grade" if trec else "query-id, corpus-id and score with tabs between"
        raise UserError(f"{where}: not a judgment; a line is {form}")
    query_id, doc_id, grade = fields[0], fields[-2], fields[-1]
    if not re.fullmatch(r"\s*[+-]?\d{1,10}\s*", grade) or abs(int(grade)) >= 2**31:
        raise UserError(f"{where}: the grade '{grade}' is not a whole number")
    return query_id, doc_id, int(grade)
