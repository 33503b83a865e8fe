"""A folder in BEIR layout: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each plain or .gz."""
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.core import fingerprint
from stages.collections.collection import Source
from stages.core.errors import UserError

FORMS = (".tsv", ".trec", ".txt")


def read(folder: Path, splits: dict[str, str]) -> Source:
    """The collection in a BEIR folder; `splits` maps a split's name to the stem of its file in qrels/.

    corpus.jsonl holds {_id, title?, text}, queries.jsonl {_id, text}. qrels/<stem>.tsv has the header
    query-id corpus-id score; qrels/<stem>.trec or .txt is TREC's (query 0 passage grade); .tsv is looked for first,
    and a stem may name its form itself. Passages stream, title and text joined by a space. Every query is its own
    cluster. UserError names a file that is not there, or the file and line that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'there is no such folder'}")
    corpus, asked = (_find(folder, [f"{name}.jsonl"]) for name in ("corpus", "queries"))
    files = {split: _find(folder / "qrels", [stem] if stem.removesuffix(".gz").endswith(FORMS) else
                          [stem + form for form in FORMS]) for split, stem in splits.items()}
    queries, dropped = {}, Counter()
    for number, query_id, _, text in _records(asked):
        if query_id in queries and queries[query_id][0] != text:
            raise UserError(f"{asked}:{number}: query id '{query_id}' stands twice, with different texts")
        dropped["repeated queries"] += query_id in queries
        queries[query_id] = text, query_id
    origin = {path.relative_to(folder).as_posix(): fingerprint.of_file(path)
              for path in (corpus, asked, *files.values())}
    return Source(docs=((doc_id, f"{title} {text}".strip()) for _, doc_id, title, text in _records(corpus)),
                  queries=queries, qrels={split: _judgments(path) for split, path in files.items()},
                  dropped={reason: count for reason, count in dropped.items() if count}, origin=origin)


def _find(folder: Path, names: list[str]) -> Path:
    """The first of the names that is there, plain or as .gz."""
    for path in (folder / (name + packed) for name in names for packed in ("", ".gz")):
        if path.is_file():
            return path
    found = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
    raise UserError(f"{folder / names[0]} is not there; found: {found or 'nothing'}")


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
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise UserError(f"{path}:{number}: not valid JSON; a line is one object with _id and text")
        if not isinstance(record, dict):
            raise UserError(f"{path}:{number}: not a JSON object with _id and text")
        values = {"_id": record.get("_id"), "title": record.get("title") or "", "text": record.get("text")}
        for name, value in values.items():
            if not isinstance(value, str) or (name == "_id" and not value):
                raise UserError(f'{path}:{number}: "{name}" is not there, empty, or not a string')
        try:
            "".join(values.values()).encode()
        except UnicodeEncodeError:
            raise UserError(f"{path}:{number}: half of a surrogate pair (\\ud800 to \\udfff), which is no character")
        yield number, *values.values()


def _judgments(path: Path) -> list[tuple[str, str, int]]:
    trec = path.name.removesuffix(".gz").endswith((".trec", ".txt"))
    rows, header = [], not trec
    for number, line in _lines(path):
        fields = line.split() if trec else line.rstrip("\r\n").split("\t")
        if header:
            if fields[:2] != ["query-id", "corpus-id"]:
                raise UserError(f"{path}:{number}: the header query-id corpus-id score, tabs between, is not there; "
                              f"name a TREC file .trec")
            header = False
            continue
        if len(fields) != 3 + trec:
            form = "query 0 passage grade" if trec else "query-id, corpus-id and score with tabs between"
            raise UserError(f"{path}:{number}: not a judgment; a line is {form}")
        query_id, doc_id, grade = fields[0], fields[-2], fields[-1]
        if not re.fullmatch(r"\s*[+-]?\d{1,10}\s*", grade) or abs(int(grade)) >= 2**31:
            raise UserError(f"{path}:{number}: the grade '{grade}' is not a whole number")
        rows.append((query_id, doc_id, int(grade)))
    return rows
