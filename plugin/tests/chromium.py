"""Drives headless Chromium over its debugging pipe: opens a page, says what it asked for and how it looks."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = "chromium"
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
_SPEAKS_OF_TROUBLE = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


class Browser:
    """A browser of its own, with an own profile. It reads commands from its descriptor 3 and answers on 4."""

    def __init__(self, profile: Path) -> None:
        program = shutil.which(_PROGRAM)
        assert program, f"{_PROGRAM} is not installed; `python -m preflight tests` installs it"
        commands, self._commands = _pipe()
        self._answers, answers = _pipe()
        line = [program, *_QUIET, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        shell = ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", *line]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(shell, pass_fds=(commands, answers), **streams)  # type: ignore[call-overload]
        os.close(commands)
        os.close(answers)
        self._rest = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        """End it; it has nothing to keep."""
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def do(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; what happens meanwhile becomes events."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == number:
                assert "error" not in heard, f"{method}: {heard['error']}"
                result: dict[str, Any] = heard["result"]
                return result
            self.events.append(heard)

    def wait_for(self, method: str) -> None:
        """Wait for an event that has not been heard yet."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._hear())

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._answers, 1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard

    def open(self, path: Path, *, width: int = 1280, scheme: str = "light", media: str = "screen") -> Page:
        """Return a page as it is shown `width` CSS pixels wide to somebody who likes light or dark."""
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
            self.do(f"{domain}.enable", session)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.do("Emulation.setDeviceMetricsOverride", session, **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.do("Emulation.setEmulatedMedia", session, media=media, features=features)
        self.events = []
        self.do("Page.navigate", session, url=path.as_uri())
        self.wait_for("Page.loadEventFired")
        return Page(self, session)


@dataclass
class Page:
    """A page that has been loaded."""

    browser: Browser
    session: str
    _events: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._events = self.browser.events

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        told = self.browser.do(
            "Runtime.evaluate", self.session, expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    @property
    def requests(self) -> list[str]:
        """The addresses of everything that the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self._events
            if event["method"] == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[str]:
        """What the browser wrote into its console."""
        return [json.dumps(event["params"]) for event in self._events if event["method"] in _SPEAKS_OF_TROUBLE]

    def roles(self) -> list[str]:
        """The roles of everything that assistive technology is told of."""
        nodes = self.browser.do("Accessibility.getFullAXTree", self.session)["nodes"]
        return [node["role"]["value"] for node in nodes if not node["ignored"]]

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.browser.do("Page.printToPDF", self.session, printBackground=False)["data"])

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        taken = self.browser.do("Page.captureScreenshot", self.session, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are not in the way of descriptors 3 and 4."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
