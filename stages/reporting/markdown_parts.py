"""The Markdown that this project writes (paragraphs, headings, lists, tables, bold, code) as plain data for a page."""
import re

MARK = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`|\*(?P<em>[^*]+)\*|\[(?P<link>[^\]]+)\]\([^)]+\)")
RULE = re.compile(r"\|( -+:? \|)+")


def parts(text: str) -> list[dict]:
    """The blocks of a Markdown text, in order.

    {"kind": "heading" | "paragraph", "spans"}, {"kind": "list", "items": [spans]} or {"kind": "table", "heads":
    [spans], "lines": [[spans]], "right": [bool]}; spans are those of `spans`. Pictures are left out.
    """
    return [_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block and not block.startswith("![")]


def spans(text: str) -> list[dict]:
    """One line as [{"style": "text" | "code", "text"} or {"style": "strong" | "em" | "link", "spans"}]."""
    found, at = [], 0
    for match in MARK.finditer(text):
        if match.start() > at:
            found.append({"style": "text", "text": text[at:match.start()]})
        style = match.lastgroup
        found.append({"style": style, "text": match[style]} if style == "code" else
                     {"style": style, "spans": spans(match[style])})
        at = match.end()
    return found + ([{"style": "text", "text": text[at:]}] if at < len(text) else [])


def plain(found: list[dict]) -> str:
    """The words of spans without their styles."""
    return "".join(span.get("text", "") or plain(span.get("spans", [])) for span in found)


def _block(block: str) -> dict:
    lines = block.splitlines()
    if lines[0].startswith("#"):
        return {"kind": "heading", "spans": spans(lines[0].lstrip("# "))}
    if len(lines) > 1 and RULE.fullmatch(lines[1]):
        return {"kind": "table", "heads": _cells(lines[0]), "lines": [_cells(line) for line in lines[2:]],
                "right": [rule.strip().endswith(":") for rule in lines[1].strip("|").split("|")]}
    if all(line.startswith("- ") for line in lines):
        return {"kind": "list", "items": [spans(line[2:]) for line in lines]}
    return {"kind": "paragraph", "spans": spans(" ".join(lines))}


def _cells(line: str) -> list[list[dict]]:
    return [spans(cell.strip()) for cell in line.strip()[1:-1].split("|")]
