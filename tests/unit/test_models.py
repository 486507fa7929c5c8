"""Generated models are what they claim to be: reproducible, of the size asked for, in the real formats."""

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from gguf import GGUFReader

from models.gguf import write_gguf
from models.safetensors import write_safetensors

TESTS = Path(__file__).parents[1]
# Of `--mib 0.5 --seed 0`. They change when a generator does, and then so do all models made with it.
GGUF_SHA256 = "ffcb1d515cdcb368fadf26571f5cdca358289757d0e8cef007aa46be3a04e79b"
SAFETENSORS_SHA256 = "3fe57e0c985b7706c755c10467f345acd1b42bbbafca50fce8a2ebe6d8c96100"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_arguments_give_the_same_gguf_file_on_every_machine(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", mib=0.5)
    assert sha256(tmp_path / "model.gguf") == GGUF_SHA256


def test_the_same_arguments_give_the_same_repository_on_every_machine(tmp_path: Path) -> None:
    write_safetensors(tmp_path, mib=0.5)
    assert sha256(tmp_path / "model.safetensors") == SAFETENSORS_SHA256


def test_another_seed_gives_other_bytes_of_the_same_size(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_gguf(tmp_path / f"{seed}.gguf", mib=0.5, seed=seed)
        write_safetensors(tmp_path / str(seed), mib=0.5, seed=seed)
    for one, other in (("1.gguf", "2.gguf"), ("1/model.safetensors", "2/model.safetensors")):
        assert (tmp_path / one).stat().st_size == (tmp_path / other).stat().st_size
        assert sha256(tmp_path / one) != sha256(tmp_path / other)


@pytest.mark.parametrize("mib", [0.5, 1, 2, 7.5, 40])
def test_a_model_has_the_size_asked_for_within_two_per_cent(tmp_path: Path, mib: float) -> None:
    write_gguf(tmp_path / "model.gguf", mib=mib)
    write_safetensors(tmp_path / "repository", mib=mib)
    repository = sum(path.stat().st_size for path in (tmp_path / "repository").iterdir())
    assert (tmp_path / "model.gguf").stat().st_size == pytest.approx(mib * 2**20, rel=0.02)
    assert repository == pytest.approx(mib * 2**20, rel=0.02)


def test_a_gguf_file_holds_a_llama_with_its_vocabulary(tmp_path: Path) -> None:
    write_gguf(tmp_path / "model.gguf", layers=3, context=256)
    reader = GGUFReader(tmp_path / "model.gguf")
    assert reader.fields["general.architecture"].contents() == "llama"
    assert reader.fields["llama.block_count"].contents() == 3
    assert reader.fields["llama.context_length"].contents() == 256
    shapes = {tensor.name: list(tensor.shape) for tensor in reader.tensors}
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert shapes["output.weight"] == [reader.fields["llama.embedding_length"].contents(), len(tokens)]
    assert len(set(tokens)) == len(tokens)
    assert sum(name.endswith("ffn_gate.weight") for name in shapes) == 3


def test_a_safetensors_file_describes_all_its_bytes(tmp_path: Path) -> None:
    write_safetensors(tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    spans = sorted(tuple(tensor["data_offsets"]) for tensor in header.values())
    assert [span[0] for span in spans] == [0, *(span[1] for span in spans[:-1])]
    assert 8 + length + spans[-1][1] == len(content)
    config = json.loads((tmp_path / "config.json").read_text())
    assert header["lm_head.weight"]["shape"] == [config["vocab_size"], config["hidden_size"]]


def test_the_command_lines_write_the_model_and_say_where(tmp_path: Path) -> None:
    for module, name, weights, digest in (
        ("models.gguf", "model.gguf", "model.gguf", GGUF_SHA256),
        ("models.safetensors", "repository", "repository/model.safetensors", SAFETENSORS_SHA256),
    ):
        command = [sys.executable, "-m", module, str(tmp_path / name), "--mib", "0.5", "--seed", "0"]
        result = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=True, timeout=60)
        assert result.stdout == f"{tmp_path / name}\n"
        assert sha256(tmp_path / weights) == digest


def test_a_size_that_no_model_can_have_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "models.gguf", str(tmp_path / "model.gguf"), "--mib", "0.1"]
    result = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "--mib 0.1 is too small for a model of 2 layers" in result.stderr
    assert not (tmp_path / "model.gguf").exists()
