"""The house form of a collection: passages, queries and graded judgments as parquet, whatever the source.

    <corpus>/docs.parquet             doc_id, text            row number = document number
    <corpus>/docs.json                {"documents": n, "tokens": cap or null}
    <corpus>/topics/<split>.parquet   query_id, text, cluster
    <corpus>/qrels/<split>.parquet    query_id, doc_id, grade
    <corpus>/docpairs.parquet         query_id, positive_id, negative_id: released triples, where there are any
    <corpus>/card.json                sizes, what was dropped and why, the sources and their hashes

Judgments stand query by query in the order of the topics, which is the order of the source.
"""
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.core.errors import UserError
from stages.core.files import publish

DOCS = pa.schema([("doc_id", pa.string()), ("text", pa.string())])
TOPICS = pa.schema([("query_id", pa.string()), ("text", pa.string()), ("cluster", pa.string())])
QRELS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("grade", pa.int32())])
DOCPAIRS = pa.schema([("query_id", pa.string()), ("positive_id", pa.string()), ("negative_id", pa.string())])
LONG = 2000
Grades = dict[str, dict[str, int]]  # query_id -> doc_id -> grade


@dataclass
class Source:
    """What a reader of a collection hands over, before anything is checked.

    docs streams (doc_id, text) and is read once. queries maps query_id to (text, cluster); the cluster names what
    queries share (a package, a topic) and equals the query_id where nothing is known. qrels maps a split's name
    to its (query_id, doc_id, grade) rows, several files of one split already joined. dropped counts what the reader
    itself left out, by reason; origin names the files or packages read, with version or sha256. docpairs streams
    (query_id, positive doc_id, negative doc_id) where the collection releases its training triples.
    """
    docs: Iterator[tuple[str, str]]
    queries: dict[str, tuple[str, str]]
    qrels: dict[str, list[tuple[str, str, int]]]
    dropped: dict[str, int] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    docpairs: Iterator[tuple[str, str, str]] | None = None


def write(source: Source, out: Path, *, train: str | None, judged: list[str], validation: int,
          limits: dict[str, int], tokens: int | None) -> dict:
    """Check a source, write it in house form to the folder `out`, and return its card.

    `train` names the split of source.qrels that teaches; it is written as "train", without the queries (by id or by
    text, case and white space aside) that a judged split asks too, and without `validation` of its queries, which
    become the split "validation": whole clusters in the order of the sha256 of their names, until there are that
    many. A judged split with a limit keeps its first queries by the sha256 of their ids. Passages stream: memory
    holds their ids, not their texts. All that is left out is counted in the card; UserError where nothing would be
    left, and where ids, judgments or splits contradict each other.
    """
    dropped, noted = Counter(source.dropped), Counter()
    with publish(out) as draft:
        for folder in (draft, draft / "topics", draft / "qrels"):
            folder.mkdir()
        doc_ids, words = _write_docs(source.docs, draft / "docs.parquet", dropped, noted)
        queries = {query: asked for query, asked in source.queries.items() if asked[0].strip()}
        _count(dropped, "queries without text", len(source.queries) - len(queries))
        present = _present(doc_ids, (doc for rows in source.qrels.values() for _, doc, _ in rows))
        graded = {name: _judgments(name, source, queries, dropped) for name in [*([train] if train else []), *judged]}
        for name, grades in graded.items():
            absent = sum(doc not in present for row in grades.values() for doc in row)
            if absent and absent == sum(map(len, grades.values())):
                raise UserError(f"qrels of {name}: none of its {absent} judgments names a passage of the corpus; "
                              f"are they another corpus's?")
            if name in judged:
                _count(noted, f"{name}: judgments of absent passages", absent)
        if train:
            lesson = _teaching(graded.pop(train), present, list(graded.values()), queries, dropped)
            graded = _cut(lesson, validation, queries, dropped) | graded
        texts = Counter(text for name in judged for text in {_plain(queries[query]) for query in graded[name]})
        _count(noted, "query texts in more than one judged split", sum(count > 1 for count in texts.values()))
        for name, limit in limits.items():
            kept = set(sorted(graded[name], key=_hash)[:limit])
            _count(dropped, f"{name}: queries beyond its limit", len(graded[name]) - len(kept))
            graded[name] = {query: grades for query, grades in graded[name].items() if query in kept}
        sizes = {name: _write_split(name, grades, queries, draft) for name, grades in graded.items()}
        if source.docpairs is not None:
            _write_docpairs(source.docpairs, set(graded["train"]), doc_ids, draft / "docpairs.parquet", dropped)
        (draft / "docs.json").write_text(json.dumps({"documents": len(doc_ids), "tokens": tokens}) + "\n")
        card = {"origin": source.origin, "documents": len(doc_ids), "splits": sizes,
                "words_per_passage": round(words / len(doc_ids), 2), "dropped": dict(sorted(dropped.items())),
                "noted": dict(sorted(noted.items())), "fingerprint": _fingerprint(draft)}
        (draft / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


def docs(folder: Path) -> pq.ParquetFile:
    """The passages of a collection (DOCS), to be read by row group; row number = document number."""
    return pq.ParquetFile(Path(folder) / "docs.parquet", memory_map=True)


def topics(folder: Path, split: str) -> pa.Table:
    """The queries of a split (TOPICS)."""
    return pq.read_table(Path(folder) / "topics" / f"{split}.parquet")


def qrels(folder: Path, split: str) -> pa.Table:
    """The judgments of a split (QRELS)."""
    return pq.read_table(Path(folder) / "qrels" / f"{split}.parquet")


def splits(folder: Path) -> list[str]:
    """The names of a collection's splits, sorted."""
    return sorted(path.stem for path in (Path(folder) / "topics").glob("*.parquet"))


def _write_docs(rows: Iterable[tuple[str, str]], path: Path, dropped: Counter,
                noted: Counter) -> tuple[pa.ChunkedArray, int]:
    """Write the passages that have a text, each id once; returns the ids and the number of words in all of them."""
    doc_ids, words, long = _stream_docs(_with_text(rows, dropped), path)
    counts = pc.value_counts(doc_ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(twice):
        whole = path.with_suffix(".whole")
        path.rename(whole)
        doc_ids, words, long = _stream_docs(_once(whole, set(twice.to_pylist()), dropped), path)
        whole.unlink()
    if not len(doc_ids):
        raise UserError("there is no passage with text in the corpus")
    _count(noted, f"passages over {LONG:,} words", long)
    return doc_ids, words


def _stream_docs(rows: Iterable[tuple[str, str]], path: Path) -> tuple[pa.ChunkedArray, int, int]:
    doc_ids, words, long = [], 0, 0
    with pq.ParquetWriter(path, DOCS, compression="zstd", use_dictionary=False) as writer:
        for batch in _batches(rows, DOCS, 10_000):
            writer.write_batch(batch)
            doc_ids.append(batch["doc_id"])
            lengths = [len(text.split()) for text in batch["text"].to_pylist()]
            words += sum(lengths)
            long += sum(length > LONG for length in lengths)
    return pa.chunked_array(doc_ids, pa.string()), words, long


def _with_text(rows: Iterable[tuple[str, str]], dropped: Counter) -> Iterator[tuple[str, str]]:
    for doc_id, text in rows:
        if text and not text.isspace():
            yield doc_id, text
        else:
            dropped["empty passages"] += 1


def _once(path: Path, twice: set[str], dropped: Counter) -> Iterator[tuple[str, str]]:
    """The passages of a file without repetitions; UserError if an id has two texts."""
    seen = {}
    for doc_id, text in _rows(path):
        if doc_id not in twice or doc_id not in seen:
            yield doc_id, text
        elif seen[doc_id] != _hash(text):
            raise UserError(f"passage id '{doc_id}' stands twice in the corpus, with different texts")
        else:
            dropped["repeated passages"] += 1
        if doc_id in twice:
            seen[doc_id] = _hash(text)


def _rows(path: Path) -> Iterator[tuple]:
    """The rows of a parquet file, one row group in memory (iter_batches would keep all that it has read)."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from zip(*(column.to_pylist() for column in file.read_row_group(group).columns))


def _batches(rows: Iterable[tuple], schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
    rows = iter(rows)
    while part := list(islice(rows, size)):
        yield pa.record_batch([pa.array(column, kind) for column, kind in zip(zip(*part), schema.types)],
                              schema=schema)


def _present(doc_ids: pa.ChunkedArray, wanted: Iterable[str]) -> set[str]:
    """Which of the wanted ids the corpus has."""
    wanted = pa.array(set(wanted), pa.string())
    return set(doc_ids.filter(pc.is_in(doc_ids, value_set=wanted)).to_pylist())


def _judgments(split: str, source: Source, queries: dict, dropped: Counter) -> Grades:
    """A split's judgments of queries that have a text, each once, in the order of the queries."""
    found: Grades = {}
    for query, doc, grade in source.qrels[split]:
        if query not in queries:
            whose = "queries without text" if query in source.queries else "absent queries"
            dropped[f"{split}: judgments of {whose}"] += 1
        elif found.setdefault(query, {}).setdefault(doc, None) is None:
            found[query][doc] = grade
        elif found[query][doc] == grade:
            dropped[f"{split}: repeated judgments"] += 1
        else:
            raise UserError(f"qrels of {split}: query '{query}' and passage '{doc}' are judged twice, "
                          f"with grades {found[query][doc]} and {grade}")
    if source.qrels[split] and not found:
        raise UserError(f"qrels of {split}: none of its {len(source.qrels[split])} judgments names a query that is "
                      f"there; are they another collection's?")
    return {query: found[query] for query in queries if query in found}


def _teaching(lesson: Grades, present: set[str], judged: list[Grades], queries: dict, dropped: Counter) -> Grades:
    """The training queries that no judged split asks, with their judgments of passages that are there."""
    apart = _apart(lesson, judged, queries)
    if lesson and not apart:
        raise UserError(f"train queries among the judged: all {len(lesson)} of them; name another split as train")
    _count(dropped, "train queries that are also judged", len(lesson) - len(apart))
    kept = {query: {doc: grade for doc, grade in grades.items() if doc in present} for query, grades in apart.items()}
    _count(dropped, "train: judgments of absent passages", sum(len(apart[query]) - len(kept[query]) for query in apart))
    return {query: grades for query, grades in kept.items() if grades}


def _cut(lesson: Grades, validation: int, queries: dict, dropped: Counter) -> dict[str, Grades]:
    """The splits train and, where it is asked for, validation."""
    if not validation or not lesson:
        return {"train": lesson}
    sizes = Counter(queries[query][1] for query in lesson)
    aside: Counter = Counter()
    for cluster in sorted(sizes, key=_hash):
        if aside.total() < validation:
            aside[cluster] = sizes[cluster]
    watched = {query: grades for query, grades in lesson.items() if queries[query][1] in aside}
    rest = {query: grades for query, grades in lesson.items() if query not in watched}
    taught = _apart(rest, [watched], queries)
    if not taught:
        raise UserError(f"validation: {validation} queries, in whole clusters, leave none of the {len(lesson)} training "
                      f"queries to teach; set fewer aside")
    _count(dropped, "train queries that are also in validation", len(rest) - len(taught))
    return {"train": taught, "validation": watched}


def _apart(lesson: Grades, others: list[Grades], queries: dict) -> Grades:
    """The queries of a split whose text, and so whose id, no other split has."""
    texts = {_plain(queries[query]) for grades in others for query in grades}
    return {query: grades for query, grades in lesson.items() if _plain(queries[query]) not in texts}


def _plain(asked: tuple[str, str]) -> str:
    return " ".join(asked[0].casefold().split())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _count(counter: Counter, reason: str, count: int) -> None:
    if count:
        counter[reason] += count


def _write_split(name: str, grades: Grades, queries: dict, draft: Path) -> dict:
    """Write a split's topics and qrels; returns its sizes."""
    relevant = sum(grade >= 1 for row in grades.values() for grade in row.values())
    if not relevant:
        raise UserError(f"the split {name} has no judgment of grade 1 or more; is it the file you mean?")
    asked = [(query, *queries[query]) for query in grades]
    judged = [(query, doc, grade) for query, row in grades.items() for doc, grade in row.items()]
    for rows, schema, room in ((asked, TOPICS, "topics"), (judged, QRELS, "qrels")):
        pq.write_table(pa.Table.from_batches(_batches(rows, schema, len(rows))), draft / room / f"{name}.parquet",
                       compression="zstd")
    return {"queries": len(asked), "judgments": len(judged), "clusters": len({cluster for _, _, cluster in asked}),
            "relevant_per_query": round(relevant / len(asked), 2),
            "words_per_query": round(sum(len(text.split()) for _, text, _ in asked) / len(asked), 2)}


def _write_docpairs(rows: Iterator[tuple[str, str, str]], taught: set[str], doc_ids: pa.ChunkedArray, path: Path,
                    dropped: Counter) -> None:
    """Write the triples of training queries whose passages are both there."""
    taught, written = pa.array(taught, pa.string()), 0
    with pq.ParquetWriter(path, DOCPAIRS, compression="zstd") as writer:
        for batch in _batches(rows, DOCPAIRS, 250_000):
            passages = pa.chunked_array([batch["positive_id"], batch["negative_id"]])
            there = doc_ids.filter(pc.is_in(doc_ids, value_set=passages)).combine_chunks()
            kept = batch.filter(pc.and_(pc.is_in(batch["query_id"], value_set=taught), pc.and_(
                pc.is_in(batch["positive_id"], value_set=there), pc.is_in(batch["negative_id"], value_set=there))))
            writer.write_batch(kept)
            written += len(kept)
            _count(dropped, "released triples of other queries or absent passages", len(batch) - len(kept))
    if not written:
        raise UserError("docpairs: none of the released triples names a training query and passages that are there")


def _fingerprint(folder: Path) -> str:
    """sha256 of all rows of all parquet files below a folder, in hex: the same whatever version wrote the files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        digest.update(path.relative_to(folder).as_posix().encode())
        for row in _rows(path):
            digest.update(json.dumps(row).encode())
    return digest.hexdigest()
