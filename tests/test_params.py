"""A wrong params.yaml stops with one line that names the parameter; the committed one and the papers' are right."""
import copy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.lib import params
from stages.lib.mistakes import Mistake

ROOT = Path(__file__).parents[1]
BLOCKS = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
ROW = {"start": "minilm", "tune": "lora", "triplets": "hard", "fit": "printed"}


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
    ("retrievers/x", {**ROW, "tune": "lroa"}, "retrievers.x.tune: no tune block is called 'lroa'; there are: none, full"),
    ("retrievers/x", {**ROW, "start": "bert"}, "retrievers.x.start: no checkpoint is called 'bert'"),
    ("retrievers/x", {**ROW, "triplets": "none"}, "retrievers.x: tune, triplets and fit are either all 'none'"),
    ("retrievers/x", {**ROW, "start": "bm25"}, "retrievers.x: start 'bm25' has no weights to tune"),
    ("triplets/hard/ranks", [51, 201], "triplets.hard.ranks: [51, 201] reaches beyond the depth 200 of pools.base"),
    ("triplets/hard/ranks", [200, 51], "triplets.hard: ranks [200, 51] end before they begin"),
    ("pools/base/retriever", "full-hard", "pools.base.retriever: 'full-hard' is itself trained"),
    ("corpora/home/judged", {"train": {}}, "corpora.home: 'train' cannot be judged"),
    ("corpora/home/judged", {"dev": {"subset": "train"}}, "corpora.home: train queries among the judged"),
    ("corpora/home/source", "home", "corpora.home.source: must be docstrings:<packages>, beir:<folder> or irds:"),
    ("checkpoints/minilm/source", "hub:a/b", "checkpoints.minilm: a hub source pins its revision"),
    ("measures", ["RR@1000"], "RR@1000"),
    ("search/depth", 50, "measures: RR@100 looks deeper than search.depth 50"),
    ("report/primary/split", "tset", "report.primary.split: no judged split is called 'tset'; there are: dev, test"),
    ("seeds", [1, 1], "seeds: one stands twice"),
    ("seeds", [], "seeds: list should have at least 1 item"),
])
def test_a_mistake_is_one_line_that_names_the_parameter(path, value, told, tmp_path):
    with pytest.raises(Mistake) as caught:
        params.load(changed(path, value, tmp_path))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_no_yaml_is_one_line(tmp_path):
    with pytest.raises(Mistake, match="there is no such file"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(Mistake, match="not valid YAML"):
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
    assert params.load(tmp_path / "params.yaml").tunes["full"].lr == 1e-05


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
