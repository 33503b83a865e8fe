"""How a recipe's change depends on how much its start was taught before: growth along a ladder of starts."""
import numpy as np

from stages.analysis import contrasts
from stages.evaluation import significance
from stages.core.errors import UserError

# What a question of each kind asks for, and what denies it.
YES = {"growth": "grows", "less": "grows less", "last": "better", "floor": "better"}
NO = {"growth": {"does not grow"}, "less": {"grows more"}, "last": {"worse", "no difference"},
      "floor": {"worse", "no difference"}}


def read(folder, part: str) -> dict | None:
    """A part's runs as contrasts.read gives them, with "levels": start -> how it was taught. None where none has run.

    Raises UserError where rows of one seed learned from unlike triplets: only their starts may differ.
    """
    runs = contrasts.read(folder, [part])
    if runs is None:
        return None
    lessons: dict[str, set[str]] = {}
    for cell in runs["cells"].values():
        for copy, told in cell["seed_runs"].items():
            lessons.setdefault(copy, set()).add(told["triplets"])
    for copy, told in lessons.items():
        if len(told) > 1:
            raise UserError(f"{folder / part}.json: the rows of {copy} learned from {len(told)} draws of triplets; run "
                          f"the part again from one commit")
    return runs | {"levels": runs["sources"][0]["levels"]}


def steps(runs: dict, level: str) -> int:
    return runs["levels"][level]["steps"]


def doses(runs: dict, ladder: list[str]) -> np.ndarray:
    """log2(1 + steps of teaching) of each level, (levels,)."""
    return np.log2([1 + steps(runs, level) for level in ladder])


def known(runs: dict, ladder: list[str], split: str, measure: str) -> np.ndarray:
    """Each level's own mean on a split that is not reported, (levels,)."""
    return np.array([runs["values"][level, split, measure].mean() for level in ladder])


def changes(runs: dict, recipe: str, ladder: list[str], split: str, measure: str) -> np.ndarray:
    """A recipe's rows minus the untrained starts they had, (levels, seeds, queries). KeyError for a row not run."""
    return np.stack([runs["values"][f"{recipe}_{level}", split, measure] - runs["values"][level, split, measure]
                     for level in ladder])


def weights(at: np.ndarray) -> np.ndarray:
    """What each level's change counts in the least-squares line over `at`, read from its lowest to its highest value.

    The rise of the line over that range is sum(weights x changes); weights sum to nought. UserError where all are alike.
    """
    apart = at - at.mean()
    if not apart.any():
        raise UserError("saturation: all levels of the ladder are alike; there is no line through them")
    return np.ptp(at) * apart / (apart ** 2).sum()


def growth(found: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The rise of each query's line, (seeds, queries), of changes (levels, seeds, queries); below 0 the fall grows."""
    return np.tensordot(weights(at), found, axes=1)


def answer(kind: str, found: list[dict]) -> str:
    """Yes, No, In k of n, Not shown or Not run: what the verdicts of a question's entries amount to."""
    told = [entry["verdict"] for entry in found]
    hits = told.count(YES[kind])
    if set(told) == {"not run"}:
        return "Not run"
    if hits:
        return "Yes" if hits == len(told) else f"In {hits} of {len(told)}"
    return "No" if set(told) <= NO[kind] else "Not shown"


def judged(found: list[dict], report, words) -> list[dict]:
    """Each entry with its p corrected within these (Holm) and a verdict by `words`; rounded, for equal bytes."""
    compared = [entry for entry in found if "p" in entry]
    for entry, p in zip(compared, significance.holm([entry["p"] for entry in compared])):
        entry |= {"p_family": p, "verdict": words(entry, p, report.significance, report.margin / 100 * entry["base"])}
    return [_rounded(entry) for entry in found]


def grows(found: dict, p: float, alpha: float, margin: float) -> str:
    """grows, does not grow, or cannot tell.

    grows asks for p < alpha and a line that goes down. Does not grow asks for p < alpha and a line that goes up, or
    that the lower end of the interval is still above -margin when `unseen` is taken from it: what none of n queries
    showed may happen in 3 of n (significance.verdict), and moves a line by as much as its weights add up to.
    """
    if found["clusters"] < 2:
        return "cannot tell"
    if p < alpha:
        return "grows" if found["difference"] < 0 else "does not grow"
    return "does not grow" if found["low"] - found["unseen"] > -margin else "cannot tell"


def grows_less(found: dict, p: float, alpha: float, margin: float) -> str:
    """grows less, grows more, or cannot tell: the first recipe's fall against the second's."""
    told = significance.verdict(found, p, alpha, margin)
    return {"better": "grows less", "worse": "grows more"}.get(told, "cannot tell")


def growths(runs: dict, recipes: list[str], asked: dict, place: dict, report) -> list[dict]:
    """The growth of each recipe's fall along the ladder, in per cent of the base's value, with its verdict."""
    found = []
    for recipe in recipes:
        try:
            by_level = changes(runs, recipe, asked["ladder"], place["split"], asked["measure"])
        except KeyError:
            found.append({"recipe": recipe, "says": asked["recipes"][recipe], "verdict": "not run"})
            continue
        at = doses(runs, asked["ladder"])
        entry = _growth(runs, recipe, by_level, at, asked, place, report)
        entry |= {"a doubling %": entry["difference %"] / np.ptp(at),
                  "changes %": [100 * value / entry["base"] for value in by_level.mean(axis=(1, 2))]}
        if place.get("known"):
            own = known(runs, asked["ladder"], place["known"], asked["measure"])
            beside = _growth(runs, recipe, by_level, own, asked, place, report)
            entry |= {"by known": {"split": place["known"], "from": own.min(), "to": own.max(),
                                   **{key: beside[key] for key in ("difference %", "low %", "high %")}}}
        found.append(entry)
    return judged(found, report, grows)


def less(runs: dict, pairs: list, asked: dict, place: dict, report) -> list[dict]:
    """Of each pair of recipes the growth of the first less that of the second."""
    found = []
    for recipe, other in pairs:
        says = f"{asked['recipes'][recipe]}, against {asked['recipes'][other]}"
        try:
            one, two = (changes(runs, name, asked["ladder"], place["split"], asked["measure"])
                        for name in (recipe, other))
        except KeyError:
            found.append({"says": says, "verdict": "not run"})
            continue
        found.append(_growth(runs, recipe, one - two, doses(runs, asked["ladder"]), asked, place, report) |
                     {"says": says})
    return judged(found, report, grows_less)


def last(runs: dict, pairs: list, asked: dict, place: dict, report) -> list[dict]:
    """Of each pair of recipes the row at the last level against the other's."""
    level = asked["ladder"][-1]
    named = [(f"{asked['recipes'][one]}, against {asked['recipes'][two]}", f"{one}_{level}", f"{two}_{level}")
             for one, two in pairs]
    return judged(_compared(runs, named, asked, place, report), report, significance.verdict)


def floor(runs: dict, pairs: list, asked: dict, place: dict, report) -> list[dict]:
    """Of each pair a taught start against the one that it came from, and both values."""
    found = _compared(runs, [(f"{one} against {two}", one, two) for one, two in pairs], asked, place, report)
    for entry, (one, two) in zip(found, pairs):
        if "p" in entry:
            entry["values"] = [float(runs["values"][name, place["split"], asked["measure"]].mean())
                               for name in (one, two, asked["base"])]
    return judged(found, report, significance.verdict)


def starts(runs: dict, asked: dict, place: dict, report) -> list[dict]:
    """Every start: how it was taught, its value, and its change against the base."""
    here = place["split"], asked["measure"]
    base = runs["values"][asked["base"], *here]
    found = []
    for level in [level for level in runs["levels"] if (level, *here) in runs["values"]]:
        values = runs["values"][level, *here]
        entry = {"level": level, "taught from": runs["levels"][level]["from"], "steps": steps(runs, level),
                 "value": float(values.mean()), "last_loss": runs["levels"][level].get("last_loss")}
        if place.get("known"):
            entry["known"] = float(known(runs, [level], place["known"], asked["measure"])[0])
        if level != asked["base"]:
            entry |= _compare(level, values, base, runs["clusters"][place["split"]], base.mean(), report)
        found.append(entry)
    return judged(found, report, significance.verdict)


def rows(runs: dict, asked: dict, place: dict, report) -> list[dict]:
    """Every recipe at every start, against that start ("own") and against the base ("base"); each is one family."""
    here = place["split"], asked["measure"]
    base, clusters = runs["values"][asked["base"], *here], runs["clusters"][place["split"]]
    made = [(recipe, level) for recipe in asked["recipes"] for level in [*asked["ladder"], *asked["beside"]]
            if (f"{recipe}_{level}", *here) in runs["values"]]
    sides = {}
    for side in ("own", "base"):
        compared = []
        for recipe, level in made:
            against = runs["values"][level, *here] if side == "own" else base
            compared.append(_compare(f"{recipe}_{level}", runs["values"][f"{recipe}_{level}", *here], against, clusters,
                                     base.mean(), report))
        sides[side] = judged(compared, report, significance.verdict)
    return [{"recipe": recipe, "level": level, "steps": steps(runs, level),
             "value": round(float(runs["values"][f"{recipe}_{level}", *here].mean()), 6),
             "drift": round(float(contrasts.drift(runs["cells"][f"{recipe}_{level}"]).mean()), 6),
             "own": sides["own"][at], "base": sides["base"][at]} for at, (recipe, level) in enumerate(made)]


def _growth(runs: dict, recipe: str, by_level: np.ndarray, at: np.ndarray, asked: dict, place: dict, report) -> dict:
    rise = growth(by_level, at)
    base = runs["values"][asked["base"], place["split"], asked["measure"]].mean()
    clusters = runs["clusters"][place["split"]]
    found = _compare(asked["recipes"][recipe], rise, np.zeros_like(rise), clusters, base, report)
    return {"recipe": recipe, **found, "unseen": np.abs(weights(at)).sum() * 3 / found["queries"]}


def _compare(says: str, row: np.ndarray, against: np.ndarray, clusters: np.ndarray, base: float, report) -> dict:
    return contrasts.compare({"says": says, "variant": row, "against": against}, clusters, base, report)


def _compared(runs: dict, named: list[tuple[str, str, str]], asked: dict, place: dict, report) -> list[dict]:
    """Rows against rows, in per cent of the base's value; a pair that was not run says so as its verdict."""
    values = {row: found for (row, split, measure), found in runs["values"].items()
              if (split, measure) == (place["split"], asked["measure"])}
    clusters, base = runs["clusters"][place["split"]], values[asked["base"]].mean()
    return [_compare(says, values[one], values[two], clusters, base, report) if {one, two} <= values.keys()
            else {"says": says, "verdict": "not run"} for says, one, two in named]


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return round(float(value), 6) if isinstance(value, (float, np.floating)) else value
