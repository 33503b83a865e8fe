"""A wrong params.yaml stops with one line that names the parameter; the committed one and the papers' are right."""
import copy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import params
from stages.core.errors import UserError

ROOT = Path(__file__).parents[1]
BLOCKS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
ROW = {"start": "minilm", "tuning": "lora", "triplets": "hard", "recipe": "printed"}


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


@pytest.mark.parametrize("path, value, told", [
    ("lora/rnk", 8, "lora.rnk: no such parameter"),
    ("lora/rank", 0, "lora.rank: input should be greater than 0, got 0"),
    ("fits/printed/loss/margin", -0.2, "fits.printed.loss.margin: input should be greater than 0, got -0.2"),
    ("fits/printed/loss/kind", "tripplet", "fits.printed.loss: input tag 'tripplet' found"),
    ("serach", {"depth": 10}, "serach: neither a block of the study"),
    ("retrievers/x", {**ROW, "tuning": "lroa"}, "retrievers.x.tuning: no tune block is called 'lroa'; there are: none, full"),
    ("retrievers/x", {**ROW, "start": "bert"}, "retrievers.x.start: no checkpoint is called 'bert'"),
    ("retrievers/x", {**ROW, "triplets": "none"}, "retrievers.x: tune, triplets and fit are either all 'none'"),
    ("retrievers/x", {**ROW, "start": "bm25"}, "retrievers.x: start 'bm25' has no weights to tune"),
    ("triplets/hard/ranks", [51, 201], "triplets.hard.ranks: [51, 201] reaches beyond the depth 200 of pools.base"),
    ("triplets/hard/ranks", [200, 51], "triplets.hard: ranks [200, 51] end before they begin"),
    ("pools/base/retriever", "full-hard", "pools.base.retriever: 'full-hard' itself learns from this pool"),
    ("pools/base/retriever", "ia3-random", None),
    ("triplets/uniform/relative_margin", 0.05, "triplets.uniform: absolute_margin and relative_margin compare a pool's"),
    ("triplets/hard/each", 3, "retrievers.full-hard: triplets.hard.negatives_per_query is 3, which only the loss inbatch"),
    ("triplets/one-rank/each", 2, "triplets.one-rank: draw: one-rank gives one negative"),
    ("checkpoints/minilm/remote_code", True, "checkpoints.minilm: remote_code is for shape cross"),
    ("checkpoints/minilm/query_tokens", 8, "checkpoints.minilm: dimension and query_tokens are for shape late"),
    ("fits/printed/patience", 3, "fits.printed: patience waits for a better model: it needs select: best"),
    ("corpora/in_domain/validation", 0, "interpolations.full-random-mix: alpha is chosen on validation"),
    ("interpolations/full-random-mix/of", "base", "interpolations.full-random-mix.of: 'base' is not trained"),
    ("interpolations/full-random-mix/start", "towers", "interpolations.full-random-mix.start: must be 'minilm'"),
    ("interpolations/full-random-mix/alphas", [1.5], "alphas.0: input should be less than or equal to 1, got 1.5"),
    ("retrievers/x", {**ROW, "start": "late"}, "start 'late' is late interaction, which ranks nothing alone"),
    ("rerankers/late-random/fit", "pairs", "rerankers.late-random: fits.pairs.loss is pairs; for shape late it is"),
    ("rerankers/cross-lion/fit", "printed", "rerankers.cross-lion: fits.printed.loss is triplet; for shape cross it is"),
    ("rerankers/cross-lion/first", "cross-adamw", "rerankers.cross-lion.first: no row that searches is called"),
    ("fits/pairs/loss", {"kind": "margins"}, "the loss margins learns a pool's scores"),
    ("report/pairs", [["base", "base"]], "report.pairs: 'base' is paired with itself"),
    ("report/pairs", [["base", "bm25"], ["bm25", "base"]], "report.pairs: bm25 and base stand twice"),
    ("corpora/in_domain/judged", {"train": {}}, "corpora.in_domain: 'train' cannot be judged"),
    ("corpora/in_domain/judged", {"dev": {"subset": "train"}}, "corpora.in_domain: train queries among the judged"),
    ("corpora/in_domain/source", "in_domain", "corpora.in_domain.source: must be docstrings:<packages>, beir:<folder> or irds:"),
    ("checkpoints/minilm/source", "hub:a/b", "checkpoints.minilm: a hub source pins its revision"),
    ("measures", ["RR@1000"], "RR@1000"),
    ("search/depth", 50, "measures: RR@100 looks deeper than search.depth 50"),
    ("report/primary/split", "tset", "report.in_domain.split: no judged split is called 'tset'; there are: dev, test"),
    ("seeds", [1, 1], "seeds: one stands twice"),
    ("seeds", [], "seeds: list should have at least 1 item"),
])
def test_a_mistake_is_one_line_that_names_the_parameter(path, value, told, tmp_path):
    if told is None:
        params.load(changed(path, value, tmp_path))
        return
    with pytest.raises(UserError) as caught:
        params.load(changed(path, value, tmp_path))
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("block", ["rerankers", "rerank", "interpolations"])
def test_a_file_without_a_block_is_told_which(block, tmp_path):
    blocks = {name: value for name, value in BLOCKS.items() if name != block}
    with open(tmp_path / "params.yaml", "w") as handle:
        YAML().dump(blocks, handle)
    with pytest.raises(UserError, match=f"params.yaml: {block}: this block is missing"):
        params.load(tmp_path / "params.yaml")


def test_a_file_that_is_missing_or_no_yaml_is_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(UserError, match="not valid YAML"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("path, value, warned", [
    ("fits/printed/loss/margin", 2.0, True), ("fits/printed/loss/margin", 1.9, False),
    ("fits/coded/normalize", True, True), ("fits/coded/loss/margin", 500.0, False)])
def test_a_margin_beyond_the_diameter_is_a_warning(path, value, warned, tmp_path):
    told = params.load(changed(path, value, tmp_path)).warnings()
    assert bool(told) == warned and all("no triplet is ever satisfied" in line for line in told)


def test_numbers_written_by_dvc_are_numbers(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("lr: 0.0001}", "lr: 1e-05}")
    (tmp_path / "params.yaml").write_text(text)
    assert params.load(tmp_path / "params.yaml").tunings["full"].lr == 1e-05


@pytest.mark.parametrize("path", ["params.yaml", *sorted(path.relative_to(ROOT) for path in ROOT.glob("papers/*.yaml"))],
                         ids=str)
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
