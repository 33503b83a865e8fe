"""The comments of a params.yaml that a plan writes: where it comes from, and a line for each number."""

import textwrap
from collections.abc import Sequence

from stages.planning.plans import Plan, decisions
from stages.planning.proposal import duration

WIDTH = 76
BLOCKS = {
    "corpora": "what is searched, trained on and measured",
    "base": "the retriever that every variant starts from, and where it cuts texts",
    "triplets": "what is trained on; docs/params.md has every key of this file",
    "recipes": "the loss and the schedule",
    "retrievers": "the variants; the answer compares them with base",
    "report": "what is compared with what, and when it counts",
}


def head(plan: Plan) -> list[str]:
    """The first lines of the file, each at most 80 columns with its mark."""
    lines = [
        f"The line above shows whether anybody edited what python -m stages.plan wrote for {plan.facts.source}:",
        f"about {duration(plan.proposal.seconds)} of {plan.hours:g} h. reports/plan.md tells more. Why each number:",
    ]
    return [short for line in [*lines, *_reasons(plan)] for short in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _reasons(plan: Plan) -> list[str]:
    return [f"- {key} {value}: {why}" for key, (value, why) in decisions(plan).items()]


def inside(plan: Plan) -> dict[str, Sequence[str]]:
    """Block -> the comment lines at its beginning."""
    out = plan.proposal.left_out
    left = textwrap.wrap("Left out: " + "; ".join(f"{name}, {why}" for name, why in out.items()), WIDTH) if out else []
    return {name: [words, *(left if name == "retrievers" else [])] for name, words in BLOCKS.items()}
