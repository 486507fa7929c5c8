"""The bytes: files of repositories from the hub or the CDN, and plain files."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fakehub.access import RefusedError
from fakehub.exchange import Request, Response
from fakehub.ranges import Served, serve
from fakehub.repository import RepoFile, Repositories, Repository, Snapshot


def resolve(
    request: Request, repository: Repository, snapshot: Snapshot, path: str, signer: "Signer", cdn_url: str
) -> Response:
    """Answer `/{repo}/resolve/{revision}/{path}`: a redirect to the CDN for LFS files, else the file."""
    headers = {"X-Repo-Commit": snapshot.commit}
    file = snapshot.files.get(path)
    if file is None:
        raise RefusedError(404, "EntryNotFound", "Entry not found", headers)
    if not file.lfs:
        headers["Content-Disposition"] = _disposition(file)
        return serve(request, Served(file.source, file.size, f'"{file.digests.blob_id}"', file.modified), headers)
    headers |= {
        "Accept-Ranges": "bytes",
        "X-Linked-Size": str(file.size),
        "X-Linked-Etag": f'"{file.digests.sha256}"',
        "Location": cdn_url + signer.sign(f"/repos/{repository.id}/{file.digests.sha256}", _disposition(file)),
        "Content-Type": "text/plain; charset=utf-8",
    }
    return Response(302, headers, b"Found")


def _disposition(file: RepoFile) -> str:
    name = file.path.rpartition("/")[2]
    return f"inline; filename*=UTF-8''{quote(name)}; filename=\"{quote(name)}\";"


class Signer:
    """Makes and checks the CDN's signed addresses, which hold for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._key = secrets.token_bytes(16)

    def sign(self, path: str, disposition: str) -> str:
        """The signed target of a path."""
        expires = str(int(time.time() + self.seconds))
        signature = self._signature(path, expires)
        query = {"response-content-disposition": disposition, "Expires": expires, "Signature": signature}
        return f"{path}?{urlencode(query | {'Key-Pair-Id': 'FAKEHUB'})}"

    def holds(self, request: Request) -> bool:
        """Whether a request's signature is ours, is for its path, and has not expired."""
        expires = request.parameter("Expires") or "0"
        expected = self._signature(request.path, expires)
        return hmac.compare_digest(expected, request.parameter("Signature") or "") and time.time() < int(expires)

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


class Cdn:
    """Serves LFS files by their SHA-256 to whoever has a signed address."""

    def __init__(self, repositories: Repositories, signer: Signer) -> None:
        self._repositories = repositories
        self._signer = signer

    def __call__(self, request: Request) -> Response:
        """Answer one request, with errors in XML as object stores give them."""
        if request.method not in ("GET", "HEAD"):
            return _xml_error(405, "MethodNotAllowed", "Only GET and HEAD are served.")
        if request.credentials is not None:
            return _xml_error(400, "InvalidArgument", "Only one auth mechanism allowed: signature or Authorization.")
        if not self._signer.holds(request):
            return _xml_error(403, "AccessDenied", "The signature is wrong or has expired.")
        file = self._find(request.segments)
        if file is None:
            return _xml_error(404, "NoSuchKey", "The specified key does not exist.")
        # Opaque on purpose: the CDN's validator says nothing about the content's digest.
        etag = hashlib.sha256(f"cdn {file.digests.sha256}".encode()).hexdigest()[:32]
        headers = {"Content-Disposition": request.parameter("response-content-disposition") or "inline"}
        return serve(request, Served(file.source, file.size, f'"{etag}"', file.modified), headers)

    def _find(self, segments: list[str]) -> RepoFile | None:
        _, org, name, sha256 = segments
        repository = self._repositories.find(f"{org}/{name}")
        snapshots = repository.snapshots() if repository else ()
        files = (file for snapshot in snapshots for file in snapshot.files.values())
        return next((file for file in files if file.lfs and file.digests.sha256 == sha256), None)


def _xml_error(status: int, code: str, message: str) -> Response:
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response.text(document, status, "application/xml")


class PlainFiles:
    """Serves `<root>/files/` below `/files/`.

    `<root>/files.json` may guard paths: a list of objects with `path` (the beginning, without `/files/`) and either
    `bearer` (a token) or `basic` (`user:password`); the first that fits counts.
    """

    def __init__(self, root: Path, repositories: Repositories) -> None:
        self._top = root / "files"
        self._guards = root / "files.json"
        self._repositories = repositories

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        relative = "/".join(request.segments[1:])
        path = self._top / relative
        if ".." in relative.split("/") or not path.is_file():
            return Response.text("Not Found\n", 404)
        refusal = self._refusal(relative, request)
        if refusal is not None:
            return refusal
        status = path.stat()
        etag = self._repositories.digests(path).sha256[:32]
        return serve(request, Served(path, status.st_size, f'"{etag}"', status.st_mtime), {})

    def _refusal(self, relative: str, request: Request) -> Response | None:
        guards: list[dict[str, Any]] = json.loads(self._guards.read_text()) if self._guards.exists() else []
        guard = next((guard for guard in guards if relative.startswith(guard["path"])), None)
        if guard is None:
            return None
        scheme, secret = ("Bearer", guard["bearer"]) if "bearer" in guard else ("Basic", _encoded(guard["basic"]))
        if request.headers.get("Authorization") == f"{scheme} {secret}":
            return None
        response = Response.text("Unauthorized\n", 401)
        response.headers["WWW-Authenticate"] = f'{scheme} realm="files"'
        return response


def _encoded(credentials: str) -> str:
    return base64.b64encode(credentials.encode()).decode()
