"""The cause study's abstract in words: each sentence with its figures, its collections and what it does not rest on."""

import re
from collections.abc import Sequence

from stages.analysis.cause import Studied
from stages.analysis.cause_abstract import ENOUGH_SEEDS, Place, Sentence
from stages.analysis.contrasts import Contrast
from stages.reporting import changes
from stages.reporting.table import NOTHING
from stages.reporting.text import Items, Text, strong, text

HARM, MILD, APART = "harm", "mild", "apart"  # the sentences that bear on saturation
LATE = "†"
COUNTED = {2: "two", 3: "three", 4: "four", 5: "five"}


def abstract(studied: Studied) -> Text:
    """One paragraph that can be quoted."""
    quoted = [
        words
        for sentence in studied.abstract.values()
        if sentence.quoted
        for words in ([f"{sentence.before}."] if sentence.before else []) + [said(sentence)]
    ]
    return text(
        " ".join([_opening(studied), _figures_are(studied), *quoted, _on_saturation(studied), _limits(studied)])
    )


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
    begins = f"{capital(sentence.says)}, on {_listed(held)}" if held else f"It is not shown that {sentence.says}"
    return f"{begins}{';' if held else ':'} {'; '.join(parts)}." if parts else f"{begins}."


def _caution(sentence: Sentence) -> str:
    """What a sentence lacks that holds somewhere: other collections, the first one, or seeds."""
    few = [place.collection for place in sentence.at("holds") if place.seeds < ENOUGH_SEEDS]
    if few:
        return f"on {_joined(few)} with fewer than {ENOUGH_SEEDS} seeds, so take it as a hint"
    alone = len({place.part for place in sentence.rests_on}) == 1
    return "so it rests on one collection alone" if alone else f"so it is not shown on {sentence.places[0].collection}"


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
        f"{len(tried)} collection{'' if len(tried) == 1 else 's'}. Most contrasts change one thing; the two losses "
        "as a whole differ in distance, margin and normalisation."
    )


def _figures_are(studied: Studied) -> str:
    """What the figures of the abstract are, so that it can be quoted alone."""
    ran = [collection for collection in studied.collections.values() if collection.variants]
    usual, tried = ran[0].measure, dict[tuple[str, ...], str]()
    exceptions = []
    for one in ran:
        parts = tuple(source.part for source in one.sources)
        about = []
        compared = one.variants[0].contrast.comparison
        if parts in tried and compared:
            about.append(f"the same models and passages, {compared.queries} queries")
        tried[parts] = one.short
        if about or one.measure != usual:
            exceptions.append(": ".join([f"{one.measure} on {one.short}", *about]))
    said = f" ({'; '.join(exceptions)})" if exceptions else ""
    late = any(one.late for sentence in studied.abstract.values() for one in sentence.contrasts)
    return (
        f"Figures are changes of {usual}{said} in per cent of the base, with {100 * (1 - studied.significance):g} % "
        f"intervals{f'; {LATE} marks what was asked after runs had been read' if late else ''}."
    )


def _limits(studied: Studied) -> str:
    ran = next(collection for collection in studied.collections.values() if collection.variants)
    return (
        f"The runs are small ({ran.steps} steps of {ran.batch} triplets) and say nothing about the figures that the "
        "paper reports at full size."
    )


def _on_saturation(studied: Studied) -> str:
    """What the results say of P1's explanation, without counting them as votes."""
    speaks_for, against, _ = explanation(studied)
    if not speaks_for and not against:
        return "On saturation, P1's explanation, these runs say nothing."
    parts = []
    if against:
        elsewhere = HARM in studied.abstract and _not_seen(studied.abstract[HARM].at("holds"))
        harms = "The code's loss also harms where the base had not been trained, as far as its card says, so saturation"
        parts.append(f"{harms if elsewhere else 'Saturation'}, P1's explanation, cannot be the only cause")
    drawn = [
        place.line
        for sentence in studied.abstract.values()
        if not sentence.quoted
        for place in sentence.at("holds")
        if place.line
    ]
    if drawn:
        small = f" ({drawn[0].steps} steps of {drawn[0].batch} triplets)" if drawn[0].steps else ""
        number = "one result" if len(drawn) == 1 else f"{len(drawn)} results"
        fits = f"{number}, of a second study{small}, fit{'s' if len(drawn) == 1 else ''} it"
        parts.append(fits if parts else f"{fits[0].upper()}{fits[1:]} as P1's explanation, saturation, would have it")
    elif speaks_for:
        parts.append(
            "one of these results fits it" if parts else "One of these results fits saturation, P1's explanation"
        )
    return "; ".join(parts) + "."


def _not_seen(places: Sequence[Place]) -> list[Place]:
    return [place for place in places if not place.seen]


def _weaker(sentence: Sentence) -> str:
    """What weakens a line of the saturation study: how few models it is drawn over, and other scales of them."""
    line = next((place.line for place in sentence.at("holds") if place.line), None)
    if line is None:
        return ""
    drawn = f"{COUNTED.get(line.levels, line.levels)} levels, one model each"
    rise = line.over_values
    if rise is None or rise.comparison is None:
        return f" ({drawn})"
    shown = "it is shown too" if rise.comparison.high < 0 else "it is not shown"
    figures = f"{changes.size(rise)}, {changes.ends(rise)}"
    return f" ({drawn}; over how well a level ranks, rather than its steps, {shown}: {figures})"


def explanation(studied: Studied) -> tuple[list[str], list[str], list[str]]:
    """What speaks for saturation, what speaks against it as the only cause, and what stays open."""
    by_name = studied.abstract
    speaks_for, against, unclear = list[str](), list[str](), list[str]()
    if HARM in by_name:
        elsewhere = _not_seen(by_name[HARM].at("holds"))
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
            (speaks_for if sentence.at("holds") else unclear).append(f"{said(sentence)[:-1]}{_weaker(sentence)}.")
    return speaks_for, against, unclear


def _mild(sentence: Sentence, speaks_for: list[str], against: list[str], unclear: list[str]) -> None:
    """What the text's loss at one rate says: whether it hurts where the base had been trained, and only there."""
    held = sentence.at("holds")
    seen, elsewhere = [one for one in held if one.seen], [one for one in held if not one.seen]
    others = [one for one in sentence.at("not shown", "opposite") if not one.seen]
    if elsewhere:
        against.append(f"The loss of P1's text makes the model worse also on {_listed(elsewhere)}.")
    elif seen and others:
        losses = [one.change() for place in seen for one in place.contrasts]
        alike = [place for place in others if any(_includes(one, losses) for one in place.contrasts)]
        harms = f"The loss of P1's text makes the model worse on {_listed(seen)}, which it was trained on before"
        if alike:
            unclear.append(
                f"{harms}. Whether it does so less elsewhere is not shown: the intervals there include the same loss, "
                f"on {_listed(alike)}."
            )
        else:
            speaks_for.append(f"{harms}, and loses less on {_listed(others)}, where the intervals are above that loss.")
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


def _listed(places: Sequence[Place]) -> str:
    return _joined([f"{place.collection} ({_figures(place.contrasts)})" for place in places])


def _includes(contrast: Contrast, changes_there: Sequence[float | None]) -> bool:
    """Whether the interval reaches down to one of the changes, so that the loss may be as large here."""
    low = contrast.change("low")
    return low is None or any(change is None or low <= change for change in changes_there)


def _figures(contrasts: Sequence[Contrast]) -> str:
    """Changes with intervals, "-19.1 %, -25.0 to -13.1", several named; – where nothing is a per cent."""
    named = len({_name(one) for one in contrasts}) > 1
    return "; ".join(f"{f'{_name(one)} ' if named else ''}{_figure(one)}" for one in contrasts) or NOTHING


def _name(contrast: Contrast) -> str:
    """The first words of what was compared: "cosine" of "cosine, margin 2 for 0.2"."""
    return re.split(r" \(|,", contrast.says)[0]


def _figure(contrast: Contrast) -> str:
    return f"{changes.size(contrast)}, {changes.ends(contrast)}{f' {LATE}' if contrast.late else ''}"


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def capital(words: str) -> str:
    return words[:1].upper() + words[1:]
