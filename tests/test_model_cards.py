"""A card says what dvc.lock, the results and the training log say of its row, from the committed files."""
import copy as copying
import json
import re

import pytest
from ruamel.yaml import YAML

from stages import params
from stages.reporting import hub_cards
from stages.core.errors import UserError
from tests.conftest import ROOT

STUDY = params.load(ROOT / "params.yaml")
STAGES = YAML(typ="safe").load((ROOT / "dvc.lock").read_text())["stages"]
ENTRIES = json.loads((ROOT / "reports/results.json").read_text())
TRAINED = [row for row, names in STUDY.retrievers.items() if STUDY.recipes[names.recipe]]
ROW, SEED = TRAINED[-1], STUDY.seeds[0]


def log_of(row: str) -> dict:
    return json.loads((ROOT / f"reports/training/{row}.json").read_text())


def card(row=ROW, copy=f"seed-{SEED}", stages=STAGES, entries=ENTRIES, log=None) -> str:
    return hub_cards.card(row, copy, stages, entries, log or log_of(row), STUDY, "@misc{x}")


@pytest.mark.parametrize("variant", TRAINED)
def test_the_metadata_holds_the_results_and_the_text_the_recipe(row):
    from huggingface_hub import ModelCard
    text = card(row)
    data = ModelCard(text).data
    own = {(e["corpus"], e["split"], e["measure"]): e["by_seed_run"][f"seed-{SEED}"] for e in ENTRIES if e["variant"] == row}
    assert {(e.dataset_type, e.dataset_split, e.metric_type): e.metric_value for e in data.eval_results} == own
    assert (data.library_name, data.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert data.license is None
    names, blocks = STUDY.retrievers[row], YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    recipe = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL).group(1))
    assert recipe == {"seeds": [SEED], "start": blocks["checkpoints"][names.checkpoint], "tuning": blocks[names.tuning],
                      "triplets": blocks["triplets"][names.triplets], "recipe": blocks["recipes"][names.recipe]}
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == [
        "How to load it", "Results", "What it was not tested on", "How it was trained", "How to make it again",
        "Licence", "Citation"]
    assert not re.search(r"[^\n]\n## ", text) and "\n\n\n" not in text
    assert ("`adapter/`" in text) == (recipe["tuning"]["kind"] in ("lora", "ia3"))


def test_hashes_verdict_and_base_are_those_of_the_files():
    text = card()
    for path in (f"data/models/{ROW}", *(f"data/corpora/{corpus}" for corpus in STUDY.corpora)):
        assert re.search(rf"\| `{path}` \| `[0-9a-f]{{32}}\.dir` \|", text)
    place = STUDY.report.in_domain
    entry = next(e for e in ENTRIES if e["variant"] == ROW and "verdict" in e and e["split"] == place.split)
    assert f"against the untouched `{STUDY.report.base}`: **{entry['verdict']}**. " in text
    start = STUDY.checkpoints[STUDY.retrievers[ROW].checkpoint]
    named = "base_model: sentence-transformers/all-MiniLM-L6-v2\n" in text and "is under Apache-2.0" in text
    assert named == (start.sha256 in hub_cards.KNOWN)


def test_weights_that_nobody_knows_have_no_base_and_those_of_the_hub_have_theirs():
    for source, told in (("package:x", None), ("hub:a/b@c0ffee", "a/b")):
        stages = copying.deepcopy(STAGES)
        start = STUDY.retrievers[ROW].checkpoint
        stages[f"checkpoint@{start}"]["params"]["params.yaml"][f"checkpoints.{start}"] |= {
            "source": source, "sha256": "0" * 64}
        text = card(stages=stages)
        assert (f"\nbase_model: {told}\n" in text) == bool(told) == ("base_model" in text)
        assert "Apache" not in text and f"`{told or source}` trained on" in text


def test_one_copy_of_several_shows_its_own_value_beside_the_mean():
    entries, log = copying.deepcopy(ENTRIES), log_of(ROW)
    for entry in entries:
        entry["by_seed_run"] |= {"seed-99": 0.123456}
        entry["spread"] = 0.05
    log["seed_runs"].append(log["seed_runs"][0] | {"seed": 99})
    text = card(copy="seed-99", entries=entries, log=log)
    assert "value: 0.123456" in text and "mean ± spread over seeds" in text and "± 0.0500" in text
    assert f"# {ROW}, seed 99" in text and '"seeds": [\n    99\n  ]' in text and "those of all seeds" in text


def test_a_card_is_not_written_beside_other_figures():
    stages = copying.deepcopy(STAGES)
    stages[f"train@{ROW}"]["outs"][0]["md5"] = "0" * 32 + ".dir"
    with pytest.raises(UserError, match=f"the model of '{ROW}' is newer than its figures"):
        card(stages=stages)
    del stages[f"train@{ROW}"]
    with pytest.raises(UserError, match=f"dvc.lock: has no stage train@{ROW}; run dvc repro train@{ROW}"):
        card(stages=stages)
    with pytest.raises(UserError, match="has no figures of seed-98"):
        card(copy="seed-98")
