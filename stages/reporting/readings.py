"""How models read texts: what is put before them, how they are compared, and how many are longer than is read."""

import json
from collections.abc import Iterator

from stages.analysis.diagnosis import Cut, Diagnosis
from stages.params import Study
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Text, code, text

MANY = 0.1  # a larger share of passages that are cut is a warning


def table(study: Study, diagnosis: Diagnosis) -> list[Block]:
    """A line for each variant with a model, and which texts were cut; nothing where no model's files were read."""
    if not diagnosis.readings:
        return []
    heads = ["variant", "before a query", "before a passage", "similarity", "tokens of a query", "tokens of a passage"]
    lines: list[list[Cell]] = [
        [
            variant,
            _prompt(reading.query_prompt),
            _prompt(reading.passage_prompt),
            reading.similarity or NOTHING,
            f"{reading.query_tokens:,}" if reading.query_tokens else NOTHING,
            f"{reading.passage_tokens:,}" if reading.passage_tokens else NOTHING,
            reading.trained_in or NOTHING,
            diagnosis.computed.get(variant, NOTHING),
        ]
        for variant, reading in diagnosis.readings.items()
    ]
    note = text(
        "Prompts and limits are those of the models' own files. Weights are float32, whatever they are stored in; "
        f"layers compute in what the last two columns say{_by_hardware(study)}. Of a cross-encoder the limit is that "
        "of the pair."
    )
    return [Table([*heads, "trained in", "computed in"], lines, [note]), *_cut(diagnosis)]


def warnings(diagnosis: Diagnosis) -> list[str]:
    """Where more than a tenth of the passages, or any queries, are not read whole; a sentence without its full stop."""
    return [
        f"{corpus}: {_amount(cut, name)} are longer than the {cut.tokens} tokens that "
        f"{_variants(names, diagnosis)} of them"
        for (corpus, name, cut), names in _alike(diagnosis).items()
        if cut.cut and (name != "docs" or cut.cut > MANY * cut.texts)
    ]


def in_words(prompt: str) -> Text:
    """A prompt between quotes, line ends and spaces visible; "nothing" for none."""
    return text(code(json.dumps(prompt, ensure_ascii=False)) if prompt else "nothing")


def _prompt(prompt: str) -> Cell:
    return in_words(prompt) if prompt else NOTHING


def _by_hardware(study: Study) -> str:
    """Said where params.yaml leaves a precision to the machine."""
    recipes = [recipe.precision for recipe in study.recipes.values() if recipe]
    is_auto = "auto" in (study.index.precision, study.rerank.precision, *recipes)
    return ", which is what the machine of this run does natively where params.yaml says auto" if is_auto else ""


def _cut(diagnosis: Diagnosis) -> Iterator[Block]:
    """Which texts were not read whole, by how many variants alike."""
    if not diagnosis.cut:
        return
    lines: list[list[Cell]] = [
        [corpus, _texts(name), str(cut.tokens), f"{cut.cut:,} of {cut.texts:,}", _share(cut), ", ".join(names)]
        for (corpus, name, cut), names in _alike(diagnosis).items()
        if cut.cut
    ]
    if lines:
        yield Table(["corpus", "texts", "tokens read", "longer", "longer, %", "by"], lines)
    else:
        yield "Every text was read whole."


def _alike(diagnosis: Diagnosis) -> dict[tuple[str, str, Cut], list[str]]:
    """(corpus, texts, how many of them were cut) -> the variants of which that is true."""
    alike: dict[tuple[str, str, Cut], list[str]] = {}
    for variant, by_corpus in diagnosis.cut.items():
        for corpus, texts in by_corpus.items():
            for name, cut in texts.items():
                alike.setdefault((corpus, name, cut), []).append(variant)
    return dict(sorted(alike.items(), key=lambda entry: entry[0][0]))


def _texts(name: str) -> str:
    return "passages" if name == "docs" else f"{name} queries"


def _share(cut: Cut) -> str:
    return f"{100 * cut.cut / cut.texts:.1f}"


def _amount(cut: Cut, name: str) -> str:
    return f"{_share(cut)} % of the passages" if name == "docs" else f"{cut.cut:,} of {cut.texts:,} {_texts(name)}"


def _variants(names: list[str], diagnosis: Diagnosis) -> str:
    if len(names) == len(diagnosis.cut):
        return "the variants read"
    return f"{', '.join(names)} {'reads' if len(names) == 1 else 'read'}"
