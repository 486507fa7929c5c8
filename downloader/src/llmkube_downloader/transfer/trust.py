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
    context = ssl.create_default_context()
    # OpenSSL looks at the file that is given instead of this one, which on some systems is all there is.
    system = Path(ssl.get_default_verify_paths().openssl_cafile)
    if system.is_file():
        context.load_verify_locations(system)
    if private:
        try:
            context.load_verify_locations(private)
        except OSError as error:
            raise DownloaderError(
                ExitCode.TLS,
                f"SSL_CERT_FILE names {private}, from which no certificates can be read ({error.strerror or error})",
                "Mount the certificates of the private authority there, as PEM, or unset SSL_CERT_FILE.",
            ) from error
    return context
