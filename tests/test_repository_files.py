"""What a model is loaded from, of listings as the hub has them of each kind of repository."""

import pytest

from stages.models.repository_files import wanted

BERT = "config.json special_tokens_map.json tokenizer.json tokenizer_config.json vocab.txt"
SENTENCE = "modules.json config_sentence_transformers.json sentence_bert_config.json 1_Pooling/config.json"
EXPORTS = (
    "onnx/config.json onnx/model.onnx onnx/model_O4.onnx onnx/tokenizer.json onnx/model.onnx_data "
    "openvino/openvino_model.xml openvino/openvino_model.bin openvino_config.json"
)
OTHERS = "tf_model.h5 flax_model.msgpack rust_model.ot model.gguf coreml/model.mlpackage/x.json"
PAGES = ".gitattributes README.md LICENSE LICENSE.txt images/plot.png"
STATES = (
    "optimizer.pt scheduler.pt rng_state_0.pth rng_state.pth scaler.pt trainer_state.json training_args.bin "
    "eval_results.json checkpoint-500/model.safetensors checkpoint-500/config.json runs/events.out"
)
SHARDS = "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json"
TOKENIZERS = (
    "bpe.codes byte_maps.json dict.txt emoji.json entity_vocab.json merges.txt normalizer.json prophetnet.tokenizer "
    "sentencepiece.bpe.model sentencepiece.model spiece.model spm.model spm_char.model tokenizer.json tokenizer.model "
    "tokenizer_config.json vocab-src.json vocab-tgt.json vocab.json vocab.txt word_pronunciation.json word_shape.json "
    "added_tokens.json qwen.tiktoken cl100k_base.tiktoken source.spm tokenizer.model.v3 tekken.json vocab.bpe vocab "
    "whitespacetokenizer_config.json"
)
KINDS = {  # what is wanted, what is not, and the folders that modules.json names
    "e5": (f"{BERT} {SENTENCE} model.safetensors", f"pytorch_model.bin {EXPORTS} {OTHERS} {PAGES}", ["1_Pooling"]),
    "bge-m3": (
        f"{BERT} {SENTENCE} pytorch_model.bin sentencepiece.bpe.model",
        f"colbert_linear.pt sparse_linear.pt imgs/bm25.jpg {EXPORTS} {PAGES}",
        ["1_Pooling", "2_Normalize"],
    ),
    "LaBSE": (
        f"{BERT} {SENTENCE} model.safetensors 2_Dense/config.json 2_Dense/model.safetensors",
        f"pytorch_model.bin 2_Dense/pytorch_model.bin {OTHERS} {PAGES}",
        ["1_Pooling", "2_Dense", "3_Normalize"],
    ),
    "gtr-t5": (
        f"config.json spiece.model tokenizer.json {SENTENCE} model.safetensors 2_Dense/config.json "
        f"2_Dense/pytorch_model.bin",
        f"pytorch_model.bin {EXPORTS} {PAGES}",
        ["1_Pooling", "2_Dense", "3_Normalize"],
    ),
    "one of several widths": (
        f"{BERT} {SENTENCE} model.safetensors 2_Dense_1024/config.json 2_Dense_1024/model.safetensors",
        "2_Dense_256/config.json 2_Dense_256/model.safetensors 2_Dense/pytorch_model.bin",
        ["1_Pooling", "2_Dense_1024"],
    ),
    "static-retrieval-mrl": (
        "modules.json config_sentence_transformers.json 0_StaticEmbedding/model.safetensors "
        "0_StaticEmbedding/tokenizer.json",
        PAGES,
        ["0_StaticEmbedding"],
    ),
    "potion": (
        "config.json modules.json model.safetensors tokenizer.json config_sentence_transformers.json",
        f"{EXPORTS} {PAGES}",
        [".", "1_Normalize"],
    ),
    "Qwen3-Embedding": (
        f"config.json merges.txt vocab.json tokenizer.json tokenizer_config.json generation_config.json modules.json "
        f"config_sentence_transformers.json 1_Pooling/config.json {SHARDS}",
        f"pytorch_model-00001-of-00002.bin pytorch_model-00002-of-00002.bin pytorch_model.bin.index.json {PAGES}",
        ["1_Pooling", "2_Normalize"],
    ),
    "shards of .bin": (
        f"{BERT} pytorch_model-00001-of-00002.bin pytorch_model-00002-of-00002.bin pytorch_model.bin.index.json",
        f"{STATES} {OTHERS} tf_model.h5.index.json",
        [],
    ),
    "whole and in shards": (
        f"{BERT} model.safetensors",
        f"{SHARDS} consolidated.safetensors model.fp16.safetensors",
        [],
    ),
    "an index without its shards": (f"{BERT} model.safetensors.index.json", PAGES, []),
    "nomic, jina": (
        f"{BERT} {SENTENCE} model.safetensors configuration_x.py modeling_x.py custom_st.py layers/blocks.py "
        f"adapters/adapter_config.json adapters/adapter_model.safetensors",
        f"{EXPORTS} {PAGES} results/scores.json onnx/export.py",
        ["1_Pooling"],
    ),
    "e5-mistral": (
        f"config.json tokenizer.model {SENTENCE} {SHARDS}",
        "lora/adapter_config.json lora/adapter_model.bin",
        ["1_Pooling"],
    ),
    "an adapter": (
        f"adapter_config.json adapter_model.safetensors tokenizer.json chat_template.jinja {SENTENCE}",
        f"adapter_model.bin {STATES} {PAGES}",
        ["1_Pooling"],
    ),
    "ColBERT of PyLate": (
        f"{BERT} modules.json config_sentence_transformers.json sentence_bert_config.json model.safetensors "
        f"1_Dense/config.json 1_Dense/model.safetensors",
        f"1_Dense/pytorch_model.bin {PAGES}",
        [".", "1_Dense"],
    ),
    "ColBERT of Stanford": (f"{BERT} artifact.metadata pytorch_model.bin", f"vespa_colbert.onnx {PAGES}", []),
    "ModernBERT": (f"{BERT} model.safetensors", f"pytorch_model.bin {EXPORTS} {PAGES}", []),
    "0_Transformer": (
        "modules.json config_sentence_transformers.json 0_Transformer/config.json 0_Transformer/pytorch_model.bin "
        "0_Transformer/sentence_bert_config.json 0_Transformer/vocab.txt 1_Pooling/config.json",
        "similarity_evaluation_sts-dev_results.csv data_config.json",
        ["0_Transformer", "1_Pooling"],
    ),
    "two towers": (
        "modules.json router_config.json query_0_StaticEmbedding/model.safetensors "
        "query_0_StaticEmbedding/tokenizer.json "
        "document_0_Transformer/config.json document_0_Transformer/model.safetensors document_1_Pooling/config.json",
        f"document_0_Transformer/onnx/model.onnx {PAGES}",
        [".", "query_0_StaticEmbedding", "document_0_Transformer", "document_1_Pooling"],
    ),
    "a module in a folder of any name": (
        "modules.json encoder/text/config.json encoder/text/model.safetensors",
        "encoder/old/model.safetensors",
        ["encoder/text"],
    ),
    "cross-encoder": (
        f"{BERT} pytorch_model.bin",
        f"CECorrelationEvaluator_dev_results.csv flax_model.msgpack {EXPORTS} {PAGES}",
        [],
    ),
    "a folder of a training": (f"{BERT} {SENTENCE} model.safetensors", STATES, ["1_Pooling"]),
    "templates": (
        "config.json model.safetensors chat_template.jinja additional_chat_templates/rag.jinja processor_config.json "
        "preprocessor_config.json chat_template.json",
        PAGES,
        [],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_is_loaded_from_and_nothing_else(kind):
    needed, needless, folders = KINDS[kind]
    assert wanted([*needless.split(), *needed.split()], folders) == sorted(needed.split())


@pytest.mark.parametrize("kind", ["LaBSE", "static-retrieval-mrl", "0_Transformer", "two towers"])
def test_folders_are_known_by_their_names_where_modules_json_was_not_read(kind):
    needed, needless, _ = KINDS[kind]
    assert wanted([*needed.split(), *needless.split()]) == sorted(needed.split())


def test_files_of_all_tokenizers_are_wanted():
    """Those that the tokenizers of transformers 5.23 name (vocab_files_names), and those of models with their own."""
    assert wanted(TOKENIZERS.split(), []) == sorted(TOKENIZERS.split())
