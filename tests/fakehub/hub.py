"""The hub and its CDN: two listening servers over one directory."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from fakehub import api
from fakehub.application import Hub
from fakehub.control import Control
from fakehub.faults import FaultTable
from fakehub.record import RequestLog
from fakehub.repository import Repositories
from fakehub.server import Listener
from fakehub.storage import Cdn, Signer

if TYPE_CHECKING:
    from typing_extensions import Self

_LOCAL = ("127.0.0.1", 0)


class FakeHub:
    """A running hub. Use it as a context manager, or call `close`.

    `listen` and `cdn_listen` are (host, port), port 0 for any free one. `public_url` and `cdn_url` are how clients
    reach the two when that is not where they listen. `signature_seconds` is how long addresses of the CDN hold;
    `page_size` bounds listings, which are never longer than 1000 entries.

    `endpoint` is the hub's URL and `cdn_url` the CDN's; `requests` lists what was asked for, `faults` what goes wrong.
    """

    def __init__(
        self,
        root: Path,
        *,
        listen: tuple[str, int] = _LOCAL,
        cdn_listen: tuple[str, int] = _LOCAL,
        public_url: str | None = None,
        cdn_url: str | None = None,
        request_log: Path | None = None,
        signature_seconds: float = 3600,
        page_size: int = api.PAGE_SIZE,
    ) -> None:
        if not root.is_dir():
            raise ValueError(f"root {root} of the hub is no directory")
        self.requests = RequestLog(request_log)
        self.faults = FaultTable()
        repositories, signer = Repositories(root), Signer(signature_seconds)
        application = Hub(root, repositories, signer, page_size)
        control = Control(self.faults, self.requests)
        self._listeners = [
            Listener("hub", listen, application, self.faults, self.requests, control),
            Listener("cdn", cdn_listen, Cdn(repositories, signer), self.faults, self.requests),
        ]
        self.endpoint = application.endpoint = public_url or self._listeners[0].url
        self.cdn_url = application.cdn_url = cdn_url or self._listeners[1].url
        for listener in self._listeners:
            listener.start()

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving: break open connections, stalled ones included, and wait for them."""
        self.faults.close()
        for listener in self._listeners:
            listener.close()
