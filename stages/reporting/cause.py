"""The cause study's page: its abstract, what the runs support, what stays open, and every variant."""

from statistics import fmean

from stages.analysis.cause import Answers, Studied
from stages.analysis.contrasts import Contrast
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
        contrasts.EARLIER,
        picture("Change of both losses on every collection, and change against drift", drawn),
        Heading("What this says about saturation", 2),
        "P1 explains its results by saturation: all-MiniLM-L6-v2 had been trained on MS MARCO before. Its card names "
        "that collection, and not the others. (It names CodeSearchNet, which may hold some of the documentation.)",
        *cause_abstract.explained(studied),
        Heading("The contrasts behind each sentence", 2),
        _table(studied),
        Heading("What the runs support", 2),
        _opening(report),
        *(block for collection in ran for block in _answered(collection)),
        Heading("What these runs cannot settle", 2),
        *(f"Not run: {collection.title}." for collection in answers.values() if not collection.variants),
        *_scope(ran[0]),
        Heading("All variants", 2),
        *(block for collection in ran for block in _variants(collection)),
    ]


def _table(studied: Studied) -> Table:
    """Every contrast behind a sentence, with its collection."""
    lines: list[list[Cell]] = []
    for number, sentence in enumerate(studied.abstract.values(), 1):
        for place in sentence.places:
            for contrast in place.contrasts:
                compared = contrast.comparison
                lines.append(
                    [
                        f"{number}",
                        place.collection,
                        f"{contrast.says} {cause_abstract.LATE}" if contrast.late else contrast.says,
                        changes.signed(contrast.change()),
                        changes.interval(contrast),
                        changes.p_value(compared.p_family if compared else None),
                        contrast.verdict,
                    ]
                )
    notes = [
        f"{number}: {cause_abstract.capital(sentence.says)}."
        for number, sentence in enumerate(studied.abstract.values(), 1)
    ]
    if any(one.late for sentence in studied.abstract.values() for one in sentence.contrasts):
        notes.append(f"{cause_abstract.LATE}: asked after runs had been read.")
    return Table(["", "collection", "compared", "change %", "interval", "p", "verdict"], lines, notes)


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
        blocks.append(Items(tuple(f"{entry.says}: {_change(entry)}" for entry in question.contrasts)))
    return blocks


def _change(contrast: Contrast) -> str:
    """A change with its verdict, and where that is open what could have been shown."""
    unsure = contrast.verdict not in (WORSE, BETTER, NO_DIFFERENCE)
    return ", ".join(filter(None, (contrasts.change(contrast), contrasts.detectable(contrast) if unsure else "")))


def _scope(collection: Answers) -> list[Block]:
    return [
        "Minimum detectable effects are those of a single test at 80 % power, before the correction.",
        "No run here can settle what happens at full size. These runs have "
        f"{collection.steps} steps of {collection.batch} triplets, small collections, texts cut at 64 tokens (256 "
        "where the variant's name says so), and one base model. The paper's code trains for thousands of steps of 512 "
        "to 1,024 triplets and searches 8.8 million passages; these runs do not judge its figures.",
        "Some variants differ in more than their question names. The code's loss and the text's, as wholes, differ in "
        "distance, margin and normalisation. In-batch softmax and contrastive pairs draw their "
        "batches from the same triplets in another order. BM25's negatives come from its ranks 1 to 200, the base's "
        "from its ranks 51 to 200, so the window changes with the pool. “One fixed rank” moves on to the next allowed "
        "rank where the passage may not be a negative, which is frequent on the documentation (report.md audits "
        "such a draw). On the documentation every allowed negative is also the positive of another training "
        "query, because passages that are relevant to judged queries are never trained on: “at random” means among "
        "those. All models, the base included, are trained and encoded in bfloat16.",
    ]


def _variants(collection: Answers) -> list[Block]:
    steps = sorted({step for variant in collection.variants for step in variant.validation})
    among = f"verdict among all {len(collection.variants)}"
    heads: list[Cell] = ["variant", "change %", "interval", "detectable %", among, "drift", "last loss"]
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
    table = Table([*heads, *(f"validation at {step}" for step in steps)], lines)
    return [_heading(collection), _explained(collection), table, *_geometry(collection), *_sources(collection)]


def _explained(collection: Answers) -> Text:
    bases = {variant.base: variant.contrast.base for variant in collection.variants}
    values = ", ".join(f"{name} has {value:.4f}" for name, value in bases.items())
    compared = collection.variants[0].contrast.comparison
    assert compared
    return text(
        f"Each variant is compared with its own base checkpoint ({values}), over {compared.queries:,} queries in "
        f"{compared.clusters:,} clusters and {compared.seed_runs} seeds. Drift is 1 - mean cosine of a passage's "
        "vector to its vector under the base checkpoint. Validation is RR@10 of a small fixed sample. The verdicts are "
        f"corrected over all {len(collection.variants)} variants of the table, a larger family than a "
        "question's pairs, so that one contrast may have another verdict above."
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
