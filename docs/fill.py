"""Fill the generated blocks of the README, of docs/ and of the data card: `python -m docs.fill`, or `make readme`.

A block is between <!-- name --> and <!-- /name -->. BLOCKS says which function writes it; each reads committed
reports, dvc.yaml or params.yaml, and nothing else. tests/test_readme.py fails while a block is stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from stages import params
from stages.analysis import cause as cause_study
from stages.core import costs
from stages.evaluation import choice, comparison, results
from stages.evaluation.results import Result
from stages.ledger import checked
from stages.params.report import Report
from stages.planning import estimate
from stages.planning import outgrown as tables_of_sizes
from stages.reporting import cause_abstract, changes, growth, makeup, markdown
from stages.reporting import claims as reporting
from stages.reporting.table import Cell, Table
from stages.reporting.text import code, link, text
from studies import controls, curve, searching
from studies import recipes as strong_recipes

if TYPE_CHECKING:
    from dvc.repo import Repo

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
RATES = ROOT / "studies/machines/two-cores.json"
PAPERS = ("2506.18535", "2506.18297", "2311.09765")  # P1, P2, P3
BLOCK = re.compile(r"(<!-- ([\w-]+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
FIGURES = {
    ("download", "seconds"): "seconds, a corpus",
    ("train", "train_seconds"): "seconds, a seed run",
    ("train", "examples_per_second"): "triplets or pairs a second",
    ("train", "peak_rss_mb"): "peak memory, MB",
    ("score", "pairs_per_second"): "pairs a second",
    ("encode", "load_seconds"): "seconds to load a model",
    ("encode", "docs_per_second"): "passages a second",
    ("encode", "test_per_second"): "test queries a second",
    ("encode", "peak_rss_mb"): "peak memory, MB",
    ("search", "queries_per_second"): "queries a second",
    ("rerank", "pairs_per_second"): "pairs a second",
    ("rerank", "peak_rss_mb"): "peak memory, MB",
    ("latency", "merged_ms"): "milliseconds to encode a query, adapter merged",
    ("latency", "unmerged_ms"): "milliseconds to encode a query, adapter not merged",
}


def pages() -> list[Path]:
    """The documents whose blocks are filled."""
    return [ROOT / "README.md", ROOT / "data/README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """A document with every block as it should be; raises KeyError for a block that BLOCKS does not know."""
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match[2]]().strip("\n") + "\n" + match[3], text)


def table() -> str:
    """The answer and the table of the last report."""
    return (REPORTS / "table.md").read_text()


def rates() -> str:
    """RR@10 on dev of each method at each rate of the sweep, and of the base."""
    found = json.loads((ROOT / "studies/rates.json").read_text())
    base = next(entry["RR@10"] for entry in found if entry["rate"] is None)
    by_method: dict[str, list[tuple[float, float]]] = {}
    for entry in found:
        if entry["rate"] is not None:
            by_method.setdefault(entry["method"], []).append((entry["rate"], entry["RR@10"]))
    lines: list[list[Cell]] = [
        [method, *(f"{rate:g}: {figure:.4f}" for rate, figure in sorted(figures))]
        for method, figures in by_method.items()
    ]
    heads = ["method", "lowest rate: RR@10 on dev", "middle", "highest"]
    source = link("studies/rates.json", "../studies/rates.json")
    note = text(f"The base has {base:.4f}. One seed each, from ", source, ".")
    return markdown.document([Table(heads, lines), note])


def recipes() -> str:
    """What each strong recipe changes on each collection; how to find out, where that was not run."""
    results_at = ROOT / strong_recipes.RESULTS
    tables = strong_recipes.tables(results_at)
    return markdown.document([*tables, *strong_recipes.told(results_at)]) if tables else "Nobody has run it yet.\n"


def searched() -> str:
    """One side against the other, each with the setting that its search chose, on every target of the two studies."""
    lines: list[list[Cell]] = [
        [
            text(code(pair.variant), " against ", code(pair.against)),
            str(pair.target),
            f"{pair.value:.4f} against {pair.base:.4f}",
            changes.with_interval(pair),
            pair.comparison.verdict or "",
            link("trials", f"../{searching.REPORTS}/{name}.md"),
        ]
        for name in searching.NAMES
        for pair in results.read_pairs(ROOT / searching.REPORTS / name / "pairs.json")
        if {pair.variant, pair.against} <= set(params.load(ROOT / searching.STUDIES / f"{name}.yaml").searches)
    ]
    heads = ["variants", "target", "values", "change, % (interval)", "verdict", "more"]
    return markdown.document([Table(heads, lines)])


def grown() -> str:
    """What more training pairs gave on the default collection; how to find out, where that was not run."""
    study, at = params.load(ROOT / curve.STUDY), ROOT / curve.REPORTS
    if not (at / "results.json").is_file():
        return "Nobody has run it yet.\n"
    found, compared = results.read(at / "results.json"), results.read_pairs(at / "pairs.json")
    return markdown.document(growth.blocks(study, found, compared)[1:-1])


def example() -> str:
    """One line of the table in words: the first fine-tuned variant that the answer is not about."""
    study, entries = params.load(ROOT / "params.yaml"), results.read(REPORTS / "results.json")
    made = choice.choose(study, entries)
    name = next(one for one in choice.candidates(study) if made is None or one != made.best.variant)
    by_target = [results.at(entries, target)[name] for target in study.report.targets]
    sentences = [f"For example `{name}`:", _in_words(by_target[0], study.report)]
    for result in by_target[1:]:
        sentences += ["Out of domain:", _in_words(result, study.report)]
    for entry in costs.recorded(REPORTS / "costs.json"):
        if (entry["stage"], entry["name"]) == ("train", f"{name}.seed-{study.seeds[0]}"):
            seconds, memory, machine = (entry[figure] for figure in ("train_seconds", "peak_rss_mb", "machine"))
            sentences.append(f"It trained for {seconds:.0f} s, with at most {memory:,} MB, on {machine}.")
    return " ".join(sentences)


def _in_words(result: Result, report: Report) -> str:
    """What a line of the table says of one target."""
    judged = result.comparison
    if judged is None:
        raise ValueError(f"{result.variant} is not compared with the base on {result.target}")
    why = {
        comparison.BETTER: f"the corrected p-value is below {report.significance:g}",
        comparison.WORSE: f"the corrected p-value is below {report.significance:g}",
        comparison.NO_DIFFERENCE: f"the whole interval is within {report.margin:g} % of the base",
        comparison.CANNOT_TELL: "these queries show neither a gain nor a loss",
    }[judged.verdict or comparison.CANNOT_TELL]
    ends = changes.ends(result).replace(" to ", " and ")
    return (
        f"on {judged.queries:,} queries of `{result.corpus}` {result.split}, {result.measure} goes from "
        f"{result.base:.4f} to {result.value:.4f}, a change of {changes.size(result)}. For other queries of the same "
        f"kind it is plausibly between {ends}{' %' if result.base else ''}. The verdict is **{judged.verdict}**, "
        f"because {why}."
    )


def variants() -> str:
    """What each variant is made of."""
    return markdown.table(replace(makeup.table(params.load(ROOT / "params.yaml")), notes=[]))


def rerun() -> str:
    """The stages that `-S lora.rank=8` runs again, as DVC's graph has them."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        stages, names = stale(repo, "lora.rank"), len(repo.index.stages)
    groups: dict[str, list[str]] = {}
    for name in stages:
        groups.setdefault(name.partition("@")[0], []).append(name)
    lines = ["  ".join(group) for group in groups.values()]
    return f"Of {names} stages it runs {len(stages)}:\n\n```\n" + "\n".join(lines) + "\n```\n"


def stages() -> str:
    """What each stage makes, as dvc.yaml says it; stages of interpolations are those of other variants once more."""
    declared = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    described = {name: entry.get("do", entry)["desc"] for name, entry in declared.items()}
    lines: list[list[Cell]] = [
        [text(code(name)), words] for name, words in described.items() if not name.endswith("-interpolated")
    ]
    return markdown.table(Table(["stage", "what it makes"], lines))


def stale(repo: Repo, key: str) -> list[str]:
    """The stages that read a key of params.yaml, and all that come after them, in the order of dvc.yaml.

    `check` and `code` read the whole file and come before every other stage; they make nothing stale by themselves.
    """
    from networkx import ancestors

    first = ("check", "code")
    index = repo.index
    direct = {stage for stage in index.stages for dep in stage.params if _reads(dep.params, key)}
    later = {after for stage in direct if stage.addressing not in first for after in ancestors(index.graph, stage)}
    return [stage.addressing for stage in index.stages if stage in direct | later]


def _reads(names: list[str], key: str) -> bool:
    """Whether one of the params that a stage names is the key or a block around it; no names are the whole file."""
    return not names or any(f"{key}.".startswith(f"{name}.") for name in names)


def claims() -> str:
    """How many claims of each paper got which verdict."""
    return markdown.table(reporting.counts(checked.read(REPORTS / "claims.json")))


def cause() -> str:
    """The abstract of the cause study, and what it says about saturation."""
    studied = cause_study.read(REPORTS / "cause.json")
    return markdown.document([cause_abstract.abstract(studied), *cause_abstract.explained(studied)])


def asked() -> str:
    """The questions of the cause study on the documentation, each with its answer."""
    studied = cause_study.read(REPORTS / "cause.json")
    return "".join(f"- {one.ask} **{one.answer}**\n" for one in studied.collections["default"].questions)


def saturation() -> str:
    """The questions of the saturation study that have been answered, each with its answer."""
    studied = json.loads((REPORTS / "saturation.json").read_text())
    return "".join(
        f"- {question['ask']} **{question['answer']}**\n"
        for collection in studied.values()
        for question in collection["questions"]
    )


def detectable() -> str:
    """The minimum detectable effects on each target, least to most over the fine-tuned variants and BM25."""
    study, entries = params.load(ROOT / "params.yaml"), results.read(REPORTS / "results.json")
    ranges = []
    for target in study.report.targets:
        effects = [
            effect
            for entry in results.at(entries, target).values()
            if (effect := entry.change("detectable")) and not entry.on_part and "pretrained" not in entry.by_seed_run
        ]
        if effects:
            ranges.append(f"{min(effects):.1f} to {max(effects):.1f} % on `{target.corpus}` {target.split}")
    return (
        f"Minimum detectable effect of the fine-tuned retrievers (80 % power, uncorrected test at "
        f"{study.report.significance:g}): {', '.join(ranges)}."
    )


def spent() -> str:
    """What the stages cost, as reports/costs.json has it: each figure from its least to its most."""
    entries = costs.recorded(REPORTS / "costs.json")
    lines: list[list[Cell]] = []
    for (stage, figure), words in FIGURES.items():
        costed = sorted(
            (entry[figure], entry["name"]) for entry in entries if entry["stage"] == stage and figure in entry
        )
        if costed:
            lines.append(
                [stage, words, *(text(f"{_short(value)} ", code(name)) for value, name in (costed[0], costed[-1]))]
            )
    machines = sorted({entry["machine"] for entry in entries if "machine" in entry})
    return markdown.table(
        Table(["stage", "figure", "least", "most"], lines, [f"Recorded on {' and '.join(machines)}."])
    )


def agreement() -> str:
    """How far samples rank models as dev with all passages does, from studies/search_agreement.json."""
    found = json.loads((ROOT / "studies/search_agreement.json").read_text())
    lines: list[list[Cell]] = [
        [label, f"{one['queries']:,}", f"{one['passages']:,}", f"{one['tau']:.2f}", f"{one['regret']:.4f}"]
        for label, one in found["agreement"].items()
    ]
    parts = [f"{one['tau']:.2f} with {count}" for count, one in found["queries"].items()]
    regrets = [f"{one['regret']:.4f}" for one in found["queries"].values()]
    models = next(iter(found["agreement"].values()))["models"]
    note = text(
        f"Over {models} models, against RR@10 on dev with all passages. How many queries it takes, all passages "
        f"searched and against the dev queries that were not drawn (the mean of 500 draws): tau is {', '.join(parts)}; "
        f"the regret is {', '.join(regrets)}. From ",
        link("studies/search_agreement.json", "../studies/search_agreement.json"),
        ".",
    )
    return markdown.document([Table(["sample", "queries", "passages", "tau", "regret"], lines), note])


def planted() -> str:
    """What two studies with a known truth answered."""
    found = controls.table(REPORTS / "controls.json")
    return markdown.document([found]) if found else "Nobody has run them yet."


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def outgrown() -> str:
    """What one variant takes, by the size of its collection."""
    return markdown.table(tables_of_sizes.when(estimate.read(RATES)))


def papers() -> str:
    """What the papers' studies take on the machine that was measured."""
    paths = sorted((ROOT / "studies/papers").glob("*.yaml"), key=lambda path: PAPERS.index(path.stem))
    return markdown.table(tables_of_sizes.papers(estimate.read(RATES), paths, ROOT / "dvc.yaml"))


BLOCKS: dict[str, Callable[[], str]] = {
    "table": table,
    "example": example,
    "variants": variants,
    "stages": stages,
    "rerun": rerun,
    "claims": claims,
    "cause": cause,
    "asked": asked,
    "saturation": saturation,
    "detectable": detectable,
    "costs": spent,
    "rates": rates,
    "recipes": recipes,
    "agreement": agreement,
    "searched": searched,
    "curve": grown,
    "controls": planted,
    "outgrown": outgrown,
    "papers": papers,
}


def main() -> None:
    for path in pages():
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
