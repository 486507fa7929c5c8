"""Small files that are what their names say."""

from __future__ import annotations

import hashlib
import json
import struct


def gguf(size: int = 1000, seed: int = 0) -> bytes:
    """Return a GGUF file without tensors, filled up to a size in bytes."""
    return (struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + _filling(size, seed))[:size]


def safetensors(size: int = 1000, seed: int = 0) -> bytes:
    """Return a safetensors file with one tensor of a size in bytes."""
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + _filling(size, seed)[:size]


def sha256(data: bytes) -> str:
    """Return a hash in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _filling(size: int, seed: int) -> bytes:
    return hashlib.shake_128(str(seed).encode()).digest(size)
