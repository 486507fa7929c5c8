"""The cache key: the same as the chart's, for every vector."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from repository import CONTRACT

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import Source, parse_source

if TYPE_CHECKING:
    from command_line import Run

VECTORS: list[dict[str, Any]] = yaml.safe_load((CONTRACT / "key-vectors.yaml").read_text(encoding="utf-8"))
ACCEPTED = [vector for vector in VECTORS if not vector.get("error")]
REFUSED = [vector for vector in VECTORS if vector.get("error")]


def parse(vector: dict[str, Any]) -> Source:
    lists = {name: tuple(vector.get(name, ())) for name in ("files", "include", "exclude")}
    return parse_source(vector["source"], revision=vector.get("revision"), **lists)


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda vector: vector["name"])
def test_a_vector_has_its_canonical_source_and_key(vector: dict[str, Any]) -> None:
    source = parse(vector)
    assert source.canonical == vector["canonical"]
    assert source.key == vector["key"]


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_a_refused_vector_is_a_usage_error(vector: dict[str, Any]) -> None:
    with pytest.raises(DownloaderError) as refused:
        parse(vector)
    assert refused.value.code is ExitCode.USAGE
    assert refused.value.action


def test_the_vectors_are_many_and_have_names_of_their_own() -> None:
    assert len(VECTORS) >= 50
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)


def test_a_plain_url_finds_the_directory_that_existing_caches_use() -> None:
    url = "https://huggingface.co/TheBloke/Llama-2-7B-GGUF/resolve/main/llama-2-7b.Q4_K_M.gguf"
    assert parse_source(url).key == hashlib.sha256(url.encode()).hexdigest()[:16]


def test_the_key_command_prints_the_key_of_a_selection(run: Run) -> None:
    done = run("key", "hf://org/repo", "--include", "*.json", "--include", "*.safetensors", "--revision", "v1")
    expected = parse_source("hf://org/repo@v1", include=("*.safetensors", "*.json"))
    assert done.out == expected.key + "\n"
    assert run("key", "hf://org/repo@v1", "--include", "*.json", "--include", "*.safetensors", "-o", "json").json == {
        "schema": 1,
        "key": expected.key,
        "canonical": expected.canonical,
    }


def test_lists_in_the_environment_are_separated_by_line_feeds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_SOURCE", "hf://org/repo")
    monkeypatch.setenv("LLMKUBE_INCLUDE", "a b*\n*.json\n")
    assert run("key").out.strip() == parse_source("hf://org/repo", include=("a b*", "*.json")).key


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h.example/m.gguf?X-Amz-Signature=SECRET&versionId=3", "https://h.example/m.gguf"),
        ("https://h.example/m.gguf?token=SECRET&id=7", "https://h.example/m.gguf?token=***&id=7"),
        ("https://h.example/m.gguf?download=true", "https://h.example/m.gguf?download=true"),
        ("hf://org/repo@v1/q4/m.gguf", "hf://org/repo@v1/q4/m.gguf"),
    ],
)
def test_a_source_is_shown_without_its_secrets(text: str, shown: str) -> None:
    assert parse_source(text).display == shown


def test_a_refused_source_is_not_repeated_with_its_password(run: Run) -> None:
    for text in ("https://me:SECRET@h.example/m.gguf", "ftp://me:SECRET@h.example/m.gguf", "me:SECRET@h.example"):
        done = run("key", text)
        assert done.code == 10
        assert "SECRET" not in done.err
