"""Tiny rerankers of the kinds that users have: random weights, and the files that such models ship."""

import json
import shutil
from pathlib import Path

from tests import kinds

MARKED = {"[Q] ": "query_prefix", "[D] ": "document_prefix"}


def make(kind: str, folder: Path) -> Path:
    """A reranker's folder of one of KINDS, as the library's MultiVectorEncoder or CrossEncoder loads it."""
    KINDS[kind](folder)
    return folder


def _drawn(rows: int, columns: int, seed: int = 1):
    import torch

    return torch.randn((rows, columns), generator=torch.Generator().manual_seed(seed)) * 0.3


def pylate(folder: Path, dtype: str = "float32", **settings) -> None:
    """The layout of PyLate: Transformer and a Dense of its own class, markers that are tokens of the tokenizer."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, BertConfig, BertModel

    kinds.bert(folder, "float32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(MARKED))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(**{**kinds.BERT, "initializer_range": 0.15, "vocab_size": len(tokenizer)})
    BertModel(config).to(getattr(torch, dtype)).save_pretrained(folder)
    modules = {"": "sentence_transformers.models.Transformer", "1_Dense": "pylate.models.Dense.Dense"}
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": kind} for at, (path, kind) in enumerate(modules.items())
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    kinds.write_json(folder / "sentence_bert_config.json", max_seq_length=48, do_lower_case=False)
    dense = {"in_features": kinds.WIDTH, "out_features": 16, "bias": False, "use_residual": False}
    kinds.write_json(folder / "1_Dense/config.json", **dense, activation_function="torch.nn.modules.linear.Identity")
    save_file(
        {"linear.weight": _drawn(16, kinds.WIDTH).to(getattr(torch, dtype))}, folder / "1_Dense/model.safetensors"
    )
    own = {prefix: marker for marker, prefix in MARKED.items()}
    own |= {
        "query_length": 12,
        "document_length": 24,
        "attend_to_expansion_tokens": False,
        "skiplist_words": [".", ","],
    }
    own |= {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim", "model_type": "ColBERT"}
    kinds.write_json(folder / "config_sentence_transformers.json", **own, **settings)


def _early_pylate(folder: Path) -> None:
    """As its first versions wrote it: no kind is named, mask tokens are attended to, prompts beside markers."""
    pylate(folder)
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text())
    del settings["model_type"], settings["skiplist_words"]
    settings |= {"attend_to_expansion_tokens": True, "prompts": {"query": "ask: ", "document": "told: "}}
    path.write_text(json.dumps(settings))


def _stanford(folder: Path) -> None:
    """colbertv2.0: the projection is among the encoder's weights, artifact.metadata has the rest."""
    from safetensors.torch import save_file
    from transformers import BertModel

    kinds.bert(folder)
    body = {f"bert.{name}": values for name, values in BertModel.from_pretrained(folder).state_dict().items()}
    save_file({**body, "linear.weight": _drawn(16, kinds.WIDTH)}, folder / "model.safetensors", {"format": "pt"})
    kinds.write_json(folder / "config.json", architectures=["HF_ColBERT"])
    known = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 12, "doc_maxlen": 24}
    kinds.write_json(folder / "artifact.metadata", **known, attend_to_mask_tokens=False, mask_punctuation=True)


def _native(folder: Path) -> None:
    """As the library saves one: at least so many query tokens, the mean of MaxSim, no projection."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    kinds.bert(folder / "body")
    body = Transformer(
        str(folder / "body"), document_length=30, query_expansion={"strategy": "min", "attend": True, "length": 10}
    )
    parts = [body, MultiVectorMask(["the"]), Normalize(module_input_name="token_embeddings")]
    prompts = {"query": "search: ", "document": "text: "}
    model = MultiVectorEncoder(modules=parts, prompts=prompts, similarity_fn_name="meanmaxsim", device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(folder / "body")


def classifier(folder: Path, name: str = "Bert", dtype: str = "float32", **more) -> None:
    """An encoder with a trained head, as transformers saves it; weights large enough for scores that differ."""
    import torch
    import transformers

    kinds.bert(folder)
    torch.manual_seed(0)
    given = {**kinds.BERT, "initializer_range": 0.3, "num_labels": 1, **more}
    config = getattr(transformers, f"{name}Config")(**given)
    model = getattr(transformers, f"{name}ForSequenceClassification")(config)
    model.to(getattr(torch, dtype)).save_pretrained(folder)


def _xlm_roberta(folder: Path) -> None:
    """Position numbers begin after the padding token's, which is not 0: 62 of 64 can be used."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(kinds.SENTENCES, trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ids
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", **names, model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        **kinds.BERT, initializer_range=0.3, vocab_size=len(wrapped), max_position_embeddings=64, pad_token_id=1,
        type_vocab_size=1, num_labels=1,
    )  # fmt: skip
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)


def _modernbert(folder: Path) -> None:
    more = {"pad_token_id": 0, "cls_token_id": 101, "bos_token_id": 101, "sep_token_id": 102, "eos_token_id": 102}
    classifier(folder, "ModernBert", vocab_size=30522, local_attention=16, **more)
    kinds.write_json(folder / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])


def _prompted(folder: Path) -> None:
    """A prompt that comes before the query of every pair."""
    from sentence_transformers import CrossEncoder

    classifier(folder / "body")
    prompts = {"query": "Represent this query: "}
    model = CrossEncoder(str(folder / "body"), prompts=prompts, default_prompt_name="query", device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(folder / "body")


def _dense_head(folder: Path) -> None:
    """An encoder, CLS pooling and two Dense layers, as the library's own rerankers are made."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    kinds.bert(folder / "body")
    width = kinds.WIDTH
    parts = [
        Transformer(str(folder / "body")),
        Pooling(width, "cls"),
        Dense(width, width, init_weight=_drawn(width, width)),
        Dense(
            width, 1, activation_function=torch.nn.Identity(), init_weight=_drawn(1, width), module_output_name="scores"
        ),
    ]
    CrossEncoder(modules=parts, device="cpu").save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(folder / "body")


def language_model(folder: Path, template: str | None) -> None:
    """A decoder that answers yes or no, as the library saves a reranker; `template` renders query and document."""
    import torch
    from sentence_transformers import CrossEncoder
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|end|>", "<|start|>", "yes", "no"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(kinds.SENTENCES, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|end|>", eos_token="<|end|>", model_max_length=96
    )
    wrapped.chat_template = template
    wrapped.save_pretrained(folder / "body")
    torch.manual_seed(0)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    config = Qwen3Config(
        vocab_size=len(wrapped), hidden_size=kinds.WIDTH, num_hidden_layers=2, intermediate_size=64,
        initializer_range=0.3, pad_token_id=0, eos_token_id=0, tie_word_embeddings=True, **heads,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder / "body")
    model = CrossEncoder(str(folder / "body"), device="cpu", prompts={"web": "Judge."}, default_prompt_name="web")
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(folder / "body")


OWN_NETWORK = """import torch
from transformers import BertConfig, BertModel, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class TheirConfig(BertConfig):
    model_type = "their_bert"


class TheirModel(BertModel):
    config_class = TheirConfig


class TheirClassifier(PreTrainedModel):
    config_class = TheirConfig
    base_model_prefix = "bert"

    def __init__(self, config):
        super().__init__(config)
        self.bert = TheirModel(config, add_pooling_layer=False)
        self.classifier = torch.nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, return_dict=True):
        first = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state[:, 0]
        return SequenceClassifierOutput(logits=self.classifier(-torch.tanh(first)))
"""


def own_body(folder: Path) -> Path:
    """An encoder whose own code has a head, the bias of which that code leaves as memory was."""
    kinds.bert(folder)
    (folder / "modeling_their.py").write_text(OWN_NETWORK)
    names = {"AutoConfig": "TheirConfig", "AutoModel": "TheirModel"}
    names["AutoModelForSequenceClassification"] = "TheirClassifier"
    auto = {auto: f"modeling_their.{name}" for auto, name in names.items()}
    kinds.write_json(folder / "config.json", model_type="their_bert", auto_map=auto)
    return folder


def weights_of(folder: Path, name: str, config: str, **more) -> Path:
    """The folder of a network of transformers with random weights, and BERT's tokenizer."""
    import torch
    import transformers

    kinds.bert(folder)
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    settings = getattr(transformers, config)(**{**kinds.BERT, "vocab_size": 30522, **more})
    getattr(transformers, name)(settings).save_pretrained(folder)
    return folder


TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}: {{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>{% endif %}"
)
LATE = {
    "pylate": pylate,
    "early-pylate": _early_pylate,
    "pylate-half": lambda folder: pylate(folder, "bfloat16"),
    "stanford": _stanford,
    "native": _native,
}
CROSS = {
    "bert": classifier,
    "half": lambda folder: classifier(folder, dtype="float16"),
    "xlm-roberta": _xlm_roberta,
    "modernbert": _modernbert,
    "prompted": _prompted,
    "dense-head": _dense_head,
    "language-model": lambda folder: language_model(folder, TEMPLATE),
    "untemplated": lambda folder: language_model(folder, None),
}
KINDS = {**LATE, **CROSS}
