"""Names of params.yaml that point nowhere, and numbers that contradict each other, as sentences."""
from collections.abc import Iterator

ENCODERS = ("symmetric", "asymmetric")       # shapes that search a collection by one vector a text
RERANKING = ("cross", "late")                # shapes that order again what another row ranks first
CROSS_LOSSES = ("pairs", "lists", "margins")  # what cross-encoders learn by


def broken(study) -> Iterator[str]:
    """What is wrong between the blocks of a study whose blocks are each right, the first problem first."""
    yield from _checkpoints(study)
    yield from _rows(study)
    yield from _interpolations(study)
    yield from _rerankers(study)
    yield from _pools(study)
    yield from _triplets(study)
    yield from _report(study)
    if len(set(study.seeds)) < len(study.seeds):
        yield "seeds: one stands twice"


def _missing(where: str, name: str, table: dict | list, kind: str) -> Iterator[str]:
    if name not in table:
        yield f"{where}: no {kind} is called '{name}'; there are: {', '.join(table)}"


def _checkpoints(study) -> Iterator[str]:
    for key, checkpoint in study.checkpoints.items():
        if checkpoint.shape == "run":
            yield from _missing(f"checkpoints.{key}.corpus", checkpoint.corpus, study.corpora, "corpus")
            yield from _missing(f"checkpoints.{key}.split", checkpoint.split,
                                study.corpora[checkpoint.corpus].judged, "judged split")


def _lesson(study, where: str, row) -> Iterator[str]:
    """What a row's four names must have, whether it retrieves or reranks."""
    yield from _missing(f"{where}.start", row.start, study.checkpoints, "checkpoint")
    yield from _missing(f"{where}.tune", row.tune, study.tunes, "tune block")
    yield from _missing(f"{where}.triplets", row.triplets, study.triplets, "triplets block")
    yield from _missing(f"{where}.fit", row.fit, study.fits, "fit")
    triplets, fit = study.triplets[row.triplets], study.fits[row.fit]
    lessons = [study.tunes[row.tune].kind != "none", triplets.size > 0, fit is not None]
    if any(lessons) and not all(lessons):
        yield f"{where}: tune, triplets and fit are either all 'none' (an untouched row) or all say something"
    if not all(lessons):
        return
    if triplets.size < fit.batch:
        yield f"{where}: triplets.{row.triplets}.size is less than one batch of fits.{row.fit}"
    if triplets.each > 1 and not (fit.loss.kind == "inbatch" and fit.loss.hard):
        yield (f"{where}: triplets.{row.triplets}.each is {triplets.each}, which only the loss inbatch with hard: true "
               f"can learn from")
    if fit.loss.kind == "margins" and not triplets.ranks:
        yield f"{where}: the loss margins learns a pool's scores, and triplets.{row.triplets} come from no pool"
    if fit.select == "best" and not study.corpora[triplets.corpus].validation:
        yield f"{where}: fits.{row.fit}.select is best, and corpora.{triplets.corpus} has no validation queries"


def _rows(study) -> Iterator[str]:
    for key, row in study.retrievers.items():
        where = f"retrievers.{key}"
        yield from _lesson(study, where, row)
        shape, fit = study.checkpoints[row.start].shape, study.fits[row.fit]
        if shape in RERANKING:
            kind = "a cross-encoder" if shape == "cross" else "late interaction"
            yield f"{where}: start '{row.start}' is {kind}, which ranks nothing alone; move the row to rerankers"
        if fit and shape not in ENCODERS:
            yield f"{where}: start '{row.start}' has no weights to tune; use 'none' for tune, triplets and fit"
        if fit and fit.loss.kind in CROSS_LOSSES:
            yield f"{where}: the loss of fits.{row.fit} is for rerankers"


def _interpolations(study) -> Iterator[str]:
    for key, row in study.interpolations.items():
        where = f"interpolations.{key}"
        if key in study.retrievers:
            yield f"{where}: a retriever has that name"
        yield from _missing(f"{where}.of", row.of, study.retrievers, "retriever")
        other = study.retrievers[row.of]
        if study.fits[other.fit] is None:
            yield f"{where}.of: '{row.of}' is not trained; there is nothing between it and its start"
        for name in ("start", "triplets"):
            if getattr(row, name) != getattr(other, name):
                yield f"{where}.{name}: must be '{getattr(other, name)}', as row '{row.of}' has it"
        if not study.corpora[study.triplets[row.triplets].corpus].validation:
            yield (f"{where}: alpha is chosen on validation, and corpora.{study.triplets[row.triplets].corpus} has no "
                   f"validation queries")


def _rerankers(study) -> Iterator[str]:
    for key, row in study.rerankers.items():
        where = f"rerankers.{key}"
        if key in study.encoders:
            yield f"{where}: another row has that name"
        yield from _lesson(study, where, row)
        yield from _missing(f"{where}.first", row.first, study.encoders, "row that searches")
        shape, fit = study.checkpoints[row.start].shape, study.fits[row.fit]
        if shape not in RERANKING:
            yield f"{where}: start '{row.start}' is of shape {shape}; a reranker's is {' or '.join(RERANKING)}"
        if fit and (fit.loss.kind in CROSS_LOSSES) != (shape == "cross"):
            wanted = " or ".join(CROSS_LOSSES) if shape == "cross" else "inbatch"
            yield f"{where}: fits.{row.fit}.loss is {fit.loss.kind}; for shape {shape} it is {wanted}"
        if fit and shape == "late" and (fit.loss.kind != "inbatch" or not fit.normalize or fit.keep
                                        or fit.select == "best"):
            yield (f"{where}: late interaction learns by inbatch on unit vectors (normalize: true), without keep or "
                   f"select: best, and fits.{row.fit} says otherwise")
        first = study.interpolations[row.first].of if row.first in study.interpolations else row.first
        if not fit and study.fits[study.retrievers[first].fit] and len(study.seeds) > 1:
            yield f"{where}: has one copy and '{row.first}' one a seed; train it, or put it after an untouched row"
        if study.rerank.depth > study.search.depth:
            yield f"rerank.depth: {study.rerank.depth} is more than search.depth {study.search.depth}"


def _pools(study) -> Iterator[str]:
    for key, pool in study.pools.items():
        yield from _missing(f"pools.{key}.retriever", pool.retriever, study.retrievers, "retriever")
    for key, pool in study.pools.items():
        yield from _missing(f"pools.{key}.corpus", pool.corpus, study.corpora, "corpus")
        miner = study.retrievers[pool.retriever]
        if study.checkpoints[miner.start].shape == "run":
            yield f"pools.{key}.retriever: '{pool.retriever}' is a published run and cannot rank training queries"
        if not study.corpora[pool.corpus].train:
            yield f"pools.{key}.corpus: '{pool.corpus}' has no train split"
        if key in _lineage(study, miner):
            yield f"pools.{key}.retriever: '{pool.retriever}' itself learns from this pool; mine with another row"


def _lineage(study, row) -> set[str]:
    """The pools that a row's lesson was drawn from, those of the rows that mined them included."""
    found = set()
    while True:
        room, _, name = study.triplets[row.triplets].negatives.partition("/")
        if room != "pools" or name in found or name not in study.pools:
            return found
        found.add(name)
        row = study.retrievers[study.pools[name].retriever]


def _triplets(study) -> Iterator[str]:
    for key, block in study.triplets.items():
        where = f"triplets.{key}"
        yield from _missing(f"{where}.corpus", block.corpus, study.corpora, "corpus")
        if block.size and not study.corpora[block.corpus].train:
            yield f"{where}.corpus: '{block.corpus}' has no train split"
        room, name, *part = block.negatives.split("/")
        yield from _missing(f"{where}.from", name, getattr(study, room), room[:-1].replace("corpor", "corpus"))
        home = name if room == "corpora" else study.pools[name].corpus
        if home != block.corpus:
            yield f"{where}.from: negatives come from corpus '{home}', anchors from '{block.corpus}'"
        if part and not study.corpora[name].docpairs:
            yield f"{where}.from: corpora.{name} names no docpairs"
        if part and block.each > 1:
            yield f"{where}.each: released triples have one negative each"
        if room == "pools" and block.ranks[1] > study.pools[name].depth:
            yield f"{where}.ranks: {list(block.ranks)} reaches beyond the depth {study.pools[name].depth} of pools.{name}"


def _report(study) -> Iterator[str]:
    base = study.report.base
    yield from _missing("report.base", base, study.retrievers, "retriever")
    if study.fits[study.retrievers[base].fit]:
        yield f"report.base: '{base}' is itself trained; the base is an untouched row"
    for place in ("report.primary", "report.outside", "umap"):
        spot = study.umap if place == "umap" else getattr(study.report, place.split(".")[1])
        if spot is None:
            continue
        yield from _missing(f"{place}.corpus", spot.corpus, study.corpora, "corpus")
        yield from _missing(f"{place}.split", spot.split, study.corpora[spot.corpus].judged, "judged split")
        if place != "umap":
            yield from _missing(f"{place}.measure", spot.measure, study.measures, "measure")
    for measure in study.measures:
        depth = measure.rpartition("@")[2]
        if depth.isdigit() and int(depth) > study.search.depth:
            yield f"measures: {measure} looks deeper than search.depth {study.search.depth}"
    for number, pair in enumerate(study.report.pairs):
        for name in pair:
            yield from _missing("report.pairs", name, study.rows, "row")
        if pair[0] == pair[1]:
            yield f"report.pairs: '{pair[0]}' is paired with itself"
        if {*pair} in [{*other} for other in study.report.pairs[:number]]:
            yield f"report.pairs: {' and '.join(pair)} stand twice"
