"""Which splits are trained on, chosen on and judged on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stages.planning.counts import ENOUGH_TO_JUDGE, measuring
from stages.planning.facts import Facts

ENOUGH_TO_CUT = 200  # queries of the only split, from which some of them can be trained on
ENOUGH_TO_TRAIN = 64  # training queries, two batches of 32
MOST_JUDGED = 3000  # queries of a split that are measured
VALIDATION = 200


@dataclass(frozen=True)
class Layout:
    """Splits under their names here. `train` is its name in the source; `judged` maps a split to its name there.

    `shares` cut the one split that several come from. `judge` is the split of the verdicts, `chooser` the one that the
    variant is chosen on. `why` has a sentence for each decision.
    """

    train: str | None
    judged: dict[str, str]
    judge: str
    chooser: str | None = None
    shares: dict[str, int] | None = None
    validation: int = 0
    why: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def queries(self, split: str, facts: Facts, names: Mapping[str, str]) -> int:
        """About how many queries with a positive a split has; `names` maps the facts' splits to the source's."""
        origin = self.train if split == "train" else self.judged[split]
        found = next(own for name, own in facts.splits.items() if names[name] == origin)
        share = (self.shares or {}).get(split, 100) / 100
        number = found.trainable * self.apart(facts, names) if split == "train" else found.answered
        return round(share * number)

    def apart(self, facts: Facts, names: Mapping[str, str]) -> float:
        """The share of the queries of the split that is trained on which the judging one does not ask too."""
        name = next(name for name in facts.splits if names[name] == self.train)
        if self.judged[self.judge] == self.train:
            return 1.0
        return 1 - facts.asked_by_test.get(name, 0) / max(1, facts.splits[name].queries)


def chosen(facts: Facts, names: Mapping[str, str]) -> Layout:
    """How to use the splits that there are; `names` maps their names in `facts` to those in the source."""
    size = {name: own.trainable if name == "train" else own.answered for name, own in facts.splits.items()}
    if facts.source.startswith("docstrings:"):
        return _of_docstrings(size)
    layout = _of_splits(facts, names, size)
    used = {layout.train, *layout.judged.values()}
    said = [_unused(facts, name, names[name], size[name]) for name in facts.splits if names[name] not in used]
    return replace(layout, left_out=[*layout.left_out, *said])


def _of_splits(facts: Facts, names: Mapping[str, str], size: Mapping[str, int]) -> Layout:
    judged = {name: size[name] for name in facts.judged if size[name]}
    has_train = size.get("train", 0) >= ENOUGH_TO_TRAIN
    if not judged and not size.get("train"):
        first = _first_name(facts)
        return Layout(None, {first: names[first]}, first, why=["no split has a relevant passage"])
    if len(judged) + has_train <= 1:
        return _alone(facts, names, next(iter(judged), "train"), size)
    dev, test = measuring(judged, names)
    if has_train:
        return _with_train(names, size, dev, test)
    return _without_train(names, size, facts.asked_by_test, dev, test)


def _unused(facts: Facts, name: str, origin: str, size: int) -> str:
    """Why a split is neither trained on nor measured."""
    if not size:
        apart = " that no judged split asks too" if name == "train" and facts.also_judged else ""
        return f"{name} is not used: it has no query{apart} with a relevant passage that is there"
    if name == "train":
        return f"train ({size:,} queries) is not trained on: it takes {ENOUGH_TO_TRAIN} with a relevant passage"
    rules = "{}" if origin == name else f"{{subset: {json.dumps(origin, ensure_ascii=False)}}}"
    return f"{name} ({size:,} queries) is not measured; judged: {{{name}: {rules}}} would"


def _of_docstrings(size: Mapping[str, int]) -> Layout:
    """A source without splits, which the reader cuts by clusters as its shares say."""
    if size["train"] < ENOUGH_TO_TRAIN:
        why = [f"{sum(size.values())} queries are too few to train on some of them"]
        return Layout(None, {"test": "test"}, "test", why=why)
    why = ["the packages' objects are cut by clusters"]
    judged = {"dev": "dev", "test": "test"}
    return Layout("train", judged, "test", "dev", None, _validation(size["train"]), why)


def _first_name(facts: Facts) -> str:
    return next((name for name in facts.splits if name != "train"), "test")


def _with_train(names: Mapping[str, str], size: Mapping[str, int], dev: str | None, test: str | None) -> Layout:
    validation = _validation(size["train"])
    if dev and test:
        return Layout(
            "train", {dev: names[dev], test: names[test]}, test, dev, None, validation, ["the source's own splits"]
        )
    if dev and size[dev] >= ENOUGH_TO_JUDGE:
        shares = {"dev": 35, "test": 65}
        why = [f"{dev} is cut by query clusters, 35 % to choose on and 65 % to judge on"]
        return Layout("train", dict.fromkeys(shares, names[dev]), "test", "dev", shares, validation, why)
    judge = test or dev
    assert judge
    if size["train"] < 2 * ENOUGH_TO_CUT:
        why = ["no dev split, and too few training queries to cut one: the judging split chooses as well"]
        return Layout("train", {judge: names[judge]}, judge, None, None, validation, why)
    share = min(30, max(5, round(100 * min(500, max(80, 0.15 * size["train"])) / size["train"])))
    shares = {"train": 100 - share, "dev": share}
    why = [f"no dev split: {share} % of the training queries are cut off by clusters, to choose on"]
    judging = "test" if judge == "dev" else judge  # a small dev, whose name what is cut off takes
    judged = {"dev": names["train"], judging: names[judge]}
    return Layout(
        names["train"], judged, judging, "dev", shares, _validation(size["train"] * shares["train"] // 100), why
    )


def _without_train(
    names: Mapping[str, str], size: Mapping[str, int], again: Mapping[str, int], dev: str | None, test: str | None
) -> Layout:
    """Two judged splits and no train split: the one that does not judge is trained on, if large enough.

    Of it, `again` queries are asked by the one that judges as well, and so not trained on.
    """
    judge = test or dev
    assert judge
    other = max((name for name in size if name not in (judge, "train")), key=lambda name: size[name], default=None)
    if other is None or size[other] - again.get(other, 0) < ENOUGH_TO_CUT:
        why = ["no train split, and too few other queries to train on: base models and hybrids are compared"]
        chooser = other if other and size[other] >= 20 else None
        judged = {name: names[name] for name in (chooser, judge) if name}
        return Layout(None, judged, judge, chooser, None, 0, why)
    shares = {"train": 75, "dev": 25}
    why = [f"no train split: {other} is cut by query clusters, 75 % to train on and 25 % to choose on"]
    judged = {"dev": names[other], judge: names[judge]}
    return Layout(
        names[other], judged, judge, "dev", shares, _validation((size[other] - again.get(other, 0)) * 3 // 4), why
    )


def _alone(facts: Facts, names: Mapping[str, str], only: str, size: Mapping[str, int]) -> Layout:
    """One split with judgments: cut into three where it is large enough, else nothing is trained."""
    if size[only] < ENOUGH_TO_CUT:
        why = [
            f"{size[only]} judged queries in one split are too few to train on some and judge on others (from "
            f"{ENOUGH_TO_CUT} on they are cut): base models and hybrids are compared"
        ]
        name = only if only != "train" else "test"
        return Layout(None, {name: names[only]}, name, None, None, 0, why)
    shares = {"train": 50, "dev": 15, "test": 35}
    why = [f"one split, {only}: cut by query clusters, 50 % to train on, 15 % to choose on, 35 % to judge on"]
    judged = {"dev": names[only], "test": names[only]}
    return Layout(names[only], judged, "test", "dev", shares, _validation(size[only] // 2), why)


def _validation(train: int) -> int:
    return min(VALIDATION, max(8, train // 8))
