"""The cause study's page: its abstract, what the runs support, what stays open, and every variant."""

from statistics import fmean

from stages.analysis.cause import Answers, Studied
from stages.evaluation.comparison import BETTER, NO_DIFFERENCE, WORSE
from stages.params.report import Report
from stages.reporting import cause_abstract, changes, contrasts
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, Items, Text, code, link, picture, strong, text


def page(studied: Studied, report: Report, drawn: str) -> list[Block]:
    """The whole page, with the picture in the file `drawn`."""
    answers = studied.collections
    ran = [collection for collection in answers.values() if collection.variants]
    return [
        Heading("Why does fine-tuning hurt?", 1),
        cause_abstract.abstract(studied),
        picture("Change of both losses on every collection, and change against drift", drawn),
        Heading("What this says about saturation", 2),
        "P1 explains its results by saturation: all-MiniLM-L6-v2 had been trained on MS MARCO before. Its card names "
        "that collection, and not the others. (It names CodeSearchNet, which may hold some texts of the default "
        "collection.)",
        *cause_abstract.explained(studied),
        Heading("The contrasts behind each sentence", 2),
        cause_abstract.table(studied),
        Heading("What the runs support", 2),
        _opening(report),
        *(block for collection in ran for block in _answered(collection)),
        Heading("What stays open", 2),
        *(block for collection in answers.values() for block in _open(collection)),
        *_scope(ran[0]),
        Heading("All variants", 2),
        *(block for collection in ran for block in _variants(collection)),
    ]


def _opening(report: Report) -> Text:
    return text(
        "We ran controlled experiments: within a seed, the variants that are compared were trained on the same "
        "triplets and differ only in what the question names (the exceptions are listed below). Changes are in per "
        f"cent of the base's value, with {100 * (1 - report.significance):g} % intervals over clusters of queries and "
        "over seeds; the p-values of one question are corrected as a family. “No difference” means that the change is "
        f"within {report.margin:g} %. “Not shown” is not “no”. Questions that we wrote after runs were read "
        "say so: ",
        link("questions.yaml", "../studies/cause/questions.yaml"),
        ". ",
        code("python -m studies.cause run"),
        " makes the runs.",
    )


def _heading(collection: Answers) -> Heading:
    return Heading(f"{collection.title}: {collection.measure} on {collection.split}", 3)


def _answered(collection: Answers) -> list[Block]:
    blocks: list[Block] = [_heading(collection)]
    for question in collection.questions:
        blocks.append(text(strong(question.ask), f" {question.answer}."))
        blocks.append(Items(tuple(f"{entry.says}: {contrasts.change(entry)}" for entry in question.contrasts)))
    return blocks


def _open(collection: Answers) -> list[Block]:
    """The questions of one collection that its runs leave open, with what they could have shown."""
    if not collection.variants:
        return [f"Not run: {collection.title}."]
    lines = []
    for question in collection.questions:
        unsure = [entry for entry in question.contrasts if entry.verdict not in (WORSE, BETTER, NO_DIFFERENCE)]
        reasons = "; ".join(
            f"{entry.says}: {', '.join(filter(None, (entry.verdict, contrasts.detectable(entry))))}" for entry in unsure
        )
        lines += [text(f"{question.ask} {reasons}.")] if unsure else []
    return [f"{collection.title}, {collection.split}:", Items(tuple(lines or ["nothing"]))]


def _scope(collection: Answers) -> list[Block]:
    return [
        "Minimum detectable effects are those of a single test at 80 % power, before the correction.",
        "No run here can settle what happens at full size. These runs have "
        f"{collection.steps} steps of {collection.batch} triplets, small collections, texts cut at 64 tokens (256 "
        "where the variant's name says so), and one base model. The paper's code trains for thousands of steps of 512 "
        "to 1,024 triplets and searches 8.8 million passages; these runs do not judge its figures.",
        "Some variants differ in more than their question names. In-batch softmax and contrastive pairs draw their "
        "batches from the same triplets in another order. BM25's negatives come from its ranks 1 to 200, the base's "
        "from its ranks 51 to 200, so the window changes with the pool. “One fixed rank” moves on to the next allowed "
        "rank where the passage may not be a negative, which is frequent on the default collection (report.md audits "
        "such a draw). On the default collection every allowed negative is also the positive of another training "
        "query, because passages that are relevant to judged queries are never trained on: “at random” means among "
        "those. All models, the base included, are trained and encoded in bfloat16.",
    ]


def _variants(collection: Answers) -> list[Block]:
    steps = sorted({step for variant in collection.variants for step in variant.validation})
    heads: list[Cell] = ["variant", "change %", "interval", "detectable %", "verdict", "drift", "last loss"]
    lines: list[list[Cell]] = []
    for variant in collection.variants:
        change, interval, verdict = contrasts.cells(variant.contrast)
        values = (variant.validation.get(step) for step in steps)
        lines.append(
            [
                code(variant.variant),
                change,
                interval,
                changes.detectable(variant.contrast),
                verdict,
                f"{fmean(variant.drift):.3f}",
                f"{fmean(variant.loss):.3f}",
                *(NOTHING if value is None else f"{value:.3f}" for value in values),
            ]
        )
    table = Table([*heads, *(f"validation at {step}" for step in steps)], lines, [_explained(collection)])
    return [_heading(collection), table, *_geometry(collection), *_sources(collection)]


def _explained(collection: Answers) -> Text:
    bases = {variant.base: variant.contrast.base for variant in collection.variants}
    values = ", ".join(f"{name} has {value:.4f}" for name, value in bases.items())
    compared = collection.variants[0].contrast.comparison
    assert compared
    return text(
        f"Each variant is compared with its own base checkpoint ({values}), over {compared.queries:,} queries in "
        f"{compared.clusters:,} clusters and {compared.seed_runs} seeds. Drift is 1 - mean cosine of a passage's "
        "vector to its vector under the base checkpoint. Validation is RR@10 of a small fixed sample. The verdicts are "
        f"corrected over all {len(collection.variants)} variants of the table, a larger family than a question's pairs."
    )


def _geometry(collection: Answers) -> list[Block]:
    if not collection.geometry:
        return []
    lines = [
        [name.replace("_", " "), NOTHING if one.rho is None else f"{one.rho:.2f}", changes.p_value(one.p), f"{one.n}"]
        for name, one in collection.geometry.items()
    ]
    return [
        "Does the geometry of the vector space go with the change? Spearman's ρ over the variants; variants that share "
        "a loss are not independent, and a correlation is no cause.",
        Table(["figure", "ρ", "p", "n"], lines),
    ]


def _sources(collection: Answers) -> list[Block]:
    lines = tuple(
        text(
            "Part ",
            code(source.part),
            f": commit {source.commit[:12]}, {source.threads} thread(s), torch {source.versions['torch']}, "
            f"sentence-transformers {source.versions['sentence-transformers']}.",
        )
        for source in collection.sources
    )
    return [Items(lines)]
