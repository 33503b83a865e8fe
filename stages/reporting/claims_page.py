"""The ledger's verdicts in words: one plain entry a claim, and the page in Markdown."""
import re

from stages.ledger import claims as ledger
from stages.reporting import tables


def entry(name: str, claim, found, verdict: str, lacking: str | None, constants: dict) -> dict:
    """A claim with its verdict as plain data: what was said, what was found, and where each comes from."""
    return {"id": name, "paper": claim.paper, "place": claim.place, "rests": claim.rests, "says": claim.says,
            "quantity": claim.quantity, "expected": claim.expected,
            "tolerance": list(claim.tolerance) if claim.tolerance else None, "sign": claim.sign,
            "found": [_round(end) for end in found] if isinstance(found, tuple) else _round(found),
            "verdict": verdict, "by": claim.by, "why": lacking or _reason(claim, found, verdict),
            "how": claim.compute or (_needed(claim.needs) if claim.needs else "no check is known"),
            "source": "; ".join(_sources(claim.compute, constants)) if claim.compute else
            claim.needs.study if claim.needs else None, "note": claim.note}


def _reason(claim, found, verdict: str) -> str:
    if isinstance(claim.expected, str):
        return f"{found} where {claim.expected} is said"
    band = _band(claim.expected, claim.tolerance, claim.sign)
    what = f"{number(found[0])} to {number(found[1])}" if isinstance(found, tuple) else number(found)
    return {ledger.HOLDS: f"{what} is {band}", ledger.OPEN: f"{what} is only partly {band}"}.get(
        verdict, f"{what} is not {band}")


def _band(expected: float, tolerance, sign: str | None) -> str:
    if sign:
        return "above 0" if sign == "positive" else "below 0"
    least, most = (expected + part for part in tolerance)
    if most == least:
        return number(most)
    if number(least) == number(most):
        return f"within {number(max(-tolerance[0], tolerance[1]))} of {number(expected)}"
    return f"within {number(least)} to {number(most)}"


def _needed(needs) -> str:
    what = {"value": f"{needs.measure} of {needs.row}",
            "correlation": f"correlation of {needs.of} with {needs.measure} over {len(needs.named)} rows"}.get(
        needs.figure, f"{needs.measure} of {needs.row} minus {needs.against}"
                      f"{', % of the latter' if needs.figure == 'change' else ''}")
    if needs.measure.startswith("gpu_"):
        return f"{what}, in training"
    where = ", ".join(needs.corpora) if len(needs.corpora) < 4 else f"{len(needs.corpora)} corpora"
    return f"{what} on {where} {needs.split}"


def _sources(expression: str, constants: dict) -> list[str]:
    """Where the tables that an expression names were read, in the order in which it names them."""
    named = dict.fromkeys(re.findall(r"\b(P\d|models)\.(\w+)", expression))
    return list(dict.fromkeys(constants[paper][table]["source"] for paper, table in named))


def number(value: float) -> str:
    """A figure with four significant digits and no power of ten, whole numbers with their thousands marked."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.9f}".rstrip("0").rstrip(".") if abs(value) < 0.001 else f"{value:,.4g}"


def _round(value):
    return float(f"{value:.6g}") if isinstance(value, float) and not value.is_integer() else value


def page(shown: dict) -> str:
    """claims.md: how many of each verdict, then a table a paper, and what each verdict rests on."""
    parts = ["# What the papers claim, and what can be said of it\n",
             "Each verdict is given by a program: from the figures that the papers print, from other sources, from the "
             "libraries themselves, or from a study at the paper's size. A small collection never speaks for a paper: "
             "what needs the paper's size says so until its study has been run.\n",
             _counts(shown)]
    for paper, about in shown["papers"].items():
        claims = [claim for claim in shown["claims"] if claim["paper"] == paper]
        parts += [f"## {paper}: {about['title']} (arXiv {about['arxiv']})\n", f"{about['read']}\n",
                  tables.markdown(["id", "claim", "said", "found", "verdict"], [
                      [claim["id"], f"{claim['says']} ({claim['place']}; {claim['rests']})", _said(claim),
                       _found(claim), f"**{claim['verdict']}**"] for claim in claims]),
                  "### How each was checked\n", *(_checked(claim) for claim in claims), ""]
    return "\n".join(parts)


def _counts(shown: dict) -> str:
    def count(paper, verdict):
        return str(sum(claim["paper"] == paper and claim["verdict"] == verdict for claim in shown["claims"]))
    return tables.markdown(["", *ledger.VERDICTS], [[paper, *(count(paper, verdict) for verdict in ledger.VERDICTS)]
                                                    for paper in shown["papers"]])


def _said(claim: dict) -> str:
    if claim["expected"] is None:
        return "–"
    if claim["sign"]:
        return f"{_band(0, None, claim['sign'])} ({number(claim['expected'])} there)"
    if claim["tolerance"] is None:
        return f"{claim['expected']}"
    below, above = claim["tolerance"]
    least, most = claim["expected"] + below, claim["expected"] + above
    around = f"±{number(above)}" if above == -below else f"{number(least)} to {number(most)}"
    return f"{number(claim['expected'])} ({around})" if above or below else number(claim["expected"])


def _found(claim: dict) -> str:
    found = claim["found"]
    if found is None:
        return "–"
    if isinstance(found, list):
        return f"{number(found[0])} to {number(found[1])}"
    return found if isinstance(found, str) else number(found)


def _checked(claim: dict) -> str:
    parts = [f"- **{claim['id']}** {claim['quantity']}: {claim['why']}."]
    if claim["by"] not in ("runs", "nobody"):
        parts.append(f"Computed: `{claim['how']}` from {claim['source'] or 'the library itself'}.")
    elif claim["by"] == "runs":
        parts.append(f"Needs: {claim['how']}, in {claim['source']}.")
    if claim["note"]:
        parts.append(claim["note"])
    return " ".join(parts)
