"""Places that a model is fetched from in the table of faults: they serve it well until something goes wrong."""

from __future__ import annotations

import base64
import json
import os
import stat
from typing import TYPE_CHECKING, Any, TypeAlias

from origin_server import Asked, Origin, Reply
from weights import gguf, sha256

from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from proxy_server import Proxy

    Answers: TypeAlias = Callable[[Asked, int], Reply | None]

MODEL = gguf(600_000)
OTHER = gguf(600_000, seed=1)
NAME = "tiny.gguf"
TOKEN = "hf_canaryOfTheToken"
PASSWORD = "canaryOfThePassword"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode("ascii")
# What the server that is asked may be told, by the kind of source.
AUTHORIZATIONS = {"https": f"Basic {BASIC}", "hf": f"Bearer {TOKEN}"}
# The one of the address that a user gives, and the one that its server redirects to.
SIGNATURES = ("canaryOfTheSource", "canaryOfTheRedirect")

_COMMIT = "c0ffee" + "0" * 34
_REPOSITORY = "acme/tiny"


class Place:
    """Where a model lies.

    - address: the source as a user gives it.
    - root: the cache that it is fetched into.
    - model: what it holds now.
    - trouble: patches that end when the place is mended.
    - names: what messages call things by, for the templates of the table.
    """

    def __init__(self, address: str, root: Path, trouble: pytest.MonkeyPatch) -> None:
        self.address = address
        self.model = MODEL
        self.root = root
        self.trouble = trouble
        self.key = parse_source(address).key
        self.names = {"name": NAME, "root": str(root), "key": self.key, "entry": str(root / self.key)}
        self._undo: list[Callable[[], object]] = []

    @property
    def requests(self) -> int:
        """How many requests it was asked, those to proxies included."""
        return 0

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the model it sent."""
        return 0

    def on_mending(self, action: Callable[[], object]) -> None:
        """Do something when the place is mended."""
        self._undo.append(action)

    def mend(self) -> None:
        """End what goes wrong."""
        self.trouble.undo()
        while self._undo:
            self._undo.pop()()

    def leaks(self) -> list[str]:
        """Return what was told to whom it does not belong."""
        return []

    def was_told(self) -> bool:
        """Return whether who the token belongs to was told it."""
        return True

    def close(self) -> None:
        """Stop serving."""
        self.mend()


class FilePlace(Place):
    """A file on a mounted file system."""

    def __init__(self, root: Path, trouble: pytest.MonkeyPatch) -> None:
        self.path = root.parent / "mounted" / NAME
        self.path.parent.mkdir()
        self.path.write_bytes(MODEL)
        super().__init__(f"file://{self.path}", root, trouble)
        self.names |= {"file": str(self.path), "asked": str(self.path)}

    def holds(self, body: bytes) -> None:
        """Have another content, until it is mended."""
        self.path.write_bytes(body)
        self.on_mending(lambda: self.path.write_bytes(MODEL))

    def is_source(self, descriptor: int) -> bool:
        """Return whether a file that is open is the source."""
        status = os.fstat(descriptor)
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, self.path.stat())


class WebPlace(Place):
    """A server that answers itself, or two: one that is asked, and one that it redirects to.

    - front, back: the two, or the one twice.
    - promised: what the hub says that it is.
    - tag: how the model is named, ``{}`` standing for what differs between contents; None for not at all.
    - proxies: those that are on the way.
    """

    def __init__(self, scheme: str, root: Path, trouble: pytest.MonkeyPatch) -> None:
        self.scheme = scheme
        self.front = Origin(tls=scheme != "http")
        self.back = self.front if scheme == "http" else Origin(tls=True)
        self.proxies: list[Proxy] = []
        self.promised = MODEL
        self.tag: str | None = '"{}"'
        self._origins = {self.front: 0, self.back: 0 if scheme == "http" else 1}
        self._answers: dict[str, Answers] = {}
        self._issued = 0
        self._path = f"/{_REPOSITORY}/resolve/{_COMMIT}/{NAME}" if scheme == "hf" else f"/dir/{NAME}"
        self._back_path = self._path if scheme == "http" else "/cdn/4f3a"
        self._serve()
        given = self.front.url(f"{self._path}?X-Amz-Signature={SIGNATURES[0]}")
        super().__init__(f"hf://{_REPOSITORY}/{NAME}" if scheme == "hf" else given, root, trouble)
        asked = self.front.url("") if scheme == "hf" else self.front.url(self._path)
        self.names |= {
            "asked": asked,
            "front": self.front.url(self._path),
            "back": self.back.url(self._back_path),
            "host": self.front.host,
        }

    @property
    def requests(self) -> int:
        """How many requests the servers and the proxies were asked."""
        return sum(len(origin.asked) for origin in self._origins) + sum(len(proxy.asked) for proxy in self.proxies)

    @property
    def bytes_sent(self) -> int:
        """How many bytes the server of the model sent."""
        return self.back.sent(self._back_path)

    def reply(self, body: bytes | None = None, **changes: Any) -> Reply:
        """Return a good answer with the model, but for some changes."""
        body = self.model if body is None else body
        tag = self.tag and self.tag.format(sha256(body)[:8])
        headers = {"ETag": tag, "Content-Type": "application/octet-stream"}
        return Reply(body, **{**changes, "headers": {**headers, **changes.get("headers", {})}})

    def holds(self, body: bytes) -> None:
        """Have another content, until it is mended."""
        self.model = self.promised = body

    def resolves(self, answers: Answers) -> None:
        """Answer who asks what there is, until it is mended; where a function returns None, the answer is good."""
        self._answers["api" if self.scheme == "hf" else "front"] = answers

    def redirects(self, answers: Answers) -> None:
        """Answer who asks for the model and is to be sent on, until it is mended."""
        self._answers["front"] = answers

    def sends(self, answers: Answers) -> None:
        """Answer who asks the last server for the model, until it is mended."""
        self._answers["back"] = answers

    def replace(self, which: str, **settings: Any) -> None:
        """Put another server on the port of one, until it is mended; without settings, none."""
        before: Origin = getattr(self, which)
        before.close()
        if settings:
            self._put(which, Origin(port=before.port, **settings))
        self.on_mending(lambda: self._put_back(which, before))

    def mend(self) -> None:
        """End what goes wrong."""
        self.model = self.promised = MODEL
        self.tag = '"{}"'
        self._answers.clear()
        super().mend()

    def leaks(self) -> list[str]:
        """Return the requests that held a secret, but for the token in its header to the hub's address."""
        # A plain request shows its whole address to a proxy; a tunnel shows the host.
        shown = f"={SIGNATURES[0]} " if self.scheme == "http" else ""
        heads = [str(head).replace(shown, " ") for proxy in self.proxies for head in proxy.heads]
        found = [head for head in heads if secrets_in(head)]
        for origin, role in self._origins.items():
            for asked in list(origin.asked):
                headers = {name.title(): value for name, value in asked.headers.items()}
                if role == 0 and headers.get("Authorization") == AUTHORIZATIONS.get(self.scheme):
                    headers.pop("Authorization", None)
                told = asked.path.replace(f"={SIGNATURES[role]}", "=") + json.dumps(headers)
                found += [f"{asked.method} {origin.url(told)}"] if secrets_in(told) else []
        return found

    def was_told(self) -> bool:
        """Return whether who the credentials are for was told them; there are none for a source without encryption."""
        return self.scheme == "http" or any("Authorization" in asked.headers for asked in self.front.asked)

    def close(self) -> None:
        """Stop serving."""
        super().close()
        for origin in self._origins:
            origin.close()
        for proxy in self.proxies:
            proxy.close()

    def _put_back(self, which: str, before: Origin) -> None:
        getattr(self, which).close()
        self._put(which, Origin(port=before.port, tls=before.scheme == "https"))

    def _put(self, which: str, origin: Origin) -> None:
        self._origins[origin] = 0 if which == "front" else 1
        setattr(self, which, origin)
        if self.scheme == "http":
            self.front = self.back = origin
        self._serve()

    def _serve(self) -> None:
        self.front.decide(
            f"/api/models/{_REPOSITORY}", lambda *asked: self._answer("api", *asked) or self._description()
        )
        self.back.decide(self._back_path, self._last_answer)
        if self.back is not self.front:
            self.front.decide(self._path, lambda *asked: self._answer("front", *asked) or self._redirect())

    def _last_answer(self, asked: Asked, number: int) -> Reply:
        """Answer what may be both the first and the last question; a HEAD is never about the bytes."""
        chosen = self._answer("front", asked, number) if self.scheme == "http" else None
        if chosen is None and asked.method == "GET":
            chosen = self._answer("back", asked, number)
        return chosen or self.reply()

    def _answer(self, about: str, asked: Asked, number: int) -> Reply | None:
        answers = self._answers.get(about)
        return answers(asked, number) if answers else None

    def _redirect(self) -> Reply:
        """Return where the bytes are, in a newly signed address."""
        self._issued += 1
        query = f"Signature={SIGNATURES[1]}&issued={self._issued}"
        headers = {"Location": self.back.url(f"{self._back_path}?{query}")}
        if self.scheme == "hf":
            headers |= {"X-Linked-Etag": f'"{sha256(self.promised)}"', "X-Linked-Size": str(len(self.promised))}
        return Reply(status=302, headers=headers)

    def _description(self) -> Reply:
        """Return what the hub says about the repository."""
        size = len(self.promised)
        lfs = {"sha256": sha256(self.promised), "size": size, "pointerSize": 1}
        siblings = [{"rfilename": NAME, "size": size, "lfs": lfs}]
        return Reply(json.dumps({"id": _REPOSITORY, "sha": _COMMIT, "siblings": siblings}).encode())


def place_of(source: str, root: Path, trouble: pytest.MonkeyPatch) -> Place:
    """Make the place that a source of the table stands for."""
    return FilePlace(root, trouble) if source == "file" else WebPlace(source, root, trouble)


def secrets_in(text: str) -> list[str]:
    """Return which of the canaries a text holds."""
    return [secret for secret in (TOKEN, PASSWORD, BASIC, *SIGNATURES) if secret in text]
