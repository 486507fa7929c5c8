"""Credentials for web servers: told to the origin that is named beside them, to nobody else, and shown to nobody."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from origin_server import Asked, Origin, Reply
from weights import gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from command_line import Run

MODEL = gguf()
TOKEN = "canaryOfTheToken"
PASSWORD = "canary: of the pässword"
BASIC = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode("ascii")

pytestmark = pytest.mark.usefixtures("waits")


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Mount a secret with some keys, in the place of the one that was there."""
    directory = tmp_path / "secret"
    directory.mkdir()
    monkeypatch.setenv("LLMKUBE_CREDENTIALS", str(directory))

    def write(**keys: str) -> None:
        for old in directory.iterdir():
            old.unlink()
        for name, text in keys.items():
            (directory / name).write_text(text)

    return write


@pytest.fixture
def other() -> Iterator[Origin]:
    """A second encrypted server, on another port."""
    server = Origin(tls=True)
    yield server
    server.close()


def guarded(origin: Origin, header: str, path: str = "/tiny.gguf") -> str:
    """Serve a model to those who say the right thing, and return its address."""

    def answer(asked: Asked, _: int) -> Reply:
        return Reply(MODEL) if asked.headers.get("Authorization") == header else Reply(b"no", status=401)

    return origin.decide(path, answer)


def told(origin: Origin) -> set[str | None]:
    """Return what the server was told in the header Authorization."""
    return {asked.headers.get("Authorization") for asked in origin.asked}


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"BEARER_TOKEN": f"{TOKEN}\n"}, f"Bearer {TOKEN}"),
        ({"USERNAME": "me", "PASSWORD": PASSWORD}, BASIC),
        ({"USERNAME": "me\n", "PASSWORD": f"{PASSWORD}\r\n"}, BASIC),
    ],
    ids=["bearer", "basic", "basic, from files with line feeds"],
)
def test_a_server_is_told_the_credentials_that_are_for_it(
    run: Run, root: Path, secure_origin: Origin, mount: Callable[..., None], keys: dict[str, str], header: str
) -> None:
    mount(**keys, ORIGIN=f"{secure_origin.url('')}/\n")
    done = run("fetch", guarded(secure_origin, header), "--root", root, "-o", "json")
    assert done.code == 0, done.err
    assert told(secure_origin) == {header}


def test_nobody_sees_credentials_in_what_is_said_or_kept(
    run: Run, root: Path, tmp_path: Path, secure_origin: Origin, mount: Callable[..., None]
) -> None:
    mount(USERNAME="me", PASSWORD=PASSWORD, ORIGIN=secure_origin.url(""))
    report = tmp_path / "report"
    done = run("fetch", guarded(secure_origin, BASIC), "--root", root, "--report", report, "-o", "json")
    refused = run("fetch", guarded(secure_origin, "other", "/other.gguf"), "--root", root, "-o", "json")
    kept = [path.read_bytes().decode("latin-1") for path in root.rglob("*") if path.is_file()]
    for text in (done.out, done.err, refused.out, refused.err, report.read_text(), *kept):
        assert "canary" not in text
        assert BASIC.removeprefix("Basic ") not in text


def test_a_redirect_tells_nobody_else(
    run: Run, root: Path, secure_origin: Origin, other: Origin, mount: Callable[..., None]
) -> None:
    mount(BEARER_TOKEN=TOKEN, ORIGIN=secure_origin.url(""))
    url = secure_origin.redirect("/tiny.gguf", other.serve("/blob", MODEL))
    assert run("fetch", url, "--root", root).code == 0
    assert told(secure_origin) == {f"Bearer {TOKEN}"}
    assert told(other) == {None}


def test_a_redirect_that_comes_back_tells_them_to_whom_they_are_for(
    run: Run, root: Path, secure_origin: Origin, other: Origin, mount: Callable[..., None]
) -> None:
    mount(BEARER_TOKEN=TOKEN, ORIGIN=secure_origin.url(""))
    url = other.redirect("/tiny.gguf", guarded(secure_origin, f"Bearer {TOKEN}"))
    assert run("fetch", url, "--root", root).code == 0
    assert told(other) == {None}


def test_another_port_or_scheme_is_another_origin(
    run: Run, root: Path, secure_origin: Origin, origin: Origin, mount: Callable[..., None]
) -> None:
    plain = f"http://localhost:{origin.port}"
    origin.serve("/tiny.gguf", MODEL)
    for wrong in ("https://localhost", f"http://localhost:{secure_origin.port}", f"https://localhost:{origin.port}"):
        mount(BEARER_TOKEN=TOKEN, ORIGIN=wrong)
        assert run("fetch", guarded(secure_origin, f"Bearer {TOKEN}"), "--root", root).code == 11
        assert run("fetch", f"{plain}/tiny.gguf", "--root", root / "plain", "--allow-http", "*").code == 0
    assert told(secure_origin) | told(origin) == {None}


def test_an_address_without_encryption_is_told_only_where_it_is_allowed_and_named(
    run: Run, root: Path, origin: Origin, mount: Callable[..., None]
) -> None:
    mount(BEARER_TOKEN=TOKEN, ORIGIN=origin.url(""))
    url = guarded(origin, f"Bearer {TOKEN}")
    assert run("fetch", url, "--root", root).code == 21
    assert origin.asked == []
    assert run("fetch", url, "--root", root, "--allow-http", origin.host).code == 0


def test_a_mirror_is_told_only_what_is_for_it(
    run: Run, root: Path, secure_origin: Origin, other: Origin, mount: Callable[..., None]
) -> None:
    mirror = guarded(other, BASIC, "/mirrored.gguf")
    mount(USERNAME="me", PASSWORD=PASSWORD, ORIGIN=other.url(""))
    assert run("fetch", secure_origin.url("/tiny.gguf"), "--mirror", mirror, "--root", root).code == 0
    assert secure_origin.asked == []
    mount(USERNAME="me", PASSWORD=PASSWORD, ORIGIN=secure_origin.url(""))
    url = guarded(secure_origin, BASIC, "/second.gguf")
    assert run("fetch", url, "--mirror", mirror, "--root", root).code == 0
    assert None in told(other)


def test_a_hub_is_told_its_token_beside_the_credentials_of_others(
    run: Run,
    root: Path,
    secure_origin: Origin,
    other: Origin,
    mount: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", other.url(""))
    mount(HF_TOKEN="hf_canary", BEARER_TOKEN=TOKEN, ORIGIN=secure_origin.url(""))
    assert run("fetch", guarded(secure_origin, f"Bearer {TOKEN}"), "--root", root).code == 0
    assert run("fetch", guarded(other, "Bearer hf_canary", "/other.gguf"), "--root", root).code == 0


def test_a_private_hub_may_want_a_password(
    run: Run, root: Path, secure_origin: Origin, mount: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", secure_origin.url(""))
    mount(USERNAME="me", PASSWORD=PASSWORD, ORIGIN=secure_origin.url(""))
    described = json.dumps({"id": "acme/tiny", "sha": "c0ffee", "siblings": [{"rfilename": "tiny.gguf"}]}).encode()

    def describe(asked: Asked, _: int) -> Reply:
        return Reply(described) if asked.headers.get("Authorization") == BASIC else Reply(status=401)

    secure_origin.decide("/api/models/acme/tiny", describe)
    guarded(secure_origin, BASIC, "/acme/tiny/resolve/c0ffee/tiny.gguf")
    assert run("fetch", "hf://acme/tiny/tiny.gguf", "--root", root).code == 0
    assert told(secure_origin) == {BASIC}


def test_a_repair_uses_the_credentials(run: Run, root: Path, secure_origin: Origin, mount: Callable[..., None]) -> None:
    mount(BEARER_TOKEN=TOKEN, ORIGIN=secure_origin.url(""))
    url = guarded(secure_origin, f"Bearer {TOKEN}")
    entry = run("fetch", url, "--root", root, "-o", "json").json["entry"]
    model = root / entry.rpartition("/")[2] / "model.gguf"
    model.write_bytes(bytes(1000) + MODEL[1000:])
    assert run("verify", "--root", root, "--repair").code == 0
    assert model.read_bytes() == MODEL


def test_a_warm_start_reads_no_credentials(
    run: Run, root: Path, secure_origin: Origin, mount: Callable[..., None]
) -> None:
    mount(BEARER_TOKEN=TOKEN, ORIGIN=secure_origin.url(""))
    url = guarded(secure_origin, f"Bearer {TOKEN}")
    assert run("fetch", url, "--root", root).code == 0
    mount(BEARER_TOKEN=TOKEN)
    assert run("fetch", url, "--root", root).code == 0


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_refused_without_credentials_learns_what_to_give(
    run: Run, root: Path, secure_origin: Origin, status: int
) -> None:
    done = run("fetch", secure_origin.serve("/tiny.gguf", Reply(b"no", status=status)), "--root", root)
    assert done.code == 11
    assert f"answered {status}; no credentials were sent" in done.err
    assert f"Give BEARER_TOKEN, or USERNAME and PASSWORD, with ORIGIN={secure_origin.url('')}" in done.err


def test_who_is_refused_with_credentials_learns_which_to_check(
    run: Run, root: Path, secure_origin: Origin, mount: Callable[..., None]
) -> None:
    mount(BEARER_TOKEN="wrong", ORIGIN=secure_origin.url(""))
    done = run("fetch", guarded(secure_origin, f"Bearer {TOKEN}"), "--root", root)
    assert done.code == 11
    assert "the credentials that were sent do not open it" in done.err
    assert f"BEARER_TOKEN, or USERNAME and PASSWORD, for {secure_origin.url('')}" in done.err


ORIGIN = {"ORIGIN": "https://models.example.com"}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"BEARER_TOKEN": TOKEN}, "hold BEARER_TOKEN but no ORIGIN, so they are for nobody"),
        ({"USERNAME": "me", "PASSWORD": TOKEN}, "hold USERNAME and PASSWORD but no ORIGIN"),
        ({"BEARER_TOKEN": TOKEN, "ORIGIN": "models.example.com"}, "hold an ORIGIN that is no origin"),
        ({"BEARER_TOKEN": TOKEN, "ORIGIN": "https://models.example.com/team"}, "hold an ORIGIN that is no origin"),
        ({"BEARER_TOKEN": TOKEN, "ORIGIN": f"https://{TOKEN}@x"}, "hold an ORIGIN that is no origin"),
        ({"USERNAME": "me", **ORIGIN}, "hold no PASSWORD"),
        ({"PASSWORD": TOKEN, **ORIGIN}, "hold no USERNAME"),
        ({"BEARER_TOKEN": TOKEN, "USERNAME": "me", **ORIGIN}, "hold both BEARER_TOKEN and USERNAME or PASSWORD"),
        ({"BEARER_TOKEN": f"{TOKEN} {TOKEN}", **ORIGIN}, "the value given as BEARER_TOKEN is no token"),
        ({"USERNAME": "me:you", "PASSWORD": TOKEN, **ORIGIN}, "that can not be sent"),
        ({"USERNAME": "me", "PASSWORD": f"{TOKEN}\n{TOKEN}", **ORIGIN}, "that can not be sent"),
    ],
)
def test_credentials_that_can_be_none_are_refused_unseen_before_anybody_is_asked(
    run: Run, root: Path, secure_origin: Origin, mount: Callable[..., None], keys: dict[str, str], says: str
) -> None:
    mount(**keys)
    done = run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root)
    assert done.code == 11
    assert says in done.err
    assert TOKEN not in done.err
    assert secure_origin.asked == []


def test_an_origin_alone_is_for_nothing_and_does_no_harm(
    run: Run, root: Path, secure_origin: Origin, mount: Callable[..., None]
) -> None:
    mount(ORIGIN=secure_origin.url(""))
    assert run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root).code == 0
    assert told(secure_origin) == {None}
