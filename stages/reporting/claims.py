"""The page of the papers' claims: how many got which verdict, and what each verdict rests on."""

from stages.ledger.checked import CheckedClaim, CheckedLedger, band, number, words
from stages.ledger.claims import VERDICTS
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, Items, Text, code, strong, text


def page(ledger: CheckedLedger) -> list[Block]:
    """The counts, then for each paper a table of its claims and how each was checked."""
    blocks: list[Block] = [
        Heading("What the papers claim, and what can be said of it", 1),
        "A program gives each verdict: from the figures that the papers print, from other sources, from the libraries "
        "themselves, or from a study at the paper's size. A small collection never replaces the paper's: a claim "
        "that needs the paper's size says so until somebody has run that study.",
        counts(ledger),
    ]
    for name, paper in ledger.papers.items():
        claims = [claim for claim in ledger.claims if claim.paper == name]
        blocks += [
            Heading(f"{name}: {paper.title} (arXiv {paper.arxiv})", 2),
            paper.read,
            Table(["id", "claim", "stated", "obtained", "verdict"], [_line(claim) for claim in claims]),
            Heading("How each was checked", 3),
            Items(tuple(_checked(claim) for claim in claims)),
        ]
    return blocks


def counts(ledger: CheckedLedger) -> Table:
    """How many claims of each paper got which verdict."""
    given = [(claim.paper, claim.verdict) for claim in ledger.claims]
    lines = [[paper, *(str(given.count((paper, verdict))) for verdict in VERDICTS)] for paper in ledger.papers]
    return Table(["paper", *VERDICTS], lines)


def _line(claim: CheckedClaim) -> list[Cell]:
    obtained = NOTHING if claim.figure is None else words(claim.figure)
    says = f"{claim.says} ({claim.place}; {claim.rests})"
    return [claim.id, says, _stated(claim), obtained, strong(claim.verdict)]


def _stated(claim: CheckedClaim) -> str:
    if claim.expected is None:
        return NOTHING
    if isinstance(claim.expected, str):
        return claim.expected
    if claim.sign:
        return f"{band(0, None, claim.sign)} (the paper has {number(claim.expected)})"
    below, above = claim.tolerance or (0.0, 0.0)
    least, most = claim.expected + below, claim.expected + above
    around = f"±{number(above)}" if above == -below else f"{number(least)} to {number(most)}"
    return f"{number(claim.expected)} ({around})" if above or below else number(claim.expected)


def _checked(claim: CheckedClaim) -> Text:
    checked = text(strong(claim.id), f" {claim.quantity}: {claim.why}.")
    if claim.by == "runs":
        checked = text(checked, f" Needs: {claim.how}, in {claim.source}.")
    elif claim.by != "nobody":
        checked = text(checked, " Computed: ", code(claim.how), f" from {claim.source or 'the library itself'}.")
    return text(checked, f" {claim.note}") if claim.note else checked
