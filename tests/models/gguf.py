"""`python -m models.gguf OUT --mib N --seed S`: a tiny llama in GGUF, for llama.cpp and its relatives.

What llama.cpp wants: norms in float32 (it aborts on float16 ones), the 256 byte tokens (without them prompts fail), no
token twice. The model has neither a chat template nor `<|im_*|>` tokens, so the server's built-in ChatML is used, the
only one with which JSON-schema answers work here.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType

from models.architecture import Dimensions, RandomWeights
from models.command import run

_WORDS = (
    "a able about after all also and any are as at back be because but by can come could day do even find first for "
    "from get give go good have he her here him his how i if in into it its just know like look make many may me more "
    "my new no not now of on one only or other our out people pod say see she so some take than that the their them "
    "then there these they thing think this time to two up us use very want way we well what when which who will with "
    "work would year you your"
)

_CONTROLS = (("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL))
_SPACE = "\u2581"  # SentencePiece's mark of a word's beginning
_CHARACTERS = [_SPACE, *(chr(code) for code in range(0x21, 0x7F))]
_FIRST_WORD = len(_CONTROLS) + 256 + len(_CHARACTERS)
_METADATA_SIZE = 17 << 10  # what the file holds besides weights, about

Shape = tuple[int, ...]


def write_gguf(path: Path, mib: float = 2, seed: int = 0, *, layers: int = 2, context: int = 512) -> None:
    """Write a GGUF file of about `mib` MiB: random float16 weights of a llama, answering in English words."""
    tokens = _tokens()
    dimensions = Dimensions.fitting(int(mib * 2**20) - _METADATA_SIZE, len(tokens), layers)
    writer = GGUFWriter(str(path), "llama")
    _add_metadata(writer, dimensions, context)
    _add_vocabulary(writer, tokens)
    tensors = _tensors(dimensions)
    for name, shape in tensors.items():
        _add_tensor_info(writer, name, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    weights = RandomWeights(seed)
    for name, shape in tensors.items():
        writer.write_tensor_data(_tensor(weights, name, shape))
    writer.close()


def _tokens() -> list[tuple[str, float, TokenType]]:
    """Text, score and kind of every token: controls, bytes (so any input encodes), printable ASCII, words."""
    controls = [(text, 0.0, kind) for text, kind in _CONTROLS]
    byte_tokens = [(f"<0x{byte:02X}>", 0.0, TokenType.BYTE) for byte in range(256)]
    texts = _CHARACTERS + [_SPACE + word for word in _WORDS.split()]
    return controls + byte_tokens + [(text, -float(rank), TokenType.NORMAL) for rank, text in enumerate(texts)]


def _add_metadata(writer: GGUFWriter, dimensions: Dimensions, context: int) -> None:
    writer.add_name("tiny")
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_context_length(context)
    writer.add_embedding_length(dimensions.embedding)
    writer.add_block_count(dimensions.layers)
    writer.add_feed_forward_length(dimensions.feed_forward)
    writer.add_head_count(dimensions.heads)
    writer.add_layer_norm_rms_eps(1e-5)


def _add_vocabulary(writer: GGUFWriter, tokens: list[tuple[str, float, TokenType]]) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensors(dimensions: Dimensions) -> dict[str, Shape]:
    """Every tensor's shape, outputs first, in the order of the file."""
    embedding, feed_forward = dimensions.embedding, dimensions.feed_forward
    square = (embedding, embedding)
    block: dict[str, Shape] = {
        "attn_norm": (embedding,),
        "attn_q": square,
        "attn_k": square,
        "attn_v": square,
        "attn_output": square,
        "ffn_norm": (embedding,),
        "ffn_gate": (feed_forward, embedding),
        "ffn_up": (feed_forward, embedding),
        "ffn_down": (embedding, feed_forward),
    }
    table = (dimensions.vocabulary, embedding)
    blocks = {
        f"blk.{layer}.{name}.weight": shape for layer in range(dimensions.layers) for name, shape in block.items()
    }
    return {"token_embd.weight": table, **blocks, "output_norm.weight": (embedding,), "output.weight": table}


def _add_tensor_info(writer: GGUFWriter, name: str, shape: Shape) -> None:
    norm = len(shape) == 1
    element = np.dtype(np.float32 if norm else np.float16)
    kind = GGMLQuantizationType.F32 if norm else GGMLQuantizationType.F16
    writer.add_tensor_info(name, shape, element, math.prod(shape) * element.itemsize, raw_dtype=kind)


def _tensor(weights: RandomWeights, name: str, shape: Shape) -> npt.NDArray[Any]:
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    if name == "token_embd.weight":
        return weights.matrix(shape, fan_in=1)
    if name != "output.weight":
        return weights.matrix(shape, fan_in=shape[1])
    # Peaked, yet not so much that temperature plays no part; and words win against everything that is no word or would
    # end the answer, so answers are clean text of the length asked for.
    output = weights.matrix(shape, fan_in=shape[1], gain=2)
    output[:_FIRST_WORD] = 0
    return output


if __name__ == "__main__":
    run("python -m models.gguf", "OUT", write_gguf)
