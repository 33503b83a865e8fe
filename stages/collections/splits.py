"""Which queries and judgments each split has, so that training shares no query with what is measured.

Everywhere `queries` are those with a text, in the order of the source, `dropped` counts what is left out, by reason.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable

from stages.collections.source import Query, Source
from stages.core.errors import UserError

Grades = dict[str, dict[str, int]]  # query_id -> doc_id -> grade
Queries = dict[str, Query]


def judgments(split: str, source: Source, queries: Queries, dropped: Counter[str]) -> Grades:
    """A split's judgments of queries that have a text, each once, in the order of the queries.

    Raises UserError where a query and a passage have two grades, and where no judgment names a query that is there.
    """
    grades: Grades = {}
    for query, doc, grade in source.qrels[split]:
        if query not in queries:
            whose = "queries without text" if query in source.queries else "absent queries"
            dropped[f"{split}: judgments of {whose}"] += 1
            continue
        own = grades.setdefault(query, {})
        if doc not in own:
            own[doc] = grade
        elif own[doc] == grade:
            dropped[f"{split}: repeated judgments"] += 1
        else:
            raise UserError(
                f"qrels of {split}: query '{query}' and passage '{doc}' are judged twice, with grades {own[doc]} and "
                f"{grade}; keep one of them"
            )
    if source.qrels[split] and not grades:
        theirs, ours = source.qrels[split][0][0], next(iter(source.queries), "none")
        raise UserError(
            f"qrels of {split}: none of its {len(source.qrels[split])} judgments names a query that is there (theirs: "
            f"'{theirs}', ours: '{ours}'); another collection's?"
        )
    return {query: grades[query] for query in queries if query in grades}


def check_passages(split: str, grades: Grades, present: Container[str]) -> int:
    """How many judgments of a split name a passage that the corpus does not have; UserError if all of them do."""
    absent = sum(doc not in present for own in grades.values() for doc in own)
    if absent and absent == sum(map(len, grades.values())):
        example = next(doc for own in grades.values() for doc in own)
        raise UserError(
            f"qrels of {split}: none of its {absent} judgments names a passage of the corpus, such as '{example}'; "
            f"another corpus's, or ids that lost their zeros?"
        )
    return absent


def training(
    train: Grades, judged: Iterable[Grades], present: Container[str], queries: Queries, dropped: Counter[str]
) -> Grades:
    """The training queries that no judged split asks too, with their judgments of passages that are there.

    Raises UserError where there are training queries and none is left.
    """
    apart = _asked_nowhere_in(judged, train, queries)
    if train and not apart:
        raise UserError(f"train queries among the judged: all {len(train)} of them; name another split as train")
    kept = {query: {doc: grade for doc, grade in own.items() if doc in present} for query, own in apart.items()}
    count(dropped, "train queries that are also judged", len(train) - len(apart))
    count(dropped, "train: judgments of absent passages", sum(len(apart[query]) - len(kept[query]) for query in apart))
    there = {query: own for query, own in kept.items() if own}
    if apart and not there:
        raise UserError(
            f"qrels of train: none of the {len(apart)} queries that no judged split asks too is judged on a passage of "
            f"the corpus; name another split as train, or mend the passages' ids"
        )
    return there


def set_aside(train: Grades, validation: int, queries: Queries, dropped: Counter[str]) -> dict[str, Grades]:
    """The splits train and, where `validation` is above 0, validation: at least that many queries cut from train.

    Whole clusters go to validation, in the order of the sha256 of their names. A training query worded as one of them
    is dropped. Raises UserError where nothing would be left to train on.
    """
    if not validation or not train:
        return {"train": train}
    sizes = Counter(queries[query].cluster for query in train)
    aside: Counter[str] = Counter()
    for cluster in sorted(sizes, key=sha256):
        if aside.total() < validation:
            aside[cluster] = sizes[cluster]
    cut = {query: own for query, own in train.items() if queries[query].cluster in aside}
    rest = {query: own for query, own in train.items() if query not in cut}
    apart = _asked_nowhere_in([cut], rest, queries)
    if not apart:
        raise UserError(
            f"validation: {validation} queries, in whole clusters, leave none of the {len(train)} training queries to "
            f"train on; set fewer aside"
        )
    count(dropped, "train queries that are also in validation", len(rest) - len(apart))
    return {"train": apart, "validation": cut}


def limited(grades: Grades, limit: int) -> Grades:
    """The first `limit` queries of a split by the sha256 of their ids, in their order."""
    kept = set(sorted(grades, key=sha256)[:limit])
    return {query: own for query, own in grades.items() if query in kept}


def asked_in_several(judged: Iterable[Grades], queries: Queries) -> int:
    """How many texts of queries are in more than one judged split."""
    texts = Counter(text for grades in judged for text in {plain(queries[query].text) for query in grades})
    return sum(splits > 1 for splits in texts.values())


def count(counter: Counter[str], reason: str, number: int) -> None:
    """Add to a counter of reasons; a reason that never occurs is no entry."""
    if number:
        counter[reason] += number


def sha256(text: str) -> str:
    """In hex, of the text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def _asked_nowhere_in(others: Iterable[Grades], grades: Grades, queries: Queries) -> Grades:
    """The queries of `grades` whose text, and so whose id, no other split has."""
    texts = {plain(queries[query].text) for other in others for query in other}
    return {query: own for query, own in grades.items() if plain(queries[query].text) not in texts}


def plain(text: str) -> str:
    """What makes two texts the same: their characters, composed, case and white space aside."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
