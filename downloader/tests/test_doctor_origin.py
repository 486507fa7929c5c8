"""The doctor asks an origin: whether a source can be had from here, with these credentials, and fits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from examining import findings
from weights import gguf

from fakehub import FakeHub, write_repository
from llmkube_downloader.doctor import origin
from llmkube_downloader.store.volume import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from command_line import Done, Run

pytestmark = pytest.mark.usefixtures("waits")
SOURCE = "hf://acme/tiny/tiny.gguf"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with acme/tiny, and acme/gated behind a token, which HF_ENDPOINT names."""
    write_repository(tmp_path / "hub", "acme/tiny", {"tiny.gguf": gguf(500_000)})
    write_repository(tmp_path / "hub", "acme/gated", {"tiny.gguf": gguf(500_000)}, gated="manual", token="hf_right")
    with FakeHub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def about(run: Run, root: Path, hub: FakeHub) -> Callable[..., Done]:
    """Ask the doctor about a source."""
    root.mkdir()

    def asked(*arguments: str) -> Done:
        return run("doctor", "--root", root, "-o", "json", *arguments)

    return asked


def test_a_source_that_can_be_had_says_how_large_it_is(about: Callable[..., Done], root: Path) -> None:
    done = about(SOURCE)

    assert done.code == 0
    assert findings(done, "ok")["origin"]["what"].startswith("can be had: 1 file, 48")
    assert findings(done, "ok")["origin"]["object"] == "hf://acme/tiny"
    assert list(root.iterdir()) == []


def test_files_that_are_not_handed_out_are_a_problem_though_everybody_sees_their_list(
    about: Callable[..., Done],
) -> None:
    done = about("hf://acme/gated")

    assert done.code == 11
    assert "is gated" in findings(done, "problem")["origin"]["what"]


def test_a_token_opens_a_gated_source(about: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_right")

    assert about("hf://acme/gated").code == 0


@pytest.mark.parametrize(("selection", "code"), [(["--file", "tiny.gguf"], 0), (["--file", "other.gguf"], 12)])
def test_the_selection_counts(about: Callable[..., Done], selection: list[str], code: int) -> None:
    assert about("hf://acme/tiny", *selection).code == code


def test_an_origin_that_is_not_there_is_a_problem(about: Callable[..., Done], hub: FakeHub) -> None:
    hub.__exit__(None, None, None)

    done = about(SOURCE)

    assert done.code == 16
    assert findings(done, "problem").keys() == {"origin"}


def test_an_origin_without_encryption_has_to_be_allowed(about: Callable[..., Done]) -> None:
    assert about("http://models.example.com/tiny.gguf").code == 21


def test_what_does_not_fit_is_a_problem(about: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "usage", lambda _: Usage(1000, 1000))

    done = about(SOURCE)

    assert done.code == 14
    assert findings(done, "problem")["room"]["what"].endswith("and 1000 B are free")


def test_the_origin_of_what_is_there_is_not_asked(
    about: Callable[..., Done], run: Run, root: Path, hub: FakeHub
) -> None:
    run("fetch", SOURCE, "--root", root)
    hub.requests.clear()

    done = about(SOURCE)

    assert json.loads(done.out)["findings"][-1]["what"] == "is on the volume already: the origin is not asked"
    assert list(hub.requests) == []
