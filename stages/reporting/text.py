"""Sentences as data: spans of words with a style, which markdown.py and the page's templates render.

A plain str is a sentence without styles; renderers escape what it holds, so nobody writes Markdown or HTML into one.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Span:
    """Words in one style; `target` is where a link or a picture points, or the anchor's name."""

    words: str
    style: Literal["strong", "em", "code", "link", "picture", "anchor"]
    target: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph, or a table's cell, in parts: a str is without style."""

    parts: tuple[str | Span, ...]


@dataclass(frozen=True)
class Heading:
    """`level` 1 is the title of a document."""

    words: str
    level: int


@dataclass(frozen=True)
class Items:
    """A list with bullets."""

    entries: tuple[str | Text, ...]


def text(*parts: str | Span | Text) -> Text:
    """One text of several parts in their order: text("Fine-tune ", code("lora-hard"), ".")."""
    return Text(tuple(span for part in parts for span in (part.parts if isinstance(part, Text) else (part,))))


def strong(words: str) -> Span:
    return Span(words, "strong")


def em(words: str) -> Span:
    return Span(words, "em")


def code(words: str) -> Span:
    return Span(words, "code")


def link(words: str, target: str) -> Span:
    return Span(words, "link", target)


def anchor(words: str, name: str) -> Span:
    """Words that a link to #name leads to."""
    return Span(words, "anchor", name)


def picture(words: str, target: str) -> Text:
    """A picture on its own; `words` say what it shows to who cannot see it."""
    return Text((Span(words, "picture", target),))


def plain(value: str | Span | Text) -> str:
    """The words without their styles."""
    if isinstance(value, Text):
        return "".join(plain(part) for part in value.parts)
    return value.words if isinstance(value, Span) else value
