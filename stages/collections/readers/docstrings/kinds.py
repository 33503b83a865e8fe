"""Queries other than summaries: what else documentation says of an object in a sentence.

Each function yields (number of the object, text) in the order of the objects where it is said; the number is None where
it is not clear which of the objects is meant.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence

from stages.collections.readers.docstrings.harvest import Documented
from stages.collections.readers.docstrings.prose import paragraphs, sections, sentences
from stages.collections.readers.docstrings.references import resolver

Told = Iterator[tuple[int | None, str]]

NAMED = r"(?::[\w:+-]+:)?`*[~.!]?([A-Za-z_][\w.]*)(?:\(\))?`*"
SEE_ALSO = re.compile(rf"{NAMED}\s*:\s+(\S.*)$|{NAMED}\s*:?\s*$")
LISTED = re.compile(r"\s*([A-Za-z_][\w.]*)\s+--?\s+(\S.*)$")
LISTED_ON = re.compile(r"\s+--?\s+(\S.*)$")


def returned(objects: Sequence[Documented]) -> Told:
    """What an object's first result is, by its section "Returns" or "Yields"."""
    return ((number, text) for number, item in enumerate(objects) if (text := first_result(item.doc)))


def first_result(doc: str) -> str:
    """The first sentence on the first result, without its full stop; "" where the documentation has none."""
    parts = sections(doc)
    block: list[str] = []
    for line in (parts.get("returns") or parts.get("yields") or "").splitlines():
        if line.startswith(" "):
            block.append(line)
        elif block:
            break
    return first_sentence(textwrap.dedent("\n".join(block)))


def see_also(objects: Sequence[Documented]) -> Told:
    """What sections "See Also" say of the objects that they point to."""
    meant = resolver(objects)
    for item in objects:
        for name, text in pointers(sections(item.doc).get("see also", "")):
            yield meant(name, item), first_sentence(text)


def pointers(section: str) -> list[tuple[str, str]]:
    """(name, description) of the entries of a section in numpydoc's form that name one object and describe it."""
    entries: list[tuple[str, list[str]]] = []
    for line in section.splitlines():
        if line.startswith(" "):
            if entries:
                entries[-1][1].append(line.strip())
        elif entry := SEE_ALSO.match(line):
            entries.append((entry[1] or entry[3], [entry[2] or ""]))
        elif line.strip():
            entries.append(("", []))
    described = [(name, " ".join(lines).strip()) for name, lines in entries]
    return [(name, text) for name, text in described if name and text]


def listed(objects: Sequence[Documented]) -> Told:
    """What a module says of its members where it lists them as "name -- description"."""
    meant = resolver(objects)
    for item in objects:
        if item.name == item.module:
            for name, text in members(item.doc):
                yield meant(name, item), first_sentence(text)


def members(doc: str) -> list[tuple[str, str]]:
    """(name, description) of each line "name -- description", with the lines "-- more" that follow it."""
    entries: list[tuple[str, str]] = []
    listing = False
    for line in doc.expandtabs().splitlines():
        entry, more = LISTED.match(line), LISTED_ON.match(line)
        if entry:
            entries.append((entry[1], entry[2]))
        elif listing and more:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {more[1]}")
        listing = bool(entry or (listing and more))
    return entries


def first_sentence(text: str) -> str:
    """The first sentence of the prose, without its full stop; "" where there is none."""
    prose = paragraphs(text)
    return sentences(prose[0])[0].removesuffix(".") if prose else ""


KINDS = {"returns": returned, "see-also": see_also, "listing": listed}
