"""From a context of kubeconfig, or the pod that the plugin runs in, to how the API server is reached.

Fixed credentials are read here. Those that a program or a provider gives, and that change, are the Kubernetes client's
business, which is imported for them alone: it takes longer than all else that a `cache list` does before it asks.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from llmkube_plugin.errors import PluginError
from llmkube_plugin.transport import Pem, Server, environment_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkube_plugin.kubeconfig import Kubeconfig, Section

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CHANGING = ("exec", "auth-provider")


def of_context(kubeconfig: Kubeconfig, name: str, *, token: bool = False) -> Server:
    """Return how the server of a context is reached; with `token` the user has one already, and needs no other."""
    context = kubeconfig.contexts[name]
    user = {} if token else kubeconfig.users.get(context.get("user", ""), {})
    if any(each in user for each in _CHANGING):
        return _changing(kubeconfig, name, user)
    try:
        return fixed(_cluster(kubeconfig, context), user)
    except (OSError, ValueError) as error:
        raise _unusable(name, kubeconfig.path, error) from error


def _cluster(kubeconfig: Kubeconfig, context: Section) -> Section:
    name = context.get("cluster")
    if not name or name not in kubeconfig.clusters:
        raise ValueError(f"there is no cluster {name!r}" if name else "it names no cluster")
    return kubeconfig.clusters[name]


def _unusable(name: str, path: str, error: Exception) -> PluginError:
    return PluginError(
        f"the context {name!r} of {path} is unusable: {error}", "Correct that file, or choose another context."
    )


def fixed(cluster: Section, user: Section) -> Server:
    """Return how a server is reached by a user whose credentials kubeconfig or files hold.

    Raises ValueError or OSError, each with the reason, when something is not as it should be.
    """
    host = str(cluster.get("server") or "").rstrip("/")
    secured = host.startswith("https")
    return Server(
        host,
        authority=_pem(cluster, "certificate-authority") if secured else None,
        certificate=_pem(user, "client-certificate") if secured else None,
        key=_pem(user, "client-key") if secured else None,
        verified=not cluster.get("insecure-skip-tls-verify"),
        name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        authorization=_authorization(user),
    )


def _pem(section: Section, name: str) -> Pem | None:
    """Return what a section holds under a name, or the file that it names there; the first counts."""
    if f"{name}-data" in section:
        try:
            # Comments between certificates are of no concern, and OpenSSL takes nothing but ASCII.
            return base64.b64decode(section[f"{name}-data"] or "").decode("ascii", "ignore") or None
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}-data is no base64: {error}") from error
    if not section.get(name):
        return None
    if not Path(section[name]).is_file():
        raise FileNotFoundError(f"File does not exist: {section[name]}")
    return Path(section[name])


def _authorization(user: Section) -> Callable[[], str | None]:
    """Return what gives the header with which a user says who that is; the first of several ways counts."""
    if "token" not in user and user.get("tokenFile"):
        return TokenFile(Path(user["tokenFile"]))
    header = None
    if user.get("token"):
        header = f"Bearer {user['token']}"
    elif "username" in user and "password" in user:
        header = urllib3.util.make_headers(basic_auth=f"{user['username']}:{user['password']}")["authorization"]
    return lambda: header


class TokenFile:
    """A token in a file, which others write anew before it expires: it is read again after some seconds."""

    def __init__(self, path: Path, seconds: float = 60) -> None:
        self._path = path
        self._seconds = seconds
        self._header = self._read()

    def _read(self) -> str | None:
        self._until = time.monotonic() + self._seconds
        token = self._path.read_text(encoding="utf-8").strip()
        return f"Bearer {token}" if token else None

    def __call__(self) -> str | None:
        """Return the header with the token."""
        if time.monotonic() >= self._until:
            self._header = self._read()
        return self._header


def _changing(kubeconfig: Kubeconfig, name: str, user: Section) -> Server:
    """Return how the server of a context is reached by a user whose credentials a program or a provider gives."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        with _logged() as told:
            config.load_kube_config(config_file=kubeconfig.path, context=name, client_configuration=configuration)
    except config.ConfigException as error:
        raise _unusable(name, kubeconfig.path, error) from error
    if "exec" in user and not (configuration.api_key or configuration.cert_file):
        command = (user["exec"] or {}).get("command", "")
        raise PluginError(
            f"the program {command!r}, which the context {name!r} of {kubeconfig.path} gets credentials from, "
            f"gave none: {'; '.join(told) or 'it said nothing'}",
            "Log in again, or run that program to see what is wrong with it.",
        )
    return of_client(configuration)


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what is logged meanwhile: the client says nowhere else why there are no credentials."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage().strip())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield told
    finally:
        logging.getLogger().removeHandler(handler)


def of_pod() -> tuple[Server, str] | None:
    """Return how the cluster is reached of the pod that the plugin runs in, and its namespace; None outside of one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    token, authority, namespace = (SERVICE_ACCOUNT / name for name in ("token", "ca.crt", "namespace"))
    if not host or not port or not token.is_file() or not authority.is_file():
        return None
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Server(address, authority=authority, authorization=TokenFile(token)), namespace.read_text("utf-8").strip()


def of_client(configuration: Any) -> Server:
    """Return what a configuration of the Kubernetes client says."""
    proxy = configuration.proxy

    def path(name: str | None) -> Path | None:
        return Path(name) if name else None

    return Server(
        configuration.host,
        authority=path(configuration.ssl_ca_cert),
        certificate=path(configuration.cert_file),
        key=path(configuration.key_file),
        verified=configuration.verify_ssl,
        name=configuration.tls_server_name,
        proxy=None if proxy == environment_proxy(configuration.host) else proxy,
        authorization=lambda: configuration.get_api_key_with_prefix("BearerToken"),
    )
