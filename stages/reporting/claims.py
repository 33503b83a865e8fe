"""The page of the papers' claims: findings, how many claims got which verdict, and what each rests on."""

import re
from collections.abc import Sequence

from stages.ledger.checked import CheckedClaim, CheckedLedger
from stages.ledger.claims import BESIDE, CAVEAT, CLAIM, Finding
from stages.ledger.verdicts import APPLIES, DOES_NOT_APPLY, OF_CLAIMS, OPEN, UNTESTED
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, Items, Text, anchor, link, strong, text

KINDS = {
    CLAIM: "What the paper says",
    BESIDE: "What its thesis, code or another source says",
    CAVEAT: "Caveats: what a comparison takes for granted",
}


def page(ledger: CheckedLedger) -> list[Block]:
    """The findings and the counts; then for each paper its claims with their notes, and what is not tested yet."""
    blocks: list[Block] = [
        Heading("What the papers claim, and what can be said of it", 1),
        "A program gives each verdict: from the figures that a paper prints itself, from its authors' code and "
        "records, from other sources, or from a study at the paper's size. A small collection never replaces the "
        "paper's. reports/claims.json has the formulas, the reasons and the sources.",
        Heading("Findings", 2),
        Items(tuple(_finding(finding) for finding in ledger.findings)),
    ]
    if ledger.stale:
        left_out = _do(
            ledger.stale,
            "finding is left out: a verdict that it rests",
            "findings are left out: a verdict that they rest",
        )
        blocks.append(f"{ledger.stale} {left_out} on is another by now.")
    blocks += [Heading("Verdicts", 2), *counted(ledger)]
    for name, paper in ledger.papers.items():
        claims = [claim for claim in ledger.claims if claim.paper == name]
        blocks += [Heading(f"{name}: {paper.title} (arXiv {paper.arxiv})", 2), paper.read]
        for kind, heading in KINDS.items():
            given = [claim for claim in claims if claim.kind == kind and claim.verdict != UNTESTED]
            if given:
                heads = ["", "claim", "as printed", "found", "verdict and note"]
                blocks += [Heading(heading, 3), Table(heads, [_line(claim) for claim in given])]
        blocks += _untested([claim for claim in claims if claim.verdict == UNTESTED])
    return blocks


def counts(ledger: CheckedLedger) -> Table:
    """How many claims of each paper got which verdict; verdicts that none got are left out."""
    claims = [claim for claim in ledger.claims if claim.kind == CLAIM]
    given = [(claim.paper, claim.verdict) for claim in claims]
    shown = [verdict for verdict in OF_CLAIMS if any(verdict == one for _, one in given)]
    lines = [[paper, *(str(given.count((paper, verdict))) for verdict in shown)] for paper in ledger.papers]
    return Table(["paper", *shown], lines)


def counted(ledger: CheckedLedger) -> list[Block]:
    """The counts, and a sentence on what they leave out."""
    beside = [claim.verdict for claim in ledger.claims if claim.kind == BESIDE]
    caveats = [claim.verdict for claim in ledger.claims if claim.kind == CAVEAT]
    applying, not_so = caveats.count(APPLIES), caveats.count(DOES_NOT_APPLY)
    left = caveats.count(UNTESTED) + caveats.count(OPEN)
    return [
        counts(ledger),
        f"Counted are claims of the papers. Beside them stand {len(beside)} of what only a thesis, the code or another "
        f"source says, and {len(caveats)} caveats, of which {applying} {_do(applying, 'applies', 'apply')}, {not_so} "
        f"{_do(not_so, 'does not', 'do not')}, and {left} {_do(left, 'is', 'are')} open.",
    ]


def _do(many: int, one: str, several: str) -> str:
    """The verb for so many."""
    return one if many == 1 else several


def target(claim: str) -> str:
    """The name of a claim's anchor."""
    return claim.lower().replace(".", "-")


def _finding(finding: Finding) -> Text:
    parts = [
        text(", " if at else "", link(name, f"#{target(name)}"), f" {verdict}")
        for at, (name, verdict) in enumerate(finding.claims.items())
    ]
    return text(strong(f"{finding.paper}, {finding.section}."), f" {finding.says} (", *parts, ").")


def _line(claim: CheckedClaim) -> list[Cell]:
    notes = "".join(f" {part[0].upper()}{part[1:]}." for part in _notes(claim))
    verdict = text(strong(claim.verdict), f".{notes}" if notes else "")
    return [*_said(claim), claim.stated, claim.obtained or NOTHING, verdict]


def _notes(claim: CheckedClaim) -> list[str]:
    """What stands beside a verdict: why nobody can tell, the note, and the interval over datasets."""
    parts = (claim.why if claim.verdict == OPEN else None, claim.note, claim.beside)
    return [part.rstrip(".") for part in parts if part]


def _said(claim: CheckedClaim) -> list[Cell]:
    where = claim.place if claim.rests in ("published version", "author's draft", "abstract") else claim.rests
    return [anchor(claim.id, target(claim.id)), f"{claim.says} ({where})"]


def _untested(claims: Sequence[CheckedClaim]) -> list[Block]:
    if not claims:
        return []
    studies = sorted({claim.source or "" for claim in claims})
    lines = [[*_said(claim), claim.stated, _without_caveat(claim)] for claim in claims]
    note = f"What would test them is a run of {', '.join(studies)}. Here, for one: {claims[0].why}."
    return [Heading("Not tested yet", 3), note, Table(["", "claim", "as printed", "what would test it"], lines)]


def _without_caveat(claim: CheckedClaim) -> str:
    """What a study has to measure, with a word where the entry is a caveat."""
    how = re.sub(r" on (\d+ corpora|[\w, /-]+) (\w+)$", r" (\1 \2)", claim.how)
    return f"caveat: {how}" if claim.kind == CAVEAT else how
