"""SHA-256 whose progress can be kept: its state is exported at any multiple of 64 bytes and taken up again later.

With the state after every 16 MiB beside a file, one large file is verified on all cores, and a fetch that was cut off
goes on without reading again what it had hashed. What comes out is the standard SHA-256 all the same: a chain of
segments, each proven from the state before it to the state after it, is the computation of the one hash.

The state is reached through libcrypto's SHA256_Init, _Update and _Final, which Python's own hashlib is linked to. Where
they are not to be had (a Python with a cryptography library of its own), hashes are computed by hashlib and have no
state.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct

# Bytes between two states that are kept.
CHECKPOINT_BYTES = 16 * 1024 * 1024
STATE_BYTES = 32

_STEP = 64
_WORDS = struct.Struct(">8I")
_PROBE = bytes(range(256))


class _Context(ctypes.Structure):
    """SHA256_CTX of openssl/sha.h: words, bit count, what does not fill a step yet, how much that is."""

    _fields_ = (
        ("words", ctypes.c_uint32 * 8),
        ("bits_low", ctypes.c_uint32),
        ("bits_high", ctypes.c_uint32),
        ("data", ctypes.c_uint32 * 16),
        ("pending", ctypes.c_uint),
        ("digest_bytes", ctypes.c_uint),
    )


class Sha256:
    """A hash in progress."""

    def __init__(self, state: bytes | None = None, length: int = 0) -> None:
        """Begin, or go on from the state that was exported after ``length`` bytes, where the process has states."""
        self.length = length
        self._plain = hashlib.sha256() if _LIBRARY is None else None
        self._context = _Context()
        if _LIBRARY is not None:
            _LIBRARY.SHA256_Init(ctypes.byref(self._context))
        if state is not None:
            self._context.words[:] = _WORDS.unpack(state)
            self._context.bits_low, self._context.bits_high = length * 8 & 0xFFFFFFFF, length * 8 >> 32

    def update(self, data: memoryview) -> None:
        """Hash bytes; the memory has to be writable, because only then does Python tell where it is."""
        self.length += len(data)
        if self._plain is not None:
            self._plain.update(data)
        elif data:
            _update(self._context, data)

    def state(self) -> bytes | None:
        """Return the internal state, STATE_BYTES long; None where there is none or not at a multiple of 64 bytes."""
        if self._plain is not None or self.length % _STEP:
            return None
        return _WORDS.pack(*self._context.words)

    def hexdigest(self) -> str:
        """Return the hash of everything so far. Nothing can be added afterwards."""
        if self._plain is not None:
            return self._plain.hexdigest()
        digest = (ctypes.c_ubyte * STATE_BYTES)()
        _library().SHA256_Final(digest, ctypes.byref(self._context))
        return bytes(digest).hex()


def has_states() -> bool:
    """Return whether this process can export states and take them up."""
    return _LIBRARY is not None


def checkpoint_count(size: int) -> int:
    """Return how many states a file of ``size`` bytes has: one after every CHECKPOINT_BYTES but not at its end."""
    return max(0, (size - 1) // CHECKPOINT_BYTES)


def _update(context: _Context, data: memoryview) -> None:
    start = ctypes.addressof(ctypes.c_char.from_buffer(data))
    _library().SHA256_Update(ctypes.byref(context), ctypes.c_void_p(start), ctypes.c_size_t(len(data)))


def _library() -> ctypes.CDLL:
    if _LIBRARY is None:
        raise RuntimeError("there is no libcrypto")
    return _LIBRARY


def _find_library() -> ctypes.CDLL | None:
    """Return libcrypto as hashlib has it loaded, if a state can be exported and taken up as expected."""
    try:
        import _hashlib

        library = ctypes.CDLL(_hashlib.__file__)
        first, second = _Context(), _Context()
        library.SHA256_Init(ctypes.byref(first))
        library.SHA256_Update(ctypes.byref(first), _PROBE, ctypes.c_size_t(_STEP))
        library.SHA256_Init(ctypes.byref(second))
        second.words[:] = first.words[:]
        second.bits_low = _STEP * 8
        library.SHA256_Update(ctypes.byref(second), _PROBE[_STEP:], ctypes.c_size_t(len(_PROBE) - _STEP))
        digest = (ctypes.c_ubyte * STATE_BYTES)()
        library.SHA256_Final(digest, ctypes.byref(second))
    except (ImportError, AttributeError, OSError):
        return None
    return library if bytes(digest) == hashlib.sha256(_PROBE).digest() else None


_LIBRARY = _find_library()
