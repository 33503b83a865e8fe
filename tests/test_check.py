"""What the first stage finds before anything heavy runs: too many tokens for a model, float16 without a GPU."""

import json
import shlex
import subprocess

import pytest

from stages import check
from stages.core.errors import UserError
from stages.models import local_settings
from tests import plants
from tests.conftest import STUDY


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Folders of models that are no more than their configuration: 512 positions, of which XLM-R can use 512 of 514."""
    monkeypatch.chdir(tmp_path)
    known = {"bert": {"model_type": "bert", "max_position_embeddings": 512}}
    known["xlm"] = {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    for name, config in known.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return tmp_path


def checked(folder, **changed) -> str:
    """What the verb says to these changes of the base checkpoint and of the corpora."""
    blocks = plants.blocks()
    minilm = {"architecture": "symmetric", "source": "folder:xlm", **changed.pop("checkpoint", {})}
    corpora = {**blocks["corpora"], "in_domain": {**blocks["corpora"]["in_domain"], **changed.pop("corpus", {})}}
    checkpoints = {**blocks["checkpoints"], "minilm": minilm}
    plants.write_params(folder, checkpoints=checkpoints, corpora=corpora, **changed)
    return plants.fails(check.main, "--data=data", "--training=training", "--out=checked").splitlines()[-1]


def test_lengths_beyond_the_positions_that_a_model_can_use_are_refused(models):
    said = checked(models, checkpoint={"tokens": 513})
    assert said == (
        "Error: checkpoints.minilm.tokens: 513 is more than the 512 positions that these weights can use; lower it, or "
        "leave it out"
    )
    said = checked(models, corpus={"passage_tokens": 514})
    assert (
        "corpora.in_domain.passage_tokens: 514 is more than the 512 positions" in said
        and "(checkpoints.minilm)" in said
    )


def test_float16_without_a_gpu_is_refused_here_and_not_where_it_computes(models, monkeypatch):
    monkeypatch.setattr(check, "has_gpu", lambda: False)
    for where, blocks in {
        "index.precision": {"index": {**plants.blocks()["index"], "precision": "float16"}},
        "recipes.printed.precision": {"recipes": plants.blocks()["recipes"]},
    }.items():
        if "recipes" in blocks:
            blocks["recipes"]["printed"]["precision"] = "float16"
        said = checked(models, **blocks)
        assert said == f"Error: {where}: float16 needs a GPU, and this machine has none; use bfloat16 or float32"
    monkeypatch.setattr(check, "has_gpu", lambda: True)
    check.check_precision(STUDY)


def test_a_recipe_for_cosines_is_refused_for_a_model_on_this_machine_that_ranks_by_dot_products(models):
    """Its own files say so, or the checkpoint does; a model that normalises last ranks by cosines in any case."""
    folder = models / "bert"
    for name, content in {
        "config_sentence_transformers.json": {"similarity_fn_name": "dot"},
        "modules.json": [{"path": "", "type": "sentence_transformers.models.Transformer"}],
    }.items():
        (folder / name).write_text(json.dumps(content))
    refused = "recipes.printed: normalize: true trains unit vectors, and this model is searched by inner product (dot)"
    assert refused in checked(models, checkpoint={"source": "folder:bert"})
    assert refused in checked(models, checkpoint={"similarity": "dot"})
    assert local_settings.similarity("folder:bert") == "dot"
    modules = [{"path": "1", "type": "sentence_transformers.models.Normalize"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert local_settings.similarity("folder:bert") == "cosine"
    assert local_settings.similarity("folder:xlm") is None and local_settings.similarity("hub:a/b@1") is None


@pytest.mark.parametrize("staged", [False, True])
def test_the_error_says_how_to_go_back_where_the_committed_file_is_another_one(models, staged):
    """And what it says does so, also where something staged the file."""

    def git(words: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *shlex.split(words)], check=True)

    wrong = "Error: checkpoints.minilm.tokens: 513 is more than the 512 positions that these weights can use"
    assert checked(models, checkpoint={"tokens": 513}) == f"{wrong}; lower it, or leave it out"  # not in git
    git("init -q")
    plants.write_params(models)
    git("add params.yaml")
    git("commit -qm params")
    committed = (models / "params.yaml").read_bytes()
    said = checked(models, checkpoint={"tokens": 513})
    assert said == f"{wrong}; lower it, or leave it out; git restore -SW params.yaml brings back the committed one"
    if staged:
        git("add params.yaml")
    git("restore -SW params.yaml")
    assert (models / "params.yaml").read_bytes() == committed


def test_what_no_block_names_is_removed_and_what_a_reranker_wrote_is_kept(tmp_path):
    reranker = next(iter(STUDY.rerankers))
    kept = {"keys.json", "computed.json", "in_domain/seed-13/test.parquet"}
    for path in (*(f"{reranker}/{path}" for path in kept), f"{reranker}/gone/x.parquet", "gone/in_domain/x.parquet"):
        (tmp_path / "runs" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / path).touch()
    assert len(check.pruned(STUDY, tmp_path, tmp_path / "training")) == 2
    assert plants.contents(tmp_path / "runs").keys() == {f"{reranker}/{path}" for path in kept}


def test_more_processes_than_a_machine_has_use_for_are_refused(monkeypatch):
    monkeypatch.setattr(check.machine, "cores", lambda: 2)
    search = STUDY.scale.model_copy(update={"search": STUDY.scale.search.model_copy(update={"processes": 1000})})
    with pytest.raises(UserError, match=r"scale\.search\.processes: 1000 are too many for the 2 cores here; say 2"):
        check.check_scale(STUDY.model_copy(update={"scale": search}))
    check.check_scale(STUDY)
