"""Check what a reader hands over and write it in the canonical format."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.collections import checks, cut, language, splits
from stages.collections.canonical import DOCPAIRS, DOCS, QRELS, TOPICS, Caps, Card, SplitSizes
from stages.collections.source import Query, Source
from stages.core.errors import UserError
from stages.core.files import publish
from stages.params.corpora import Corpus, JudgedSplit

LONG = 2000  # words; longer passages are noted


def write(source: Source, corpus: Corpus, out: Path) -> Card:
    """Check a source, write it in canonical format to the folder `out`, and return its card.

    Training queries that a judged split asks too (by id or by text, case and white space aside) are left out, and
    `corpus.validation` others become the split "validation". A judged split with a limit keeps its first queries by the
    sha256 of their ids. Passages stream: memory holds their ids, not their texts. All that is left out is counted in
    the card; UserError where nothing would be left, and where ids, judgments or splits contradict each other.
    """
    source = cut.by_shares(source, corpus)
    dropped, noted = Counter(source.dropped), Counter[str]()
    with publish(out) as draft:
        for folder in (draft, draft / "topics", draft / "qrels"):
            folder.mkdir()
        passages = _write_docs(source.docs, draft / "docs.parquet", dropped, noted)
        queries = _with_words(source.queries, dropped, noted)
        grades = _grades(source, corpus, queries, passages.ids, dropped, noted)
        twins = checks.repeated(passages, noted)
        sizes = {}
        for split, own in grades.items():
            rules = corpus.judged.get(split, JudgedSplit())
            checks.check_split(split, own, rules, queries, passages, noted)
            checks.note_repeated(split, own, rules.rel, twins, noted)
            sizes[split] = _write_split(split, own, rules.rel, queries, draft)
        if source.docpairs is not None:
            _write_docpairs(source.docpairs, set(grades["train"]), passages.ids, draft / "docpairs.parquet", dropped)
        _describe(corpus, len(passages.ids), draft)
        card = Card(
            origin=source.origin,
            documents=len(passages.ids),
            splits=sizes,
            words_per_passage=round(passages.words / len(passages.ids), 2),
            dropped=dict(sorted(dropped.items())),
            noted=dict(sorted(noted.items())),
            fingerprint=_fingerprint(draft),
        )
        (draft / "card.json").write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n")
    return card


def _with_words(asked: splits.Queries, dropped: Counter[str], noted: Counter[str]) -> splits.Queries:
    """The queries that have a text, stripped."""
    stripped = {query_id: Query(query.text.strip(), query.cluster) for query_id, query in asked.items()}
    queries = {query_id: query for query_id, query in stripped.items() if query.text}
    splits.count(dropped, "queries without text", len(asked) - len(queries))
    checks.check_ids("query", pa.array(queries, pa.string()), noted)
    return queries


def _describe(corpus: Corpus, documents: int, draft: Path) -> None:
    """Write docs.json: the number of passages, their language and where they and the queries are cut."""
    with pq.ParquetFile(draft / "docs.parquet") as file:
        texts = file.read_row_group(0, ["text"])["text"]
    found = corpus.language or language.detect(text.as_py() for text in texts) or language.DEFAULT
    caps = {field: getattr(corpus, field) for field in Caps._fields}
    (draft / "docs.json").write_text(json.dumps({"documents": documents, "language": found, **caps}) + "\n")


def _grades(
    source: Source,
    corpus: Corpus,
    queries: splits.Queries,
    doc_ids: pa.ChunkedArray,
    dropped: Counter[str],
    noted: Counter[str],
) -> dict[str, splits.Grades]:
    """The judgments of train and validation, where there is a train split, and of the judged splits."""
    wanted = {doc for rows in source.qrels.values() for _, doc, _ in rows}
    present = set(doc_ids.filter(pc.is_in(doc_ids, value_set=pa.array(wanted, pa.string()))).to_pylist())
    asked = {query for rows in source.qrels.values() for query, _, _ in rows}
    checks.check_form("passage id", wanted - present, (name.as_py() for name in doc_ids))
    checks.check_form("query id", asked - source.queries.keys(), source.queries)
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
) -> checks.Passages:
    """Write the passages that have a text, stripped, each id once."""
    passages = _stream_docs(_with_text(rows, dropped), path)
    counts = pc.value_counts(passages.ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(twice):
        whole = path.with_suffix(".whole")
        path.rename(whole)
        passages = _stream_docs(_once(whole, set(twice.to_pylist()), dropped), path)
        whole.unlink()
    if not len(passages.ids):
        raise UserError("there is no passage with text in the corpus")
    checks.check_ids("passage", passages.ids, noted)
    splits.count(noted, f"passages over {LONG:,} words", passages.long)
    return passages


def _stream_docs(rows: Iterable[tuple[str, str]], path: Path) -> checks.Passages:
    """Write passages; returns all that is known of them but their texts."""
    doc_ids, digests, words, long = [], [np.zeros(0, np.uint64)], 0, 0
    with pq.ParquetWriter(path, DOCS, compression="zstd", use_dictionary=False) as writer:
        for batch in _batches(rows, DOCS, 10_000):
            writer.write_batch(batch)
            doc_ids.append(batch["doc_id"])
            texts = batch["text"].to_pylist()
            digests.append(checks.digests(texts))
            lengths = [len(text.split()) for text in texts]
            words += sum(lengths)
            long += sum(length > LONG for length in lengths)
    return checks.Passages(pa.chunked_array(doc_ids, pa.string()), np.concatenate(digests), words, long)


def _with_text(rows: Iterable[tuple[str, str]], dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    for doc_id, text in rows:
        if stripped := text.strip():
            yield doc_id, stripped
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


def _write_split(split: str, grades: splits.Grades, rel: int, queries: splits.Queries, draft: Path) -> SplitSizes:
    """Write a split's topics and qrels; returns its sizes."""
    relevant = sum(grade >= rel for own in grades.values() for grade in own.values())
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
