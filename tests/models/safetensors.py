"""`python -m models.safetensors OUTDIR --mib N --seed S`: a tiny llama as a Hugging Face repository has it."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.architecture import HEAD_SIZE, Dimensions, RandomWeights
from models.command import run

_WORDS = "the pod node volume model weight layer token cache shard disk file byte list map run load serve test"
_SPECIAL = ("<s>", "</s>")
_METADATA_SIZE = 11 << 10  # what the repository holds besides weights, about

Shape = tuple[int, ...]


def write_safetensors(directory: Path, mib: float = 2, seed: int = 0, *, layers: int = 2, context: int = 512) -> None:
    """Write a repository of about `mib` MiB: configuration, tokenizer and random float16 weights of a llama."""
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary()
    dimensions = Dimensions.fitting(int(mib * 2**20) - _METADATA_SIZE, len(vocabulary) + len(_SPECIAL), layers)
    documents = {
        "config.json": _config(dimensions, context),
        "generation_config.json": _special_ids(dimensions),
        "tokenizer.json": _tokenizer(vocabulary),
        "tokenizer_config.json": _tokenizer_config(context),
    }
    for name, document in documents.items():
        (directory / name).write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
    _write_weights(directory / "model.safetensors", dimensions, seed)


def _vocabulary() -> list[str]:
    """GPT-2's alphabet of bytes, then words with its mark of a leading space."""
    printable = [byte for first, end in ((33, 127), (161, 173), (174, 256)) for byte in range(first, end)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + rank) for rank, byte in enumerate(others)}
    return [symbols[byte] for byte in range(256)] + ["\u0120" + word for word in _WORDS.split()]


def _special_ids(dimensions: Dimensions) -> dict[str, int]:
    return {"bos_token_id": dimensions.vocabulary - 2, "eos_token_id": dimensions.vocabulary - 1}


def _config(dimensions: Dimensions, context: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": dimensions.embedding,
        "intermediate_size": dimensions.feed_forward,
        "num_hidden_layers": dimensions.layers,
        "num_attention_heads": dimensions.heads,
        "num_key_value_heads": dimensions.heads,
        "head_dim": HEAD_SIZE,
        "vocab_size": dimensions.vocabulary,
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        **_special_ids(dimensions),
    }


def _tokenizer_config(context: int) -> dict[str, Any]:
    begin, end = _SPECIAL
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": end,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "chat_template": "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant:",
    }


def _tokenizer(vocabulary: list[str]) -> dict[str, Any]:
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "normalizer": None,
        "added_tokens": [
            {"id": len(vocabulary) + rank, "content": text, **plain} for rank, text in enumerate(_SPECIAL)
        ],
        "pre_tokenizer": level,
        "decoder": level,
        "post_processor": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {text: rank for rank, text in enumerate(vocabulary)},
            "merges": [],
        },
    }


def _tensors(dimensions: Dimensions) -> dict[str, Shape]:
    """Every tensor's shape, outputs first, in the order of the file."""
    embedding, feed_forward = dimensions.embedding, dimensions.feed_forward
    block: dict[str, Shape] = {
        **{f"self_attn.{name}_proj": (embedding, embedding) for name in ("q", "k", "v", "o")},
        "mlp.gate_proj": (feed_forward, embedding),
        "mlp.up_proj": (feed_forward, embedding),
        "mlp.down_proj": (embedding, feed_forward),
        "input_layernorm": (embedding,),
        "post_attention_layernorm": (embedding,),
    }
    table = (dimensions.vocabulary, embedding)
    blocks = {
        f"model.layers.{layer}.{name}.weight": shape
        for layer in range(dimensions.layers)
        for name, shape in block.items()
    }
    return {"model.embed_tokens.weight": table, "model.norm.weight": (embedding,), "lm_head.weight": table, **blocks}


def _write_weights(path: Path, dimensions: Dimensions, seed: int) -> None:
    """Write the safetensors file: the header's length, the header, the tensors one after the other."""
    tensors = _tensors(dimensions)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in tensors.items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    weights = RandomWeights(seed)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(encoded)) + encoded)
        for name, shape in tensors.items():
            stream.write(_tensor(weights, name, shape).astype("<f2").tobytes())


def _tensor(weights: RandomWeights, name: str, shape: Shape) -> npt.NDArray[Any]:
    if len(shape) == 1:
        return np.ones(shape, np.float16)
    if name == "model.embed_tokens.weight":
        return weights.matrix(shape, fan_in=1)
    if name != "lm_head.weight":
        return weights.matrix(shape, fan_in=shape[1])
    output = weights.matrix(shape, fan_in=shape[1], gain=2)
    output[:256] = 0  # words win against bytes and the end, so answers are text of the length asked for
    output[-len(_SPECIAL) :] = 0
    return output


if __name__ == "__main__":
    run("python -m models.safetensors", "OUTDIR", write_safetensors)
