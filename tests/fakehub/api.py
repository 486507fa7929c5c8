"""The hub's JSON API: what a repository is and what it holds."""

import datetime as dt
import hashlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlencode

from fakehub.access import RefusedError
from fakehub.exchange import Request, Response
from fakehub.repository import RepoFile, Repository, Snapshot

PAGE_SIZE = 1000
_EXPANDED_PAGE_SIZE = 50


def find_snapshot(repository: Repository, revision: str) -> Snapshot:
    """The snapshot of a revision; RevisionNotFound when there is none."""
    snapshot = repository.snapshot(revision)
    if snapshot is None:
        raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return snapshot


def model_info(request: Request, repository: Repository, revision: str) -> Response:
    """Answer `/api/models/{repo}` and `/api/models/{repo}/revision/{revision}`."""
    snapshot = find_snapshot(repository, revision)
    info = {
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.id.partition("/")[0],
        "sha": snapshot.commit,
        "lastModified": _date(snapshot.modified),
        "private": repository.settings.private,
        "gated": repository.settings.gated or False,
        "disabled": False,
        "tags": [],
        "usedStorage": sum(file.size for file in snapshot.files.values()),
        "siblings": [_sibling(file, blobs=request.flag("blobs")) for _, file in sorted(snapshot.files.items())],
    }
    expand = {value for key, value in request.query if key in ("expand", "expand[]")}
    return Response.json({key: value for key, value in info.items() if not expand or key in expand | {"id"}})


def tree(
    request: Request, repository: Repository, revision: str, folder: str, page_size: int, address: str
) -> Response:
    """Answer `/api/models/{repo}/tree/{revision}[/{folder}]`, one page at a time.

    `address` is the request's own absolute URL without the query; the Link header names the next page with it.
    """
    snapshot = find_snapshot(repository, revision)
    if folder and folder not in snapshot.folders():
        raise RefusedError(404, "EntryNotFound", f'"{folder}" does not exist on "{revision}"')
    expand, recursive = request.flag("expand"), request.flag("recursive")
    paths = sorted(
        path for path in snapshot.folders() | snapshot.files.keys() if _below(path, folder, recursive=recursive)
    )
    size = min(page_size, _EXPANDED_PAGE_SIZE if expand else PAGE_SIZE)
    first = int(request.parameter("cursor") or 0)
    headers = {"X-Repo-Commit": snapshot.commit}
    if first + size < len(paths):
        query = [(key, value) for key, value in request.query if key != "cursor"] + [("cursor", str(first + size))]
        headers["Link"] = f'<{address}?{urlencode(query)}>; rel="next"'
    return Response.json(_entries(snapshot, paths[first : first + size], expand=expand), headers=headers)


def paths_info(request: Request, repository: Repository, revision: str) -> Response:
    """Answer the POST `/api/models/{repo}/paths-info/{revision}`; paths that do not exist are left out."""
    snapshot = find_snapshot(repository, revision)
    form = parse_qs(request.body.decode())
    known = snapshot.folders() | snapshot.files.keys()
    paths = [path for path in form.get("paths", []) if path in known]
    return Response.json(_entries(snapshot, paths, expand=form.get("expand") == ["true"]))


def refs(request: Request, repository: Repository) -> Response:
    """Answer `/api/models/{repo}/refs`."""
    kinds: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": []}
    if request.flag("include_prs"):
        kinds["pullRequests"] = []
    for name, directory in repository.branches().items():
        kind, ref = ("pullRequests", name) if name.startswith("refs/pr/") else ("branches", f"refs/heads/{name}")
        if kind in kinds:
            kinds[kind].append(_ref(repository, name, ref, directory))
    kinds["tags"] = [_ref(repository, name, f"refs/tags/{name}", at) for name, at in repository.settings.tags.items()]
    return Response.json(kinds)


def _ref(repository: Repository, name: str, ref: str, directory: str) -> dict[str, str]:
    return {"name": name, "ref": ref, "targetCommit": repository.read(directory).commit}


def _below(path: str, folder: str, *, recursive: bool) -> bool:
    rest = path.removeprefix(f"{folder}/") if folder else path
    return (not folder or rest != path) and (recursive or "/" not in rest)


def _entries(snapshot: Snapshot, paths: Iterable[str], *, expand: bool) -> list[dict[str, Any]]:
    entries = []
    for path in paths:
        file = snapshot.files.get(path)
        entry = _folder_entry(snapshot, path) if file is None else _file_entry(file)
        if expand:
            entry["lastCommit"] = {"id": snapshot.commit, "title": "Add files", "date": _date(snapshot.modified)}
        if expand and file is not None:
            entry["securityFileStatus"] = {"status": "unscanned", "avScan": None, "pickleImportScan": None}
        entries.append(entry)
    return entries


def _folder_entry(snapshot: Snapshot, path: str) -> dict[str, Any]:
    oid = hashlib.sha1(f"{snapshot.commit} {path}".encode(), usedforsecurity=False).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def _file_entry(file: RepoFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.digests.blob_id, "size": file.size, "path": file.path}
    if file.lfs:
        entry["lfs"] = {"oid": file.digests.sha256, "size": file.size, "pointerSize": file.digests.pointer_size}
    return entry


def _sibling(file: RepoFile, *, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        sibling |= {"blobId": file.digests.blob_id, "size": file.size}
    if blobs and file.lfs:
        digests = file.digests
        sibling["lfs"] = {"sha256": digests.sha256, "size": file.size, "pointerSize": digests.pointer_size}
    return sibling


def _date(timestamp: float) -> str:
    moment = dt.datetime.fromtimestamp(timestamp, dt.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
