"""Credentials: read from mounted files or the environment, only when something is fetched.

Each is told to one origin (scheme, host and port) alone: the hub's token to the hub, all others to the origin that is
named beside them. So one directory of credentials can be there for many sources, and none is told what is for another.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.transfer.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkube_downloader.transfer.address import Address

DEFAULT_HUB = "https://huggingface.co"
_HUB, _BEARER, _USER, _PASSWORD, _ORIGIN = "HF_TOKEN", "BEARER_TOKEN", "USERNAME", "PASSWORD", "ORIGIN"


def hub_endpoint() -> str:
    """Return the address of the Hugging Face hub or of its mirror, without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_HUB).rstrip("/")


def authorizations() -> dict[tuple[str, str, int], str]:
    """Return what the header Authorization says to the origins that there are credentials for.

    Raises DownloaderError: AUTH, when what is there can not be read, is not whole, or can be no credentials. It never
    shows them.
    """
    found = {}
    if token := _hub_token():
        found[parse_address(hub_endpoint()).origin] = f"Bearer {token}"
    mounted = {name: text for name in (_BEARER, _USER, _PASSWORD) if (text := _mounted(name))}
    if mounted:
        found[_origin(mounted)] = _header(mounted)
    return found


def closed(address: Address, status: int, known: Mapping[tuple[str, str, int], str]) -> DownloaderError:
    """Return the DownloaderError that stands for an address that does not open.

    - known: what authorizations returned.
    """
    cause = f"{address.display} answered {status}"
    if address.origin in known:
        action = f"Check {_HUB} for the hub, and {_BEARER}, or {_USER} and {_PASSWORD}, for {address.origin_url}."
        return DownloaderError(ExitCode.AUTH, f"{cause}; the credentials that were sent do not open it", action)
    return DownloaderError(
        ExitCode.AUTH,
        f"{cause}; no credentials were sent, as none are for {address.origin_url}",
        f"Give {_BEARER}, or {_USER} and {_PASSWORD}, with {_ORIGIN}={address.origin_url}, in pods by the secret that "
        "existingSecret names; a signed address may have expired.",
    )


def _hub_token() -> str:
    """Return the hub's token: the mounted file HF_TOKEN, else the environment's, else the file HF_TOKEN_PATH names."""
    token = _mounted(_HUB)
    if token is None:
        token = os.environ.get("HF_TOKEN")
    if token is None and os.environ.get("HF_TOKEN_PATH"):
        token = _read(Path(os.environ["HF_TOKEN_PATH"]))
    return _token(token or "", _HUB)


def _header(mounted: Mapping[str, str]) -> str:
    if _BEARER in mounted:
        if len(mounted) > 1:
            raise _unusable(f"hold both {_BEARER} and {_USER} or {_PASSWORD}", "Leave one of the two kinds out.")
        return f"Bearer {_token(mounted[_BEARER], _BEARER)}"
    for name in (_USER, _PASSWORD):
        if name not in mounted:
            raise _unusable(f"hold no {name}", f"Give both {_USER} and {_PASSWORD}.")
    # A file that an editor wrote ends in a line feed; other white space may be meant.
    user, password = (mounted[name].rstrip("\r\n") for name in (_USER, _PASSWORD))
    if ":" in user or not (user + password).isprintable():
        raise _unusable(
            f"hold a {_USER} or {_PASSWORD} that can not be sent", f"Leave out line feeds, and colons in {_USER}."
        )
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _origin(mounted: Mapping[str, str]) -> tuple[str, str, int]:
    text = (_mounted(_ORIGIN) or "").strip()
    if not text:
        raise _unusable(
            f"hold {' and '.join(mounted)} but no {_ORIGIN}, so they are for nobody",
            f"Add {_ORIGIN}, such as https://models.example.com: the scheme, host and port that may be told them.",
        )
    try:
        address = parse_address(text)
    except DownloaderError:
        address = None
    if address is None or address.target != "/":
        raise _unusable(
            f"hold an {_ORIGIN} that is no origin",
            "Give scheme, host and port alone, such as https://models.example.com.",
        )
    return address.origin


def _token(text: str, name: str) -> str:
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise DownloaderError(
            ExitCode.AUTH,
            f"the value given as {name} is no token: it holds spaces, line feeds or special characters",
            "Put the token alone into the secret, as it was given to you.",
        )
    return token


def _unusable(what: str, action: str) -> DownloaderError:
    return DownloaderError(ExitCode.AUTH, f"the credentials in {os.environ['LLMKUBE_CREDENTIALS']} {what}", action)


def _mounted(name: str) -> str | None:
    directory = os.environ.get("LLMKUBE_CREDENTIALS")
    return _read(Path(directory, name)) if directory else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DownloaderError(
            ExitCode.AUTH, f"the credentials in {path} can not be read", "Check the secret and the mode of its mount."
        ) from error
