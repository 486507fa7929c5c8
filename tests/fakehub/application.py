"""The hub's routes."""

from pathlib import Path

from fakehub import api
from fakehub.access import RefusedError, authorize
from fakehub.exchange import Request, Response
from fakehub.repository import Repositories
from fakehub.storage import PlainFiles, Signer, resolve


class Hub:
    """Answers the hub's requests.

    `endpoint` and `cdn_url`, set once the addresses are known, are what redirects and links are made of; `page_size`
    bounds listings, `signer` signs addresses of the CDN.
    """

    def __init__(self, root: Path, repositories: Repositories, signer: Signer, page_size: int) -> None:
        self.endpoint = ""
        self.cdn_url = ""
        self.page_size = page_size
        self._repositories = repositories
        self._signer = signer
        self._files = PlainFiles(root, repositories)

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return self._route(request)
        except RefusedError as error:
            return error.response()
        except ValueError as error:  # a broken repo.json, or a query that makes no sense
            return Response.json({"error": str(error)}, 500)

    def _route(self, request: Request) -> Response:
        reading = "paths-info" not in request.segments[4:5]
        if request.method not in ({"GET", "HEAD"} if reading else {"POST"}):
            raise RefusedError(405, None, f"{request.method} is not allowed here")
        match request.segments:
            case ["files", *_]:
                return self._files(request)
            case ["api", "models", org, name, *rest]:
                return self._model(request, f"{org}/{name}", rest)
            case [org, name, "resolve", revision, *path] if path:
                repository = authorize(self._repositories.find(f"{org}/{name}"), request, for_files=True)
                snapshot = api.find_snapshot(repository, revision)
                return resolve(request, repository, snapshot, "/".join(path), self._signer, self.cdn_url)
        raise RefusedError(404, None, f"There is no {request.path} here")

    def _model(self, request: Request, repo_id: str, rest: list[str]) -> Response:
        found = self._repositories.find(repo_id)
        repository = authorize(found, request, for_files=rest == ["auth-check"])
        match rest:
            case []:
                return api.model_info(request, repository, "main")
            case ["revision", revision]:
                return api.model_info(request, repository, revision)
            case ["tree", revision, *path]:
                address = self.endpoint + request.raw_path
                return api.tree(request, repository, revision, "/".join(path), self.page_size, address)
            case ["paths-info", revision]:
                return api.paths_info(request, repository, revision)
            case ["refs"]:
                return api.refs(request, repository)
            case ["auth-check"]:
                return Response.json({})
        raise RefusedError(404, None, f"There is no {request.path} here")
