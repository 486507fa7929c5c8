"""Who may see what, and how the hub says no."""

from fakehub.exchange import Request, Response
from fakehub.repository import Repository

# Tokens of accounts begin with this; any other credential belongs to nobody.
_TOKEN_PREFIX = "hf_"


class RefusedError(Exception):
    """The hub answers with an error: a status, a code that clients tell errors apart by, and a message."""

    def __init__(self, status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def response(self) -> Response:
        """The answer that carries the error."""
        headers = {"X-Error-Message": str(self), **self.headers}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="Authentication required", charset="UTF-8"'
        return Response.json({"error": str(self)}, self.status, headers)


def authorize(repository: Repository | None, request: Request, *, for_files: bool) -> Repository:
    """Return the repository when the request may see it, and have its files where it asks for them.

    A token that is none is refused everywhere, even where none is needed. A private repository that one may not see is
    answered like one that does not exist: 401 without a token, 404 with one. The real hub sends no code with that 401:
    its client then goes by the address, but only by an https:// one, so here the code is always sent.
    """
    token = request.credentials
    if token is not None and not token.startswith(_TOKEN_PREFIX):
        raise RefusedError(401, None, "Invalid credentials in Authorization header")
    if repository is None or (repository.settings.private and not _owns(token, repository)):
        if token is None:
            raise RefusedError(401, "RepoNotFound", "Invalid username or password.")
        raise RefusedError(404, "RepoNotFound", "Repository not found")
    if for_files and repository.settings.gated and not _owns(token, repository):
        status, advice = (401, "Log in first.") if token is None else (403, "Ask its authors for access.")
        raise RefusedError(status, "GatedRepo", f"Access to model {repository.id} is restricted. {advice}")
    return repository


def _owns(token: str | None, repository: Repository) -> bool:
    return token is not None and token == repository.settings.token
