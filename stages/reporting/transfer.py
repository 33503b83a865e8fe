"""What fine-tuning costs in and out of domain: the tables of stages.transfer; transfer_picture.py draws them."""

from collections.abc import Iterable, Sequence

from stages.analysis.transfer import OverSets, Transfer, TuningPair, VariantTransfer
from stages.reporting.changes import signed
from stages.reporting.markdown import Block
from stages.reporting.table import NOTHING, Cell, Table
from stages.reporting.text import Heading, Items, Text, code, em, picture, strong, text


def page(transfer: Transfer, drawn: str) -> list[Block]:
    """The whole page, with the picture in the file `drawn`; one sentence where nothing is out of domain."""
    blocks: list[Block] = [Heading("In and out of domain", 1), *average(transfer)]
    if not transfer.out_of_domain:
        return blocks
    sets = tuple(
        f"{name}: {'mean of ' if len(parts) > 1 else ''}{', '.join(parts)}" for name, parts in transfer.sets.items()
    )
    return [
        *blocks,
        picture("Change in domain against change out of domain", drawn),
        Heading("What is forgotten, and where", 2),
        *forgetting(transfer),
        Heading("LoRA against full fine-tuning", 2),
        *pairs(transfer),
        Heading("The sets", 2),
        Items(sets),
    ]


def average(transfer: Transfer) -> list[Block]:
    """Each variant's value in domain and its mean over the other sets, each with its change against the base there."""
    if not transfer.out_of_domain:
        return [
            text(
                f"The study measures one set ({', '.join(transfer.sets)}), so that nothing is out of domain. Name "
                "another corpus in ",
                code("params.yaml"),
                " to see what a variant costs or gains there.",
            )
        ]
    heads: list[Cell] = [
        "variant",
        "trained on",
        f"{transfer.measure} in domain",
        "change % (interval)",
        f"mean {transfer.measure} out of domain",
        text(code(transfer.base), " on the same"),
        "change % (interval)",
        "sets won",
    ]
    lines = [_averages(variant, transfer.base) for variant in transfer.variants]
    return [Table(heads, lines, [_explained(transfer)])]


def has_one_set(transfer: Transfer) -> bool:
    """Whether one set is out of domain for all variants, so that averages over sets would repeat the main table."""
    return len(transfer.sets) == 2


def one_set(transfer: Transfer) -> list[Block]:
    """How like the one set out of domain is to what was trained on; its values are those of the main table."""
    told = "One collection is out of domain, and the main table has its values."
    like = [
        f" Its words are those of {corpus} to {100 * similarity[name]:.0f} %: the weighted Jaccard similarity of their "
        "frequencies."
        for corpus, similarity in transfer.similarity.items()
        for name in similarity
        if name != corpus
    ]
    return [text(told, *like)]


def forgetting(transfer: Transfer) -> list[Block]:
    """One table a training corpus: variants by sets, the sets from the most to the least like that corpus."""
    blocks: list[Block] = []
    for corpus, similarity in transfer.similarity.items():
        variants = [entry for entry in transfer.variants if entry.domain.trained_on == corpus and entry.changes]
        if variants:
            change = text(f"Trained on {corpus}; change in per cent of ", code(transfer.base), " on each set:")
            blocks += [change, _by_set(variants, similarity)]
    if not blocks:
        return ["The study trains no variant."]
    correlated = any(variant.correlation for variant in transfer.variants)
    counted = (
        "ρ is Spearman's rank correlation of change and similarity over the sets out of domain, uncorrected; the sets "
        "are few and share much else."
        if correlated
        else "With fewer than 5 sets out of domain there is no correlation."
    )
    part = "; ".join(
        f"{corpus}: {count:,} of {of:,}" for corpus, (count, of) in transfer.passages.items() if count < of
    )
    explained = (
        "Similarity is the weighted Jaccard similarity of word frequencies in the passages of the set and of the "
        f"training corpus (Thakur et al. 2021): 1 means the same words equally often. {counted}"
    )
    return [*blocks, f"{explained} Passages counted, evenly spaced: {part}." if part else explained]


def pairs(transfer: Transfer) -> list[Block]:
    """LoRA against full fine-tuning with the same base checkpoint, triplets and recipe, in and out of domain."""
    measured = [pair for pair in transfer.pairs if pair.in_domain or pair.out_of_domain]
    if not measured:
        return ["No two variants differ only in that one is fully fine-tuned and the other with LoRA."]
    shares = ["% of full", "% of base"]
    heads = ["LoRA against full", "in domain", "difference", *shares, "out of domain", "difference (interval)", *shares]
    lines = [_difference(pair) for pair in measured]
    over = _over(pair.out_of_domain for pair in measured)
    note = (
        f"Differences are LoRA minus full in {transfer.measure}; out of domain over the means of the sets, with a "
        f"{_level(transfer)} interval over {over}. The variants of a pair differ in their tuning only, its "
        "learning rate included."
    )
    return [Table([*heads, "sets won by LoRA"], lines, [note])]


def _averages(entry: VariantTransfer, base: str) -> list[Cell]:
    cells: list[Cell] = [strong(entry.variant), entry.domain.trained_on or NOTHING]
    star, is_base = "*" if entry.part else "", entry.variant == base
    if entry.in_domain:
        cells += [f"{entry.in_domain.value:.4f}{star}", "" if is_base else _change(entry.in_domain)]
    else:
        cells += [NOTHING] * 2
    side = entry.out_of_domain
    if side is None:
        return [*cells, *[NOTHING] * 4]
    value = f"{side.value:.4f}{star}"
    if is_base:
        return [*cells, value, "", "", ""]
    return [*cells, value, f"{side.against:.4f}", _change(side), f"{side.won} of {len(side.sets)}"]


def _by_set(variants: Sequence[VariantTransfer], similarity: dict[str, float]) -> Table:
    own = variants[0].domain.in_domain_set
    names = sorted(similarity, key=lambda name: (name != own, -similarity[name]))
    correlated = any(variant.correlation for variant in variants)
    heads = ["variant", *(f"{name} (trained)" if name == own else name for name in names)]
    lines: list[list[Cell]] = [[em("similarity"), *(f"{similarity[name]:.2f}" for name in names)]]
    lines += [[strong(entry.variant), *(signed(entry.changes.get(name)) for name in names)] for entry in variants]
    if correlated:
        heads.append("ρ (p)")
        lines = [
            [*line, cell] for line, cell in zip(lines, ["", *(_correlation(entry) for entry in variants)], strict=True)
        ]
    return Table(heads, lines)


def _difference(pair: TuningPair) -> list[Cell]:
    cells: list[Cell] = [text(strong(pair.lora), " against ", strong(pair.full))]
    for side, ends in ((pair.in_domain, False), (pair.out_of_domain, True)):
        if side is None:
            cells += [NOTHING] * (5 if ends else 4)
            continue
        interval = f" ({side.low:+.4f} to {side.high:+.4f})" if ends and side.over else ""
        cells += [f"{side.value:.4f} against {side.against:.4f}", f"{side.difference:+.4f}{interval}"]
        cells += [signed(side.change()), signed(side.of_base)]
        cells += [f"{side.won} of {len(side.sets)}"] if ends else []
    return cells


def _change(side: OverSets) -> str:
    change, low, high = side.change(), side.change("low"), side.change("high")
    if change is None:
        return NOTHING
    return signed(change) + ("" if low is None or high is None else f" ({signed(low)} to {signed(high)})")


def _correlation(entry: VariantTransfer) -> str:
    correlated = entry.correlation
    return NOTHING if correlated is None or correlated.rho is None else f"{correlated.rho:+.2f} ({correlated.p:.2g})"


def _level(transfer: Transfer) -> str:
    return f"{100 * (1 - transfer.significance):g} %"


def _over(sides: Iterable[OverSets | None]) -> str:
    """What the intervals out of domain are over, in words."""
    kinds = {side.over for side in sides if side}
    one = "clusters of queries (one set: no interval over sets, and another set may differ)"
    return ", or ".join(words for kind, words in (("sets", "sets"), ("queries", one)) if kind in kinds) or "nothing"


def _explained(transfer: Transfer) -> Text:
    """What is in domain, what is out of it, what the intervals are over, and what a star means."""
    counts = sorted({len(entry.out_of_domain.sets) for entry in transfer.variants if entry.out_of_domain})
    many = " or ".join(map(str, counts))
    over = _over(entry.out_of_domain for entry in transfer.variants)
    base = code(transfer.base)
    reference = next((entry for entry in transfer.variants if not entry.domain.trained_on), transfer.variants[0])
    sentences = text(
        "In domain is the set of the corpus that a variant was trained on, and for one without fine-tuning "
        f"{reference.domain.in_domain_set}. Out of domain is the mean over the other sets ({many} a variant), each "
        "counting once; the set that a variant was trained on is left out of ",
        base,
        " beside it, too. Changes are in per cent of ",
        base,
        f", with {_level(transfer)} intervals: in domain over clusters of queries, out of domain over {over}. "
        "Sets won are those on which the variant is above the base.",
    )
    part = next((entry.part for entry in transfer.variants if entry.part), None)
    if part is None:
        return sentences
    star = f" *: measured on {part.queries:,} of {part.of:,} queries on all sets together, and compared with "
    return text(sentences, star, base, " on those.")
