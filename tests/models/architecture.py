"""The dimensions of a generated llama model and its random weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HEAD_SIZE = 32
_EMBEDDINGS = (64, 128, 256, 512, 1024, 2048)
_STEP = 8  # of the feed-forward width: fine enough for sizes, even enough for matrix kernels
_BYTES_PER_WEIGHT = 2


@dataclass(frozen=True)
class Dimensions:
    """The widths of a model, in weights."""

    vocabulary: int
    embedding: int
    feed_forward: int
    layers: int

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return self.embedding // HEAD_SIZE

    @classmethod
    def fitting(cls, size: int, vocabulary: int, layers: int) -> "Dimensions":
        """Dimensions whose float16 weights take about `size` bytes; ValueError when no such model is small enough.

        The embedding is widened until the feed-forward layers are at most 16 times as wide.
        """
        for embedding in _EMBEDDINGS:
            fixed = 2 * vocabulary * embedding + layers * 4 * embedding**2
            room = size // _BYTES_PER_WEIGHT - fixed
            feed_forward = room // (3 * embedding * layers) // _STEP * _STEP
            if feed_forward <= 16 * embedding:
                break
        if feed_forward < _STEP:
            least = fixed * _BYTES_PER_WEIGHT / 2**20
            raise ValueError(
                f"too small for a model of {layers} layers and {vocabulary} tokens: {least:.2f} MiB and more"
            )
        return cls(vocabulary, embedding, feed_forward, layers)


class RandomWeights:
    """A stream of random weights.

    Only the raw words of the generator, which numpy promises never to change, and exact arithmetic are used.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.PCG64(seed)

    def matrix(self, shape: Sequence[int], fan_in: int, gain: int = 1) -> npt.NDArray[np.float16]:
        """The next matrix of the stream, uniform around 0 and scaled down by about the root of `fan_in`."""
        count = math.prod(shape)
        words = self._generator.random_raw(-(-count // 4)).astype("<u8")
        scale = np.float32(gain * 2.0 ** -(15 + fan_in.bit_length() // 2))
        weights = words.view("<i2")[:count].reshape(shape).astype(np.float32) * scale
        return np.asarray(weights, np.float16)
