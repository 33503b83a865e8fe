"""A fetched model, as a folder, made into the shape that its row asks for."""
import copy
import json
import shutil
from pathlib import Path

from stages.models import towers
from stages.models.encoding import load_encoder
from stages.core.errors import UserError
from stages.core.files import publish

SEED = 0  # of weights drawn afresh


def config(folder: Path) -> dict:
    """The config.json of a folder's transformer; empty where there is none."""
    return json.loads((folder / "config.json").read_text()) if (folder / "config.json").exists() else {}


def check_positions(folder: Path, tokens: int) -> None:
    """UserError where a text of so many tokens is longer than the weights know positions."""
    longest = config(folder).get("max_position_embeddings", tokens)
    if tokens > longest:
        raise UserError(f"checkpoints: tokens {tokens} is more than the {longest} positions of these weights")


def redraw(folder: Path) -> None:
    """Keep architecture, tokenizer and modules, and draw all weights afresh: the same ones on every machine."""
    import torch
    from transformers import AutoModel
    model = load_encoder(folder)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        model[0].model = AutoModel.from_config(model[0].model.config)
        for part in list(model)[1:]:
            for module in part.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
    _write(model, folder)


def cut(folder: Path, tokens: int) -> None:
    """Write the token cap into the model's own configuration, so that whoever loads it cuts where we cut."""
    settings = folder / "sentence_bert_config.json"
    if (folder / "modules.json").exists() and settings.exists():
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"max_seq_length": tokens}, indent=2) + "\n")
    else:
        load_encoder(folder, tokens).save_pretrained(str(folder), create_model_card=False)


def pool(folder: Path, tokens: int, pooling: str) -> None:
    """One tower whose token vectors are pooled as `pooling` says, whatever the model brought."""
    from sentence_transformers import SentenceTransformer
    _write(SentenceTransformer(modules=_parts(folder, tokens, pooling)), folder)


def double(folder: Path, tokens: int, pooling: str | None) -> None:
    """Two towers of the same weights, for queries and for passages; pooling None is the model's own, else mean.

    What brings vectors to unit length stands behind both. The folder is one that SentenceTransformer loads; its
    config.json, that of either tower, is read where an adapter to them is loaded.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize
    parts = _parts(folder, tokens, pooling)
    tower = [part for part in parts if not isinstance(part, Normalize)]
    ends = [part for part in parts if isinstance(part, Normalize)]
    _write(SentenceTransformer(modules=[towers.pair(tower, copy.deepcopy(tower)), *ends]), folder)
    tower[0].model.config.save_pretrained(str(folder))


def as_one_model(name: str, folder: Path, tokens: int) -> None:
    """Leave what transformers loads, without a retriever's modules, and write the token cap into the tokenizer."""
    known = config(folder)
    if not known or known.get("architectures", [""])[0].endswith("ForCausalLM"):
        raise UserError(f"checkpoints.{name}: shape cross needs an encoder's config.json and weights, whose head "
                      f"classifies; this is another kind of model")
    for module in folder.glob("[0-9]*_*"):
        shutil.rmtree(module)
    for file in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "data_config.json"):
        (folder / file).unlink(missing_ok=True)
    tokenizer = folder / "tokenizer_config.json"
    settings = json.loads(tokenizer.read_text()) if tokenizer.exists() else {}
    tokenizer.write_text(json.dumps(settings | {"model_max_length": tokens}, indent=2) + "\n")


def _parts(folder: Path, tokens: int, pooling: str | None) -> list:
    """A model's modules, with another pooling where one is named."""
    from sentence_transformers.sentence_transformer.modules import Pooling
    parts = list(load_encoder(folder, tokens))
    if pooling and not any(isinstance(part, Pooling) for part in parts):
        raise UserError(f"checkpoints: this model pools no token vectors; leave out pooling: {pooling}")
    return [Pooling(part.embedding_dimension, pooling) if pooling and isinstance(part, Pooling) else part
            for part in parts]


def _write(model, folder: Path) -> None:
    """Put a model in the place of the folder that it was made from."""
    with publish(folder) as draft:
        model.save_pretrained(str(draft), create_model_card=False)
