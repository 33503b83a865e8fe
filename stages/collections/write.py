"""Check what a reader hands over and write it in the canonical format."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.collections import splits
from stages.collections.canonical import DOCPAIRS, DOCS, QRELS, TOPICS, Caps, Card, SplitSizes
from stages.collections.source import Source
from stages.core.errors import UserError
from stages.core.files import publish
from stages.params.corpora import Corpus

LONG = 2000  # words; longer passages are noted


def write(source: Source, corpus: Corpus, out: Path) -> Card:
    """Check a source, write it in canonical format to the folder `out`, and return its card.

    Training queries that a judged split asks too (by id or by text, case and white space aside) are left out, and
    `corpus.validation` others become the split "validation". A judged split with a limit keeps its first queries by the
    sha256 of their ids. Passages stream: memory holds their ids, not their texts. All that is left out is counted in
    the card; UserError where nothing would be left, and where ids, judgments or splits contradict each other.
    """
    dropped, noted = Counter(source.dropped), Counter[str]()
    with publish(out) as draft:
        for folder in (draft, draft / "topics", draft / "qrels"):
            folder.mkdir()
        doc_ids, words = _write_docs(source.docs, draft / "docs.parquet", dropped, noted)
        queries = {query_id: query for query_id, query in source.queries.items() if query.text.strip()}
        splits.count(dropped, "queries without text", len(source.queries) - len(queries))
        grades = _grades(source, corpus, queries, doc_ids, dropped, noted)
        sizes = {split: _write_split(split, own, queries, draft) for split, own in grades.items()}
        if source.docpairs is not None:
            _write_docpairs(source.docpairs, set(grades["train"]), doc_ids, draft / "docpairs.parquet", dropped)
        caps = {field: getattr(corpus, field) for field in Caps._fields}
        described = {"documents": len(doc_ids), "language": corpus.language or "en", **caps}
        (draft / "docs.json").write_text(json.dumps(described) + "\n")
        card = Card(
            origin=source.origin,
            documents=len(doc_ids),
            splits=sizes,
            words_per_passage=round(words / len(doc_ids), 2),
            dropped=dict(sorted(dropped.items())),
            noted=dict(sorted(noted.items())),
            fingerprint=_fingerprint(draft),
        )
        (draft / "card.json").write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n")
    return card


def _grades(
    source: Source,
    corpus: Corpus,
    queries: splits.Queries,
    doc_ids: pa.ChunkedArray,
    dropped: Counter[str],
    noted: Counter[str],
) -> dict[str, splits.Grades]:
    """The judgments of train and validation, where there is a train split, and of the judged splits."""
    wanted = pa.array({doc for rows in source.qrels.values() for _, doc, _ in rows}, pa.string())
    present = set(doc_ids.filter(pc.is_in(doc_ids, value_set=wanted)).to_pylist())
    train = None if corpus.train is None else splits.judgments("train", source, queries, dropped)
    if train is not None:
        splits.check_passages("train", train, present)
    grades = {}
    for split in corpus.judged:
        grades[split] = splits.judgments(split, source, queries, dropped)
        absent = splits.check_passages(split, grades[split], present)
        splits.count(noted, f"{split}: judgments of absent passages", absent)
    again = splits.asked_in_several(grades.values(), queries)
    splits.count(noted, "query texts in more than one judged split", again)
    if train is not None:
        train = splits.training(train, grades.values(), present, queries, dropped)
        grades = splits.set_aside(train, corpus.validation, queries, dropped) | grades
    for split, rules in corpus.judged.items():
        if rules.limit:
            kept = splits.limited(grades[split], rules.limit)
            splits.count(dropped, f"{split}: queries beyond its limit", len(grades[split]) - len(kept))
            grades[split] = kept
    return grades


def _write_docs(
    rows: Iterable[tuple[str, str]], path: Path, dropped: Counter[str], noted: Counter[str]
) -> tuple[pa.ChunkedArray, int]:
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
    splits.count(noted, f"passages over {LONG:,} words", long)
    return doc_ids, words


def _stream_docs(rows: Iterable[tuple[str, str]], path: Path) -> tuple[pa.ChunkedArray, int, int]:
    """Write passages; returns their ids, the number of words in all of them, and how many are longer than LONG."""
    doc_ids, words, long = [], 0, 0
    with pq.ParquetWriter(path, DOCS, compression="zstd", use_dictionary=False) as writer:
        for batch in _batches(rows, DOCS, 10_000):
            writer.write_batch(batch)
            doc_ids.append(batch["doc_id"])
            lengths = [len(text.split()) for text in batch["text"].to_pylist()]
            words += sum(lengths)
            long += sum(length > LONG for length in lengths)
    return pa.chunked_array(doc_ids, pa.string()), words, long


def _with_text(rows: Iterable[tuple[str, str]], dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    for doc_id, text in rows:
        if text and not text.isspace():
            yield doc_id, text
        else:
            dropped["empty passages"] += 1


def _once(path: Path, twice: set[str], dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    """The passages of a file without repetitions; UserError if an id has two texts."""
    hashes: dict[str, str] = {}
    for doc_id, text in _rows(path):
        if doc_id not in twice or doc_id not in hashes:
            yield doc_id, text
        elif hashes[doc_id] != splits.sha256(text):
            raise UserError(f"passage id '{doc_id}' appears twice in the corpus, with different texts")
        else:
            dropped["repeated passages"] += 1
        if doc_id in twice:
            hashes[doc_id] = splits.sha256(text)


def _rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """The rows of a parquet file, one row group in memory (iter_batches would keep all that it has read)."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from zip(*(column.to_pylist() for column in file.read_row_group(group).columns), strict=True)


def _batches(rows: Iterable[tuple[Any, ...]], schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
    rows = iter(rows)
    while part := list(islice(rows, size)):
        columns = zip(zip(*part, strict=True), schema.types, strict=True)
        yield pa.record_batch([pa.array(column, kind) for column, kind in columns], schema=schema)


def _write_split(split: str, grades: splits.Grades, queries: splits.Queries, draft: Path) -> SplitSizes:
    """Write a split's topics and qrels; returns its sizes."""
    relevant = sum(grade >= 1 for own in grades.values() for grade in own.values())
    if not relevant:
        raise UserError(f"the split {split} has no judgment of grade 1 or more; is it the file you mean?")
    topics = [(query_id, *queries[query_id]) for query_id in grades]
    qrels = [(query_id, doc, grade) for query_id, own in grades.items() for doc, grade in own.items()]
    for rows, schema, folder in ((topics, TOPICS, "topics"), (qrels, QRELS, "qrels")):
        table = pa.Table.from_batches(_batches(rows, schema, len(rows)))
        pq.write_table(table, draft / folder / f"{split}.parquet", compression="zstd")
    words = sum(len(text.split()) for _, text, _ in topics)
    return SplitSizes(
        queries=len(topics),
        judgments=len(qrels),
        clusters=len({cluster for _, _, cluster in topics}),
        relevant_per_query=round(relevant / len(topics), 2),
        words_per_query=round(words / len(topics), 2),
    )


def _write_docpairs(
    rows: Iterator[tuple[str, str, str]], train: set[str], doc_ids: pa.ChunkedArray, path: Path, dropped: Counter[str]
) -> None:
    """Write the released triples of training queries whose passages are both there."""
    query_ids, written = pa.array(train, pa.string()), 0
    with pq.ParquetWriter(path, DOCPAIRS, compression="zstd") as writer:
        for batch in _batches(rows, DOCPAIRS, 250_000):
            named = pa.chunked_array([batch["positive_id"], batch["negative_id"]])
            there = doc_ids.filter(pc.is_in(doc_ids, value_set=named)).combine_chunks()
            kept = pc.is_in(batch["query_id"], value_set=query_ids)
            for name in ("positive_id", "negative_id"):
                kept = pc.and_(kept, pc.is_in(batch[name], value_set=there))
            writer.write_batch(batch.filter(kept))
            written += pc.sum(kept).as_py()
            left_out = len(batch) - pc.sum(kept).as_py()
            splits.count(dropped, "released triples of other queries or absent passages", left_out)
    if not written:
        raise UserError("docpairs: none of the released triples names a training query and passages that are there")


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        digest.update(path.relative_to(folder).as_posix().encode())
        for row in _rows(path):
            digest.update(json.dumps(row).encode())
    return digest.hexdigest()
