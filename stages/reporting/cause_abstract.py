"""The cause study's abstract in words: each sentence with its figures, its collections and what it does not rest on."""

from collections.abc import Sequence

from stages.analysis.cause import Studied
from stages.analysis.cause_abstract import ENOUGH_SEEDS, Place, Sentence
from stages.analysis.contrasts import Contrast
from stages.reporting import changes
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Items, Text, strong, text

HARM, MILD, APART = "harm", "mild", "apart"  # the sentences that bear on saturation


def abstract(studied: Studied) -> Text:
    """One paragraph that can be quoted."""
    quoted = [said(sentence) for sentence in studied.abstract.values() if sentence.quoted]
    return text(" ".join([_opening(studied), *quoted, _on_saturation(studied), _limits(studied)]))


def said(sentence: Sentence) -> str:
    """A sentence with its figures: where it holds, where that is not shown, and where it was not tried."""
    held = sentence.at("holds")
    parts = [
        f"{words} {_listed(places)}"
        for words, places in {
            "in part on": sentence.at("holds in part"),
            "not shown on" if held else "not on": sentence.at("not shown"),
            "the other way round on": sentence.at("opposite"),
        }.items()
        if places
    ]
    untried = {place.part: place.collection for place in reversed(sentence.at("not tried"))}
    if untried:
        parts.append(f"not tried on {_joined([*untried.values()][::-1])}")
    if held and not sentence.is_well_founded:
        parts.append(_caution(sentence))
    begins = f"{_capital(sentence.says)}, on {_listed(held)}" if held else f"It is not shown that {sentence.says}"
    return f"{begins}{';' if held else ':'} {'; '.join(parts)}." if parts else f"{begins}."


def _caution(sentence: Sentence) -> str:
    """What a sentence lacks that holds somewhere: other collections, the default one, or seeds."""
    few = [place.collection for place in sentence.at("holds") if place.seeds < ENOUGH_SEEDS]
    if few:
        return f"on {_joined(few)} with fewer than {ENOUGH_SEEDS} seeds, so take it as a hint"
    alone = len({place.part for place in sentence.rests_on}) == 1
    return "so it rests on one collection alone" if alone else "so it is not shown on the default collection"


def _opening(studied: Studied) -> str:
    # Two splits of one run are one training, and two parts of one name one collection.
    ran = [collection for collection in studied.collections.values() if collection.variants]
    runs = {tuple(source.part for source in one.sources): one.variants for one in ran}
    trained = [variant for variants in runs.values() for variant in variants]
    seeds = sorted({len(variant.drift) for variant in trained})
    tried = {place.part for one in studied.abstract.values() for place in one.places if place.contrasts}
    return (
        f"We fine-tuned all-MiniLM-L6-v2 {sum(len(variant.drift) for variant in trained)} times, as "
        f"{len(trained)} variants with {' to '.join(map(str, seeds))} seeds each, on "
        f"{len(tried)} collection{'' if len(tried) == 1 else 's'}, and changed one thing at a time."
    )


def _limits(studied: Studied) -> str:
    ran = next(collection for collection in studied.collections.values() if collection.variants)
    return (
        f"All runs are small, {ran.steps} steps of {ran.batch} triplets, and say nothing about the figures that the "
        "paper reports at full size."
    )


def _on_saturation(studied: Studied) -> str:
    """The verdict on P1's explanation: how many results speak for it and how many against it alone."""
    speaks_for, against, _ = explanation(studied)
    if not speaks_for and not against:
        return "On saturation, P1's explanation, these runs say nothing."
    return (
        f"For saturation, P1's explanation, count {len(speaks_for)} of these results, and against it as the only cause "
        f"{len(against)}."
    )


def explanation(studied: Studied) -> tuple[list[str], list[str], list[str]]:
    """What speaks for saturation, what speaks against it as the only cause, and what stays open."""
    by_name = studied.abstract
    speaks_for, against, unclear = list[str](), list[str](), list[str]()
    if HARM in by_name:
        elsewhere = [place for place in by_name[HARM].at("holds") if not place.seen]
        if elsewhere:
            against.append(
                "The loss of P1's code also makes the model worse where its card names no such training data: on "
                f"{_listed(elsewhere)}."
            )
    if MILD in by_name:
        _mild(by_name[MILD], speaks_for, against, unclear)
    if APART in by_name:
        seen = [place for place in by_name[APART].at("holds") if place.seen]
        if seen:
            against.append(
                "Both losses start from one checkpoint, which is as saturated for the one as for the other, and the "
                f"code's does more harm than the text's: on {_listed(seen)}."
            )
    for sentence in by_name.values():
        if not sentence.quoted:
            (speaks_for if sentence.at("holds") else unclear).append(said(sentence))
    return speaks_for, against, unclear


def _mild(sentence: Sentence, speaks_for: list[str], against: list[str], unclear: list[str]) -> None:
    """What the text's loss at one rate says: whether it hurts where the base had been trained, and only there."""
    held = sentence.at("holds")
    seen, elsewhere = [one for one in held if one.seen], [one for one in held if not one.seen]
    others = [one for one in sentence.at("not shown", "opposite") if not one.seen]
    if elsewhere:
        against.append(f"The loss of P1's text makes the model worse also on {_listed(elsewhere)}.")
    elif seen and others:
        speaks_for.append(
            f"The loss of P1's text makes the model worse on {_listed(seen)}, which it was trained on before, and this "
            f"is not shown on {_listed(others)}. Changes there could have been missed: the minimum detectable "
            f"effects are {_joined([f'{changes.detectable(one)} %' for place in others for one in place.contrasts])}."
        )
    else:
        unclear.append(said(sentence))


def explained(studied: Studied) -> list[Text | Items]:
    """The same as paragraphs with lists."""
    heads = ("For it:", "Against it as the only cause:", "Open:")
    return [
        block
        for head, results in zip(heads, explanation(studied), strict=True)
        for block in (text(strong(head)), Items(tuple(results or ["nothing"])))
    ]


def table(studied: Studied) -> Table:
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
                        contrast.says,
                        changes.signed(contrast.change()),
                        changes.interval(contrast),
                        changes.p_value(compared.p_family if compared else None),
                        contrast.verdict,
                    ]
                )
    notes = [f"{number}: {_capital(sentence.says)}." for number, sentence in enumerate(studied.abstract.values(), 1)]
    return Table(["", "collection", "compared", "change %", "interval", "p", "verdict"], lines, notes)


def _listed(places: Sequence[Place]) -> str:
    return _joined([f"{place.collection} ({_figures(place.contrasts)})" for place in places])


def _figures(contrasts: Sequence[Contrast]) -> str:
    """Changes with intervals: "-19.1 %, -25.0 to -13.1"; – where nothing is a per cent."""
    return "; ".join(f"{changes.size(one)}, {changes.ends(one)}" for one in contrasts) or NOTHING


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
