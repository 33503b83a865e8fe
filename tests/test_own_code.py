"""Code that a model brings: asked for before anything is loaded, whatever names it, and run where it may."""

import json
import shutil

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.models import architectures, encoding, fetch, model_folder, own_code
from stages.models.model_folder import Description
from tests import kinds

TEXTS = ["a red boat", "the green house behind the wall"]
ARCHITECTURES = ["symmetric", "asymmetric", "late-interaction", "cross-encoder"]
THEIRS = "class Theirs:\n    pass\n"


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    return kinds.make("dense", tmp_path_factory.mktemp("plain") / "model")


def edit(path, **values):
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **values}))


def module(folder, kind):
    """Make the first module of a model one of another class."""
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([{**modules[0], "type": kind}, *modules[1:]]))


NEEDS = {
    "a network": lambda folder: edit(folder / "config.json", auto_map={"AutoModel": "theirs.Theirs"}),
    "a tokenizer": lambda folder: edit(
        folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["theirs.Theirs", None]}
    ),
    "a processor": lambda folder: edit(
        folder / "preprocessor_config.json", auto_map={"AutoProcessor": "theirs.Theirs"}
    ),
    "a module": lambda folder: module(folder, "theirs.Theirs"),
    "a module that is installed": lambda folder: module(folder, "torch.nn.Identity"),
    "an activation": lambda folder: edit(folder / "2_Dense/config.json", activation_function="theirs.Theirs"),
    "an activation of a reranker": lambda folder: edit(
        folder / "config.json", sentence_transformers={"activation_fn": "theirs.Theirs"}
    ),
}


@pytest.mark.parametrize("what", NEEDS)
def test_code_of_its_own_is_asked_for_whatever_names_it(what, plain, tmp_path):
    own_code.check(plain, False)
    folder = shutil.copytree(plain, tmp_path / "model")
    NEEDS[what](folder)
    (folder / "theirs.py").write_text(THEIRS)
    with pytest.raises(UserError, match=r"^remote_code: this model needs code of its own \(\w+.*; read that code"):
        own_code.check(folder, False)
    own_code.check(folder, True)


def test_the_libraries_own_settings_are_no_code(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "model")
    module(folder, "sentence_transformers.base.modules.transformer.Transformer")
    edit(
        folder / "config.json", activation_function="gelu_new", sbert_ce_default_activation_function="torch.nn.Identity"
    )
    edit(folder / "2_Dense/config.json", activation_function="torch.nn.modules.linear.Identity")
    (folder / "train_script.py").write_text("import their_cluster\n")
    own_code.check(folder, False)
    own_code.check(folder, True)


def test_code_in_another_repository_is_refused_even_where_code_may_run(plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "model")
    edit(folder / "config.json", auto_map={"AutoModel": "org/code--modeling.Theirs"})
    for remote_code in (False, True):
        with pytest.raises(UserError, match=r"^source: config.json takes code from another repository, org/code"):
            own_code.check(folder, remote_code)


@pytest.mark.parametrize(
    "code, line", [(None, "source: theirs.py, which config.json names"), ("import einopz\n", "pip install einopz")]
)
def test_code_that_cannot_run_is_one_line(code, line, plain, tmp_path):
    folder = shutil.copytree(plain, tmp_path / "model")
    edit(folder / "config.json", auto_map={"AutoModel": "theirs.Theirs"})
    if code:
        (folder / "theirs.py").write_text(code + THEIRS)
    with pytest.raises(UserError, match=line):
        own_code.check(folder, True)


@pytest.mark.parametrize("kind", ["own-code", "own-code-of-a-known-type"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_leave_no_architecture_is_built(kind, architecture, tmp_path):
    source = kinds.make(kind, tmp_path / "model")
    fetch.fetch(f"folder:{source}", made := tmp_path / "made")
    with pytest.raises(UserError, match="remote_code: this model needs code of its own"):
        architectures.build(made, Description(architecture))


@pytest.mark.parametrize("kind", ["own-code", "own-code-of-a-known-type"])
def test_with_leave_its_own_network_runs(kind, tmp_path):
    """The network is BERT's whose token vectors are turned: without it the cosine to BERT's vectors would be 1."""
    from sentence_transformers import SentenceTransformer

    source = kinds.make(kind, tmp_path / "model")
    stock = shutil.copytree(source, tmp_path / "stock")
    config = json.loads((stock / "config.json").read_text())
    config.pop("auto_map")
    (stock / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    fetch.fetch(f"folder:{source}", made := tmp_path / "made")
    architectures.build(made, Description("symmetric", remote_code=True))
    ours = encoding.encode(encoding.load_encoder(made), TEXTS, 64)
    assert (ours * SentenceTransformer(str(stock)).encode(TEXTS)).sum(axis=1).max() < -0.9
    fetch.fetch(f"folder:{source}", late := tmp_path / "late")
    description = Description("late-interaction", remote_code=True)
    architectures.build(late, description)
    model_folder.write(description, late)
    assert type(architectures.load_module("late-interaction").load(late)[0].model).__name__ == "TheirModel"
    assert np.isfinite(ours).all()
