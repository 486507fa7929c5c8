"""Which authorities may say that a server is who it claims to be."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

from llmkube_downloader.errors import DownloaderError, ExitCode


def trusted() -> ssl.SSLContext:
    """Return the context for encrypted connections: it trusts the system's authorities and those of SSL_CERT_FILE.

    Raises DownloaderError: TLS, when that file can not be read or holds no certificates.
    """
    return _context(os.environ.get("SSL_CERT_FILE", ""))


@lru_cache(maxsize=1)
def _context(private: str) -> ssl.SSLContext:
    if not private:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=private)
    except OSError as error:
        raise DownloaderError(
            ExitCode.TLS,
            f"SSL_CERT_FILE names {private}, from which no certificates can be read ({error.strerror or error})",
            "Mount the certificates of the private authority there, as PEM, or unset SSL_CERT_FILE.",
        ) from error
    # OpenSSL looks at the file that is given instead of the system's. Each takes tens of milliseconds to read.
    paths = ssl.get_default_verify_paths()
    system = Path(paths.openssl_cafile)
    if system.is_file() and not system.samefile(private):
        context.load_verify_locations(system)
    if paths.capath:
        context.load_verify_locations(capath=paths.capath)
    return context
