"""The parsed source of a model, its canonical spelling and its cache key: docs/cache-key.md in code.

A warm start computes a key first of all: mind what is imported here.
"""

from __future__ import annotations

from llmkube_downloader.light import sha256

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from llmkube_downloader.errors import DownloaderError

SCHEMES = ("https", "http", "hf", "ms", "s3", "gs", "az", "oci", "file", "pvc")
DEFAULT_REVISIONS = {"hf": "main", "ms": "master"}

_SIGNATURES = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
_SIGNATURE_PREFIXES = ("x-amz-", "x-goog-")
_SIGNATURE_PARAMETERS = frozenset(
    (
        *("awsaccesskeyid", "googleaccessid", "expires", "key-pair-id", "policy", "signature"),
        *("response-content-disposition", "response-content-type"),
        *("sv", "ss", "srt", "sp", "se", "st", "spr", "sip", "sr", "sig"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv"),
    )
)
_SECRET_PARAMETERS = ("token", "key", "secret", "password", "auth", "credential")


class Source:
    """Where a model comes from and which part of it is wanted. Nothing of it changes.

    - scheme: one of SCHEMES.
    - base: first line of the canonical source, credential-free.
    - location: what follows ``scheme://``; for ``hf`` and ``ms`` the repository ``org/name`` alone.
    - revision: the revision asked for, None for the source's default.
    - files, include, exclude: the selection, sorted, without repetition.
    - url: the URL to ask, signature included; empty for other schemes. Never show it.
    """

    def __init__(
        self,
        scheme: str,
        base: str,
        location: str,
        revision: str | None = None,
        files: tuple[str, ...] = (),
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        url: str = "",
    ) -> None:
        self.scheme = scheme
        self.base = base
        self.location = location
        self.revision = revision
        self.files = files
        self.include = include
        self.exclude = exclude
        self.url = url

    @property
    def canonical(self) -> str:
        """The canonical source: the base, then one line per selected thing."""
        lines = [self.base]
        lines += [f"file={path}" for path in self.files]
        lines += [f"include={pattern}" for pattern in self.include]
        lines += [f"exclude={pattern}" for pattern in self.exclude]
        return "\n".join(lines)

    @property
    def key(self) -> str:
        """The cache key: 16 hexadecimal digits."""
        return sha256(self.canonical.encode("utf-8"))[:16]

    @property
    def display(self) -> str:
        """The source as messages, manifests and reports show it: without anything that could be a secret."""
        if self.scheme in DEFAULT_REVISIONS and len(self.files) == 1 and not self.include:
            return f"{self.base}/{self.files[0]}"
        address, mark, query = self.base.partition("?")
        if not self.url or not mark:
            return self.base
        return address if is_signed(self.url) else address + mark + "&".join(map(_without_secret, query.split("&")))

    def at(self, revision: str) -> Source:
        """Return the source at another revision; what it shows of itself stays as it is."""
        return Source(self.scheme, self.base, self.location, revision, self.files, self.include, self.exclude, self.url)


def parse_source(
    text: str,
    *,
    revision: str | None = None,
    files: tuple[str, ...] = (),
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
) -> Source:
    """Parse a source with its selection, as users give them.

    An empty revision counts as none.

    Raises DownloaderError: USAGE, when docs/cache-key.md refuses the source or the selection.
    """
    _check_text("source", text)
    for kind, values in (("file", files), ("include pattern", include), ("exclude pattern", exclude)):
        for value in values:
            _check_text(kind, value)
    scheme, separator, location = text.partition("://")
    if not separator or scheme not in SCHEMES:
        # The text is not shown: what is no source may well hold a password.
        named = f"begins with {scheme}://, no scheme" if separator else "has no scheme"
        raise _usage(f"the source {named} that llmkube knows", f"Begin it with one of {_scheme_list()}.")
    base, url = text, ""
    if scheme in DEFAULT_REVISIONS:
        base, location, revision, path = _parse_hub(scheme, location, revision)
        files = (*files, path) if path else files
    elif revision:
        raise _usage(f"{scheme}:// sources have no revisions", "Leave the revision out, or name it in the address.")
    elif scheme in ("https", "http"):
        base, url = _parse_url(text)
    return Source(
        scheme, base, location, revision or None, _in_order(files), _in_order(include), _in_order(exclude), url
    )


def _parse_hub(scheme: str, location: str, beside: str | None) -> tuple[str, str, str | None, str | None]:
    """Return base, repository, revision (None for the default one) and path of a hub's source."""
    parts = _split_hub(location.rstrip("/"))
    if parts is None:
        raise _usage(
            f"{scheme}://{location} names no repository", f"Write {scheme}://<org>/<repo>[@<revision>][/<path>]."
        )
    repository, within, path = parts
    if beside:
        _check_text("revision", beside)
        if within not in (None, beside):
            raise _usage(f"the source says revision {within!r} and the flag {beside!r}", "Give the revision once.")
    revision = beside or within
    if revision == DEFAULT_REVISIONS[scheme]:
        revision = None
    base = f"{scheme}://{repository}" + (f"@{revision}" if revision else "")
    return base, repository, revision, path


def _split_hub(location: str) -> tuple[str, str | None, str | None] | None:
    """Split ``org/repo[@revision][/path]`` into repository, revision and path; None when it is something else.

    A revision ends at the next slash, but for the two that the hub itself makes, ``refs/pr/7`` and
    ``refs/convert/gguf``.
    """
    organisation, _, rest = location.partition("/")
    name = rest.partition("/")[0].partition("@")[0]
    if not organisation or "@" in organisation or not name:
        return None
    repository, rest = f"{organisation}/{name}", rest[len(name) :]
    if not rest.startswith("@"):
        return repository, None, rest[1:] or None
    parts = rest[1:].split("/")
    numbered = parts[:2] == ["refs", "pr"] and parts[2:] and parts[2].isascii() and parts[2].isdigit()
    converted = parts[:2] == ["refs", "convert"] and parts[2:] and parts[2]
    end = 3 if numbered or converted else 1
    revision = "/".join(parts[:end])
    return (repository, revision, "/".join(parts[end:]) or None) if revision else None


def _parse_url(text: str) -> tuple[str, str]:
    """Return the base (no fragment, no signature) and the URL to ask (no fragment) of a URL."""
    url = text.partition("#")[0]
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    if "@" in authority:
        raise _usage(
            "the source holds user information in front of its host",
            "Leave user and password out of the address; give credentials in a mounted secret.",
        )
    address, mark, query = url.partition("?")
    if not is_signed(url):
        return url, url
    kept = "&".join(part for part in query.split("&") if not _is_signature_parameter(_name(part)))
    return (address + mark + kept if kept else address), url


def is_signed(url: str) -> bool:
    """Return whether a URL holds a signature, which opens this address and no other one."""
    return any(_name(part) in _SIGNATURES for part in url.partition("?")[2].split("&"))


def _is_signature_parameter(name: str) -> bool:
    return name in _SIGNATURE_PARAMETERS or name.startswith(_SIGNATURE_PREFIXES)


def _name(parameter: str) -> str:
    return parameter.partition("=")[0].lower()


def _without_secret(parameter: str) -> str:
    name, mark, _ = parameter.partition("=")
    secret = any(word in name.casefold() for word in _SECRET_PARAMETERS)
    return f"{name}=***" if mark and secret else parameter


def _in_order(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _check_text(kind: str, value: str) -> None:
    if not value:
        raise _usage(f"the {kind} is empty", f"Give a {kind}.")
    if value != value.strip() or any(map(_is_control, value)):
        raise _usage(f"a {kind} holds white space at its ends or a control character", f"Correct the {kind}.")


def _is_control(character: str) -> bool:
    """Return whether a character is a control character or half of a surrogate pair: Cc and Cs of Unicode."""
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"


def _usage(cause: str, action: str) -> DownloaderError:
    from llmkube_downloader.errors import DownloaderError, ExitCode

    return DownloaderError(ExitCode.USAGE, cause, action)


def _scheme_list() -> str:
    return ", ".join(f"{scheme}://" for scheme in SCHEMES)
