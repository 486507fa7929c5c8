"""Everything that can go wrong, as sentences: what happened, to which object, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import click

from llmkube_plugin.contract import exit_name
from llmkube_plugin.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


class PluginError(click.ClickException):
    """A failure that a person can do something about.

    `message` says what happened and to which object, `action` what to do; `exit_code` is the plugin's.
    """

    def __init__(self, message: str, action: str = "", *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.action = action
        self.exit_code = exit_code  # type: ignore[misc] # click declares one per class, a downloader has many

    def format_message(self) -> str:
        """Return the message, and the action on a line of its own."""
        return printable(f"{self.message}\n{self.action}" if self.action else self.message)


class ForbiddenError(PluginError):
    """The user's rights do not suffice for a request."""


class NotFoundError(PluginError):
    """The object of a request does not exist."""


class ExpiredError(PluginError):
    """A list or a watch points to a state that the API server no longer keeps; it has to start afresh."""


class UnreachableError(PluginError):
    """No answer came from the API server."""


@dataclass(frozen=True)
class Request:
    """What was asked of which API server, for the text of an error. `resource` is as in a Role: `pods`, `pods/log`."""

    server: str
    verb: str
    resource: str
    namespace: str | None
    name: str = ""

    @property
    def target(self) -> str:
        """What was asked for, in words."""
        return f"{self.resource} {self.name!r}" if self.name else self.resource

    @property
    def where(self) -> str:
        """The namespace in words."""
        return f"in namespace {self.namespace}" if self.namespace else "in all namespaces"

    @property
    def role(self) -> str:
        """The kind of object that would allow it."""
        return "Role" if self.namespace else "ClusterRole"


# HTTP status -> class, what happened, what to do. `{request}` is a Request, `{detail}` what the server says.
_ANSWERS: dict[int, tuple[type[PluginError], str, str]] = {
    401: (
        PluginError,
        "the API server {request.server} does not accept your credentials: {detail}",
        "Log in again, or choose another context with --kube-context.",
    ),
    403: (
        ForbiddenError,
        "you may not {request.verb} {request.target} {request.where}: {detail}",
        "Ask for a {request.role} with the verb {request.verb!r} on {request.resource}, or choose a namespace with -n.",
    ),
    404: (
        NotFoundError,
        "{request.target} does not exist {request.where}: {detail}",
        "Check the namespace (-n) and the context (--kube-context).",
    ),
    409: (
        PluginError,
        "could not {request.verb} {request.target} {request.where}, another change came first: {detail}",
        "Run the command again.",
    ),
    410: (ExpiredError, "the list of {request.target} {request.where} has expired: {detail}", "Run the command again."),
    422: (
        PluginError,
        "the API server refused to {request.verb} {request.target} {request.where}: {detail}",
        "Upgrade the release with a chart of the plugin's version, so that both agree.",
    ),
    429: (
        PluginError,
        "the API server {request.server} is too busy to {request.verb} {request.target}: {detail}",
        "Run the command again later.",
    ),
}
_OTHER_ANSWER = (
    PluginError,
    "the API server {request.server} could not {request.verb} {request.target} {request.where}: {detail}",
    "Run the command again; with --debug it shows where it failed.",
)


def refused(status: int, detail: str, request: Request) -> PluginError:
    """Return the error for an HTTP answer that is not a success; `detail` is what the API server said."""
    kind, message, action = _ANSWERS.get(status, _OTHER_ANSWER)
    text = detail or f"HTTP status {status}"
    return kind(message.format(request=request, detail=text), action.format(request=request))


def unreachable(cause: Exception, server: str) -> UnreachableError:
    """Return the error for a request that got no answer."""
    reason = _root_cause(cause)
    return UnreachableError(
        f"the API server {server} can not be reached: {reason}",
        "Name the authority of its certificate with --kube-ca-file, or the name in it with --kube-tls-server-name."
        if "CERTIFICATE_VERIFY_FAILED" in reason
        else "Check the network and the context (--kube-context); --dir PATH works on a directory without any cluster.",
    )


def _root_cause(error: BaseException) -> str:
    """Dig the reason out of urllib3's nested exceptions."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _root_cause(reason)
    return (reason if isinstance(reason, str) else str(error)) or type(error).__name__


class DownloaderError(PluginError):
    """llmkube-downloader failed. `told` is True when the user has seen its own message already."""

    told = False

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message unless that would repeat it."""
        if not self.told:
            super().show(file)


def downloader_failure(error: Mapping[str, Any], exit_code: int, doing: str, *, told: bool = False) -> DownloaderError:
    """Return the error for a downloader that ended with `exit_code`; `error` is its report's, empty without one."""
    name = error.get("name") or exit_name(exit_code)
    cause = error.get("cause") or f"it ended with exit code {exit_code} and left no report"
    failure = DownloaderError(f"{doing} failed ({name}): {cause}", str(error.get("action") or ""), exit_code=exit_code)
    failure.told = told
    return failure
