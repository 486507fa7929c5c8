"""Credentials: read from mounted files or the environment, only when something is fetched."""

from __future__ import annotations

import os
from pathlib import Path

from llmkube_downloader.errors import DownloaderError, ExitCode

DEFAULT_HUB = "https://huggingface.co"


def hub_endpoint() -> str:
    """Return the address of the Hugging Face hub or of its mirror, without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_HUB).rstrip("/")


def hub_token() -> str | None:
    """Return the hub's token: the mounted file HF_TOKEN, else the environment's, else the file HF_TOKEN_PATH names.

    Raises DownloaderError: AUTH, when what is there can not be read or is no token. It never shows it.
    """
    mounted = os.environ.get("LLMKUBE_CREDENTIALS")
    token = _read(Path(mounted, "HF_TOKEN")) if mounted else None
    if token is None:
        token = os.environ.get("HF_TOKEN")
    if token is None and os.environ.get("HF_TOKEN_PATH"):
        token = _read(Path(os.environ["HF_TOKEN_PATH"]))
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise DownloaderError(
            ExitCode.AUTH,
            "the value given as HF_TOKEN is no token: it holds spaces, line feeds or special characters",
            "Put the token alone into the secret, as it is shown in the hub's settings.",
        )
    return token or None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DownloaderError(
            ExitCode.AUTH, f"the credentials in {path} can not be read", "Check the secret and the mode of its mount."
        ) from error
