"""A GGUF file that was cut off begins like a whole one; what its header promises tells them apart."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.transfer import gguf
from llmkube_downloader.transfer.structure import check_whole
from models.gguf import write_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model as its usual writer makes it: metadata of all kinds, tensors of two types."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_gguf(path, 1)
    return path.read_bytes()


def problem(data: bytes) -> str:
    with pytest.raises(DownloaderError) as refused:
        check_whole("a.gguf", io.BytesIO(data), len(data))
    assert refused.value.code is ExitCode.INTEGRITY
    return refused.value.cause


def made_of(pairs: bytes = b"", tensors: bytes = b"", count: tuple[int, int] = (0, 0)) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, *count) + pairs + tensors


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def tensor(kind: int, shape: tuple[int, ...], offset: int = 0) -> bytes:
    return text(b"t") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def test_a_whole_file_has_just_the_bytes_that_its_header_promises(model: bytes) -> None:
    assert gguf.promised_bytes(io.BytesIO(model), len(model)) == len(model)
    check_whole("a.gguf", io.BytesIO(model), len(model))
    check_whole("a.gguf", io.BytesIO(model + bytes(100)), len(model) + 100)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused_wherever_that_was(model: bytes, share: float) -> None:
    assert "GGUF header" in problem(model[: int(len(model) * share)])


def test_one_missing_byte_is_seen(model: bytes) -> None:
    assert problem(model[:-1]).startswith(f"a.gguf has {len(model) - 1} bytes, its GGUF header promises {len(model)}")


def test_every_type_of_tensor_that_the_reference_knows_has_its_size() -> None:
    assert {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()} == gguf._BLOCKS


def test_of_a_type_that_is_not_known_the_beginning_has_to_be_there() -> None:
    data = made_of(tensors=tensor(999, (32, 7), offset=64), count=(1, 0))
    data += bytes(-len(data) % 32)
    assert "promises" in problem(data + bytes(63))
    check_whole("a.gguf", io.BytesIO(data + bytes(64)), len(data) + 64)


def test_another_alignment_counts(tmp_path: Path) -> None:
    writer = GGUFWriter(str(tmp_path / "a.gguf"), "llama")
    writer.add_custom_alignment(4096)
    writer.add_tensor("t", np.zeros((3, 32), np.float32))
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    data = (tmp_path / "a.gguf").read_bytes()
    promised = gguf.promised_bytes(io.BytesIO(data), len(data))
    assert promised == 4096 + 3 * 32 * 4
    assert "promises" in problem(data[: promised - 1])


def test_every_kind_of_value_is_passed(tmp_path: Path) -> None:
    writer = GGUFWriter(str(tmp_path / "a.gguf"), "llama")
    writer.add_bool("bool", val=True)
    for name, add in (("u8", writer.add_uint8), ("i8", writer.add_int8), ("u16", writer.add_uint16)):
        add(name, 1)
    for name, add in (("i16", writer.add_int16), ("u32", writer.add_uint32), ("i32", writer.add_int32)):
        add(name, 1)
    writer.add_uint64("u64", 1)
    writer.add_int64("i64", 1)
    writer.add_float32("f32", 1)
    writer.add_float64("f64", 1)
    writer.add_string("string", "text")
    writer.add_array("numbers", [1, 2, 3])
    writer.add_array("texts", ["one", "three"])
    writer.add_array("arrays", [[1, 2], [3]])
    writer.add_tensor("t", np.zeros((3, 32), np.float32))
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    data = (tmp_path / "a.gguf").read_bytes()
    assert gguf.promised_bytes(io.BytesIO(data), len(data)) == len(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (made_of(pairs=text(b"key") + struct.pack("<I", 99) + bytes(9), count=(0, 1)), "type that is not known"),
        (made_of(pairs=struct.pack("<Q", 2**40) + bytes(99), count=(0, 1)), "name is too long"),
        (made_of(pairs=text(b"k") + struct.pack("<IQ", 8, 2**63) + bytes(9), count=(0, 1)), "too long"),
        (made_of(pairs=text(b"k") + struct.pack("<IIQ", 9, 0, 2**63), count=(0, 1)), "too long"),
        (
            made_of(pairs=text(b"k") + struct.pack("<II", 9, 9) + struct.pack("<QI", 1, 9) * 20, count=(0, 1)),
            "not known",
        ),
        (made_of(pairs=text(b"general.alignment") + struct.pack("<II", 4, 0), count=(0, 1)), "power of two"),
        (made_of(pairs=text(b"general.alignment") + struct.pack("<II", 4, 48), count=(0, 1)), "power of two"),
        (made_of(tensors=tensor(0, (1, 1, 1, 1, 1)), count=(1, 0)), "too many dimensions"),
    ],
    ids=["value", "name", "text", "array", "nesting", "no alignment", "odd alignment", "dimensions"],
)
def test_a_header_of_nonsense_is_refused_quickly(data: bytes, why: str) -> None:
    assert why in problem(data)


def test_a_header_that_goes_on_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch, model: bytes) -> None:
    monkeypatch.setattr(gguf, "_LONGEST_HEADER", 1000)
    assert "goes on for too long" in problem(model)


def test_tensors_of_impossible_size_are_refused() -> None:
    assert "promises" in problem(made_of(tensors=tensor(0, (2**63, 2**63)), count=(1, 0)))
