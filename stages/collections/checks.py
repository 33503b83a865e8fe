"""What contradicts itself between passages, queries and judgments, and what is worth knowing about them."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.collections.records import CONTROL
from stages.collections.splits import Grades, Queries, count, plain
from stages.core.errors import UserError
from stages.params.corpora import JudgedSplit

SPACE = r"[\s\x0b\x85\p{Z}]"


class Passages(NamedTuple):
    """The passages of a collection without their texts.

    ids and digests are (n,); digests are equal where texts are, case and white space aside. words counts those in all
    texts, long the texts over write.LONG words.
    """

    ids: pa.ChunkedArray
    digests: np.ndarray
    words: int
    long: int


def digest(text: str) -> bytes:
    """8 bytes that stand for a text, case and white space aside."""
    return blake2b(plain(text).encode(), digest_size=8).digest()


def digests(texts: Iterable[str]) -> np.ndarray:
    """The digests (n,) of n texts, as numbers."""
    return np.frombuffer(b"".join(map(digest, texts)), dtype=np.uint64)


def check_ids(kind: str, ids: pa.Array | pa.ChunkedArray, noted: Counter[str]) -> None:
    """UserError for an id with a control character, at which other programs would cut it; spaces are noted."""
    wrong = ids.filter(pc.match_substring_regex(ids, CONTROL.pattern))
    if len(wrong):
        raise UserError(f"{kind} id {wrong[0].as_py()!r} holds a tab, a line end or a control character; rename it")
    spaces = pc.sum(pc.match_substring_regex(ids, SPACE)).as_py() or 0
    count(noted, f"{kind} ids with white space, which TREC files cannot hold", spaces)


def check_form(what: str, absent: Iterable[str], there: Iterable[str]) -> None:
    """UserError where ids that are absent differ from those that are there only by their Unicode form."""
    spelled = {_composed(name): name for name in absent if not name.isascii()}
    if not spelled:
        return
    for name in there:
        if _composed(name) in spelled:
            raise UserError(
                f"{what} '{name}' is composed otherwise in the qrels (Unicode's NFC and NFD); write ids in one form"
            )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def repeated(passages: Passages, noted: Counter[str]) -> set[str]:
    """The ids of the passages whose text another passage has too; they are noted."""
    _, number, times = np.unique(passages.digests, return_inverse=True, return_counts=True)
    twins = passages.ids.filter(pa.array(times[number] > 1))
    count(noted, "passages whose text another passage has too", len(twins))
    return set(twins.to_pylist())


def check_split(
    split: str, grades: Grades, rules: JudgedSplit, queries: Queries, passages: Passages, noted: Counter[str]
) -> None:
    """UserError where nothing in a split can be found: no grade reaches rel, or drop_self takes out what is relevant.

    Noted are queries without a relevant passage, which count 0, and queries that are passages themselves.
    """
    relevant = {query: [doc for doc, grade in own.items() if grade >= rules.rel] for query, own in grades.items()}
    if not any(relevant.values()):
        levels = Counter(grade for own in grades.values() for grade in own.values())
        there = ", ".join(f"{grade} ({levels[grade]:,} times)" for grade in sorted(levels)) or "none"
        grade = "" if split in ("train", "validation") else f", and judged.{split}.rel the grade,"
        raise UserError(
            f"the split {split} has no judgment of grade {rules.rel} or more; its grades are: {there}; is it the file"
            f"{grade} that you mean?"
        )
    count(noted, f"{split}: queries without a relevant passage", sum(not docs for docs in relevant.values()))
    own = sum(query in docs for query, docs in relevant.items())
    if rules.drop_self and own:
        raise UserError(
            f"judged.{split}.drop_self: {own:,} of {len(grades):,} queries have the passage of their own id as a "
            f"relevant one, which would be taken out; say drop_self: false, or give queries ids of their own"
        )
    if not rules.drop_self:
        unjudged = {query for query in grades if query not in grades[query]}
        reason = f"{split}: queries that are passages themselves, which drop_self takes out of their rankings"
        count(noted, reason, _themselves(unjudged, queries, passages))


def note_repeated(split: str, grades: Grades, rel: int, twins: set[str], noted: Counter[str]) -> None:
    """Note the relevant passages of a split whose text another passage has too."""
    relevant = {doc for own in grades.values() for doc, grade in own.items() if grade >= rel}
    count(noted, f"{split}: relevant passages whose text another passage has too", len(relevant & twins))


def _themselves(asked: set[str], queries: Queries, passages: Passages) -> int:
    """How many queries have the id and the text of a passage."""
    same = np.asarray(pc.is_in(passages.ids, value_set=pa.array(sorted(asked), pa.string())))
    ids = passages.ids.filter(pa.array(same)).to_pylist()
    return int((digests(queries[name].text for name in ids) == passages.digests[same]).sum()) if ids else 0
