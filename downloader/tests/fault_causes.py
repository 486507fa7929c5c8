"""How faults are made to happen at a place: what its servers answer, what its path is like."""

from __future__ import annotations

import re
import socket
import threading
from typing import TYPE_CHECKING, Any

from fault_places import MODEL, OTHER, WebPlace
from fault_table import OFFSETS
from origin_server import CERTIFICATES, Asked, Reply
from proxy_server import Proxy

from llmkube_downloader.transfer import address, connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Arrange: TypeAlias = Callable[[WebPlace, str], None]

HERE = object()  # in what is sent: the byte of the phase


def sends(most: int | None = None, /, **changes: Any) -> Arrange:
    """Send the model with changes; ``most`` is how many answers the faults at a byte hit."""

    def arrange(place: WebPlace, phase: str) -> None:
        here: dict[str, Any] = {name: OFFSETS[phase] if value is HERE else value for name, value in changes.items()}
        reply = place.reply(**here, times=most)
        place.sends(lambda *_: reply)

    return arrange


def breaks(every: int) -> Arrange:
    """Close the connection of every answer at the next multiple of some bytes."""

    def choose(place: WebPlace, asked: Asked, _: int) -> Reply:
        return place.reply(cut_at=(_asked_range(asked)[0] // every + 1) * every)

    return decides(choose)


def tagged(tag: str | None, most: int | None = None, /, **changes: Any) -> Arrange:
    """Send the model with changes, and name it in another way, or not at all."""

    def arrange(place: WebPlace, phase: str) -> None:
        place.tag = tag
        sends(most, **changes)(place, phase)

    return arrange


def answers(where: str, most: int | None = None, /, **reply: Any) -> Arrange:
    """Answer something else to who ``resolves``, ``redirects`` or ``sends``: always, or to the first so many."""

    def arrange(place: WebPlace, _: str) -> None:
        given: list[Asked] = []

        def answer(asked: Asked, _: int) -> Reply | None:
            given.append(asked)
            return Reply(**reply) if most is None or len(given) <= most else None

        getattr(place, where)(answer)

    return arrange


def decides(choose: Callable[[WebPlace, Asked, int], Reply | None]) -> Arrange:
    """Choose the answer to each request for the model, of which the first has the number 1."""

    def arrange(place: WebPlace, _: str) -> None:
        place.sends(lambda asked, number: choose(place, asked, number))

    return arrange


def replaces(which: str, **settings: Any) -> Arrange:
    """Put another server in the place of ``front`` or ``back``, or none."""
    return lambda place, _: place.replace(which, **settings)


def trusts(certificate: str, arrange: Arrange | None = None) -> Arrange:
    """Take certificates for those of the authorities that are trusted."""

    def arrange_trust(place: WebPlace, phase: str) -> None:
        place.trouble.setenv("SSL_CERT_FILE", str(CERTIFICATES / certificate))
        if arrange:
            arrange(place, phase)

    return arrange_trust


def behind_proxy(status: int = 0, *, there: bool = True) -> Arrange:
    """Have a proxy on the way, which answers everything with a status where one is given."""

    def arrange(place: WebPlace, _: str) -> None:
        proxy = Proxy(status=status)
        place.proxies.append(proxy)
        place.names["proxy"] = proxy.address
        place.trouble.setenv(f"{place.front.scheme.upper()}_PROXY", f"http://{proxy.address}")
        if not there:
            proxy.close()

    return arrange


def unresolvable(most: int | None = None) -> Arrange:
    """Have a name that nobody knows, or that the first so many who ask are not told."""

    def arrange(place: WebPlace, _: str) -> None:
        asked: list[object] = []
        known = socket.getaddrinfo

        def resolve(*arguments: Any, **settings: Any) -> Any:
            asked.append(arguments)
            if most is None or len(asked) <= most:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return known(*arguments, **settings)

        place.trouble.setattr(socket, "getaddrinfo", resolve)

    return arrange


def dead_first(place: WebPlace, _: str) -> None:
    """Give the name an address more, where nobody answers."""
    known = socket.getaddrinfo

    def resolve(*arguments: Any, **settings: Any) -> Any:
        found = known(*arguments, **settings)
        return [(*found[0][:4], ("127.0.0.9", found[0][4][1])), *found]

    place.trouble.setattr(socket, "getaddrinfo", resolve)


def mute(place: WebPlace, _: str) -> None:
    """Accept connections, and never say a word."""
    place.replace("front")
    listener = socket.create_server(("127.0.0.1", place.front.port))
    place.on_mending(listener.close)


def leads_to(target: str, where: str = "redirects") -> Arrange:
    """Redirect to another address: ``{self}`` is the same one, ``{scheme}`` that of the source."""

    def arrange(place: WebPlace, _: str) -> None:
        # The loopback stands for the public internet, which tests can not have.
        for module in (connection, address):
            place.trouble.setattr(module, "is_public", lambda ip: ip in ("127.0.0.1", "::1"))
        place.trouble.setenv("LLMKUBE_ALLOW_HTTP", "*")
        location = target.format(scheme=place.front.scheme, self=place.names["front"])
        getattr(place, where)(lambda *_: Reply(status=302, headers={"Location": location}))

    return arrange


def expires(status: int, after: int) -> Arrange:
    """Let each signed address serve so many requests."""

    def choose(place: WebPlace, asked: Asked, _: int) -> Reply | None:
        used = sum(other.path == asked.path for other in place.back.asked)
        return Reply(b"<Error/>", status=status) if used > after else None

    return decides(choose)


def expires_meanwhile(place: WebPlace, _: str) -> None:
    """Let the first signed address end in the middle of the model, and its connection with it."""
    first: list[str] = []

    def choose(asked: Asked, _: int) -> Reply | None:
        first.append(asked.path)
        if asked.path != first[0]:
            return None
        ended = place.bytes_sent >= len(MODEL) // 2
        return Reply(b"<Error/>", status=403) if ended else place.reply(cut_at=len(MODEL) // 2)

    place.sends(choose)


def replaced(when: Callable[[int], bool]) -> Arrange:
    """Replace the content before some requests are answered."""

    def choose(place: WebPlace, _: Asked, number: int) -> None:
        if when(number):
            place.model = OTHER if place.model is MODEL else MODEL

    return decides(choose)


def ranges(change: Callable[[int, int], tuple[int, int]]) -> Arrange:
    """Send other ranges than were asked for: from and to before the bytes that a function names."""

    def choose(place: WebPlace, asked: Asked, _: int) -> Reply:
        first, last = _asked_range(asked)
        start, end = change(first, last + 1)
        headers = {**place.reply().headers, "Content-Range": f"bytes {start}-{end - 1}/{len(MODEL)}"}
        return Reply(MODEL[start:end], status=206, ranges=False, headers=headers)

    return decides(choose)


def silent_while_gone(place: WebPlace, _: str) -> None:
    """Leave one connection without a word, and say on the other one that there is no such file."""
    fallen_silent = threading.Event()
    headers = {**place.reply().headers, "Connection": "close"}
    gone = Reply(raw=b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", stall_at=0, go_on=fallen_silent)
    silent: list[Reply] = []

    def choose(asked: Asked, _: int) -> Reply | None:
        first, _ = _asked_range(asked)
        if not first or silent:
            return gone if first else None
        silent.append(Reply(MODEL, headers=headers, stall_at=first, stalled=fallen_silent))
        return silent[0]

    place.sends(choose)


def _asked_range(asked: Asked) -> tuple[int, int]:
    first, last = re.findall("[0-9]+", asked.range or "bytes=0-0")
    return int(first), int(last)


def overlong(place: WebPlace, _: str) -> None:
    """Send more than the length that is announced, and keep the connection."""
    headers = {**place.reply().headers, "Content-Length": str(len(MODEL))}
    reply = place.reply(MODEL + bytes(1000), ranges=False, headers=headers)
    place.sends(lambda *_: reply)


def of_size(size: int) -> Arrange:
    """Send a content of another size than was announced, under the same name."""

    def arrange(place: WebPlace, _: str) -> None:
        reply = place.reply((MODEL + bytes(1000))[:size], headers=place.reply().headers)
        place.sends(lambda *_: reply)

    return arrange


def flipped(place: WebPlace, phase: str) -> None:
    """Send one wrong bit."""
    at = OFFSETS[phase]
    wrong = MODEL[:at] + bytes([MODEL[at] ^ 1]) + MODEL[at + 1 :]
    reply = place.reply(wrong, headers=place.reply().headers)
    place.sends(lambda *_: reply)
