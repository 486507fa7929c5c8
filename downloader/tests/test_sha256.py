"""The hash whose progress can be kept: it is SHA-256, wherever it is taken up again."""

from __future__ import annotations

import ctypes
import hashlib
import struct
from itertools import pairwise
from typing import Any

import pytest

from llmkube_downloader import sha256
from llmkube_downloader.sha256 import CHECKPOINT_BYTES, STATE_BYTES, Sha256, checkpoint_count, has_states

# On both sides of a step of 64 bytes, and of where the length no longer fits into the last one.
SIZES = [0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 100_000]


def body(size: int) -> memoryview:
    return memoryview(bytearray(hashlib.shake_128(b"body").digest(size)))


def expected(data: memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def hashed(data: memoryview, state: bytes | None = None, length: int = 0) -> Sha256:
    digest = Sha256(state, length)
    digest.update(data)
    return digest


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_standard_hash(size: int) -> None:
    data = body(size)
    assert hashed(data).hexdigest() == expected(data)


@pytest.mark.parametrize("cut", [0, 1, 63, 64, 65, 999])
def test_it_does_not_matter_in_which_pieces_bytes_come(cut: int) -> None:
    data = body(1000)
    digest = hashed(data[:cut])
    digest.update(data[cut:])
    assert digest.length == 1000
    assert digest.hexdigest() == expected(data)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cut", [0, 64, 128, 960])
def test_it_goes_on_from_a_state_as_if_it_had_never_stopped(size: int, cut: int) -> None:
    data = body(cut + size)
    state = hashed(data[:cut]).state()
    assert state is not None
    assert len(state) == STATE_BYTES
    assert hashed(data[cut:], state, cut).hexdigest() == expected(data)


def test_segments_proven_from_state_to_state_prove_the_whole() -> None:
    data, cuts = body(10_000), [0, 64, 640, 6400, 9984]
    states = {cut: hashed(data[:cut]).state() for cut in cuts}
    for start, end in pairwise(cuts):
        assert hashed(data[start:end], states[start], start).state() == states[end]
    assert hashed(data[cuts[-1] :], states[cuts[-1]], cuts[-1]).hexdigest() == expected(data)


@pytest.mark.parametrize("length", [2**29 - 64, 2**29, 2**33 + 64, 800 * 10**9])
def test_a_state_of_hundreds_of_gigabytes_is_gone_on_from(length: int) -> None:
    state = hashed(body(64)).state()
    assert state is not None
    # The end of such a file, computed by the standard's own words: what remains, a one, zeros, the bits in 8 bytes.
    last = b"abc" + b"\x80" + bytes(52) + struct.pack(">Q", (length + 3) * 8)
    assert hashed(memoryview(bytearray(b"abc")), state, length).hexdigest() == _compress(state, last).hex()


def test_there_is_no_state_within_a_step() -> None:
    assert hashed(body(64)).state() is not None
    for size in (1, 63, 65):
        assert hashed(body(size)).state() is None


def test_without_a_library_it_is_still_the_hash_but_has_no_states(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_states()
    monkeypatch.setattr(sha256, "_LIBRARY", None)
    assert not has_states()
    data = body(128)
    assert hashed(data).hexdigest() == expected(data)
    assert hashed(data).state() is None


class _Otherwise:
    """A library that has the functions, and a context of another kind."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_: 1


def _no_library(_: str) -> None:
    raise OSError("no such file")


@pytest.mark.parametrize(
    "load",
    [lambda _: _Otherwise(), _no_library, lambda _: object()],
    ids=["other context", "no library", "no such functions"],
)
def test_a_library_that_does_not_do_as_expected_is_not_used(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert sha256._find_library() is None


def test_a_file_has_a_state_after_every_16_mib_but_not_at_its_end() -> None:
    sizes = [0, 1, CHECKPOINT_BYTES, CHECKPOINT_BYTES + 1, 2 * CHECKPOINT_BYTES, 2 * CHECKPOINT_BYTES + 1]
    assert [checkpoint_count(size) for size in sizes] == [0, 0, 0, 1, 1, 2]


def _compress(state: bytes, block: bytes) -> bytes:
    """Return the state after one more step, as FIPS 180-4 has it."""
    mask, words = 0xFFFFFFFF, list(struct.unpack(">16I", block))

    def turn(word: int, *counts: int) -> int:
        turned = 0
        for count in counts:
            turned ^= (word >> count | word << (32 - count)) & mask
        return turned

    for place in range(16, 64):
        low, high = words[place - 15], words[place - 2]
        mixed = (turn(low, 7, 18) ^ low >> 3) + (turn(high, 17, 19) ^ high >> 10)
        words.append(words[place - 16] + words[place - 7] + mixed & mask)
    before = struct.unpack(">8I", state)
    a, b, c, d, e, f, g, h = before
    for word, constant in zip(words, _constants(), strict=True):
        first = h + turn(e, 6, 11, 25) + (e & f ^ ~e & g) + constant + word
        second = turn(a, 2, 13, 22) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = first + second & mask, a, b, c, d + first & mask, e, f, g
    return struct.pack(">8I", *(old + new & mask for old, new in zip(before, (a, b, c, d, e, f, g, h), strict=True)))


def _constants() -> list[int]:
    """Return the first 32 bits behind the point of the cube roots of the first 64 primes."""
    primes = [number for number in range(2, 312) if all(number % other for other in range(2, number))]
    return [_cube_root(prime << 96) & 0xFFFFFFFF for prime in primes]


def _cube_root(number: int) -> int:
    low, high = 0, 1 << number.bit_length() // 3 + 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low
