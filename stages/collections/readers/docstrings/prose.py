"""The prose of one documentation string: its first sentence and the narrative after it, markup unwrapped."""

import re
import textwrap
from functools import cache

NARRATIVE = {"", "notes", "note", "explanation", "description", "extended summary"}
UNDERLINE = re.compile(r"([-=~^*])\1{2,}\s*$")
HEADING = re.compile(
    r"(args|arguments|parameters|params|returns?|yields?|raises|throws|examples?|usage|notes?|"
    r"attributes|see also|references|keyword args|keyword arguments|other parameters|methods|"
    r"warnings?|warns|todo|explanation|description|inputs?|outputs?)\s*:{1,2}\s*$",
    re.IGNORECASE,
)
FIELD = re.compile(
    r"[:@](param|parameter|arg|argument|key|keyword|type|returns?|rtype|raises?|except|exception|var|"
    r"ivar|cvar|vartype|yields?|ytype|meta|see|note|since|author|license|copyright)\b[^:]*:"
)
BULLET = re.compile(r"^([-*+•]|\(?\d{1,2}[.)]|\([a-z]\))\s+")
NOT_PROSE = re.compile(r"(\.\. |\.\.$|>>>|\.\.\. |\||\+[-=]|={3,}|-{3,}|@|```|#|%)")
SIGNATURE = re.compile(r"[\w.]+\(.*\)(\s*->.*)?", re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|cf|vs|al|etc|eqs?|refs?|figs?|sec|ch|pp?|no|vol|dr)\.$", re.IGNORECASE)


@cache
def sections(doc: str) -> dict[str, str]:
    """Title in lower case -> text of the sections of a documentation string; "" is the title of what comes first.

    The style may be numpydoc's, Google's or that of field lists.
    """
    titled: dict[str, list[str]] = {"": []}
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
            titled.setdefault(title, []).append(line)
            continue
        titled.setdefault(title, [])
    return {title: textwrap.dedent("\n".join(lines)) for title, lines in titled.items()}


def paragraphs(text: str) -> list[str]:
    """The prose of a section, one string a paragraph or list item; code, tables, directives and formulas left out."""
    kept: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith(" ") or NOT_PROSE.match(block) or SIGNATURE.fullmatch(block):
            if kept and not kept[-1].endswith((".", "!", "?")):
                kept[-1] = " ".join(sentences(kept[-1])[:-1])
            continue
        for item in re.split(r"\n(?=\s*(?:[-*+•]|\(?\d{1,2}[.)])\s)", block):
            kept.append(plain(BULLET.sub("", item.strip())))
    return [paragraph for paragraph in kept if paragraph]


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph; the full stop of an abbreviation ends none."""
    ended: list[str] = []
    for piece in SENTENCE_END.split(paragraph):
        if ended and ABBREVIATION.search(ended[-1]):
            ended[-1] += f" {piece}"
        else:
            ended.append(piece)
    return ended


def plain(text: str) -> str:
    """Unwrap roles, links, emphasis and literals; drop citations after a full stop; one space between words."""
    text = re.sub(r"(\[#?\w+\])_", r"\1", text)
    text = re.sub(r"(?<=[.!?])(\s*,?\s*\[\w+\])+\.?", "", text)
    text = re.sub(r"`([^`<]+?)\s*<[^`<>\s]+>`", r"`\1`", text)
    text = re.sub(r"(?::[\w:+-]+:\s?)?`+[~.!]?([^`]*)`+_*", r"\1", text)
    text = re.sub(r"(?<![\w*])(\*{1,2})([^*\s](?:[^*]*[^*\s])?)\1(?![\w*])", r"\2", text)
    return re.sub(r"::$", ":", " ".join(text.split()))


def summary_and_narrative(doc: str) -> tuple[str, list[str]]:
    """The first sentence without its full stop, and the sentences after it that are prose ("" and [] if none)."""
    parts = dict(sections(doc))
    lead = paragraphs(parts.pop(""))
    if not lead:
        return "", []
    summary, *rest = sentences(lead[0])
    for paragraph in lead[1:] + [p for title in parts if title in NARRATIVE for p in paragraphs(parts[title])]:
        rest += sentences(paragraph)
    narrative: list[str] = []
    for sentence in rest:
        if is_prose(sentence):
            narrative.append(sentence if sentence.endswith((".", "!", "?", ":", ";", ",")) else f"{sentence}.")
        elif narrative and narrative[-1].endswith(":"):
            narrative.pop()
    return summary.removesuffix("."), narrative


def is_prose(sentence: str) -> bool:
    """Whether a sentence is more than a label, holds no formula, link or loose end of one, and is mostly words."""
    words = sentence.split()
    return (
        len(words) >= 4
        and not re.search(r"\\|http|%\(|>>>|^where ", sentence)
        and sum(bool(re.search(r"[A-Za-z]{2}", word)) for word in words) >= 0.6 * len(words)
    )
