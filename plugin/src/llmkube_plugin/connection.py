"""Finds the API server and the credentials, the way Helm and kubectl do."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkube_plugin import __version__
from llmkube_plugin.errors import PluginError
from llmkube_plugin.kube import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_KUBECONFIG = "~/.kube/config"
POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Connection:
    """Which cluster and namespace to work on; None is for what kubeconfig says."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None


def connect(connection: Connection) -> Cluster:
    """Return the cluster that the options, Helm's environment and kubeconfig name.

    Raises PluginError when there is no usable configuration; the network is not touched.
    """
    from kubernetes import client

    logging.getLogger("urllib3").setLevel(logging.ERROR)  # retries are no news; the last failure is reported
    configuration = client.Configuration()
    configuration.keep_alive = True
    namespace, user = _load(configuration, connection)
    apply_helm_overrides(configuration, os.environ)
    api = client.ApiClient(configuration)
    api.user_agent = f"helm-llmkube/{__version__}"
    headers = _impersonation(os.environ) or _own_impersonation(user)
    return Cluster(api, connection.namespace or namespace or "default", headers)


def contexts(connection: Connection) -> Mapping[str, Mapping[str, Any]]:
    """Return the contexts of kubeconfig by name."""
    return _read_kubeconfig(_path(connection)).contexts


def _path(connection: Connection) -> str:
    return connection.kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG


def _load(configuration: Any, connection: Connection) -> tuple[str | None, Mapping[str, Any]]:
    """Fill the configuration from kubeconfig or from the pod we run in; return the namespace and user it names."""
    from kubernetes import config

    path = _path(connection)
    merged = _read_kubeconfig(path)
    if not merged.contexts:
        return _load_without_kubeconfig(configuration, connection, path), {}
    name = _choose_context(merged, connection.context, path)
    user = merged.users.get(merged.contexts[name].get("user", ""), {})
    try:
        with _logged() as told:
            config.load_kube_config(config_file=path, context=name, client_configuration=configuration)
    except config.ConfigException as error:
        raise PluginError(
            f"the context {name!r} of {path} is unusable: {error}", "Correct that file, or choose another context."
        ) from error
    given = configuration.api_key or configuration.cert_file or os.environ.get("HELM_KUBETOKEN")
    if "exec" in user and not given:
        command = (user["exec"] or {}).get("command", "")
        raise PluginError(
            f"the program {command!r}, which the context {name!r} of {path} gets credentials from, gave none: "
            f"{'; '.join(told) or 'it said nothing'}",
            "Log in again, or run that program to see what is wrong with it.",
        )
    return merged.contexts[name].get("namespace"), user


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


@dataclass(frozen=True)
class _Kubeconfig:
    """The contexts and users of the merged kubeconfig files, by name, and the context that is current."""

    contexts: Mapping[str, Mapping[str, Any]]
    users: Mapping[str, Mapping[str, Any]]
    current: str | None


def _read_kubeconfig(path: str) -> _Kubeconfig:
    import yaml

    contexts: dict[str, Mapping[str, Any]] = {}
    users: dict[str, Mapping[str, Any]] = {}
    current = None
    for part in path.split(os.pathsep):
        file = Path(part).expanduser()
        if not part or not file.exists():
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            for item in content.get("contexts") or []:
                contexts.setdefault(item["name"], item.get("context") or {})
            for item in content.get("users") or []:
                users.setdefault(item["name"], item.get("user") or {})
            # As in kubectl, the first file that names a current context wins.
            current = current or content.get("current-context")
        except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise PluginError(
                f"{file} is no readable kubeconfig: {error}",
                "Correct that file, or name another one with --kubeconfig.",
            ) from error
    return _Kubeconfig(contexts, users, current)


def _choose_context(kubeconfig: _Kubeconfig, wanted: str | None, path: str) -> str:
    known = ", ".join(sorted(kubeconfig.contexts))
    name = wanted or kubeconfig.current
    if name is None:
        raise PluginError(f"{path} names no current context", f"Choose one with --kube-context: {known}.")
    if name not in kubeconfig.contexts:
        raise PluginError(f"{path} has no context {name!r}", f"It has: {known}. Choose one with --kube-context.")
    return name


def _load_without_kubeconfig(configuration: Any, connection: Connection, path: str) -> str | None:
    """Use the API server that Helm names, or the one of the pod that the plugin runs in."""
    from kubernetes import config

    if connection.context:
        raise PluginError(
            f"there is no context {connection.context!r}: {path} does not exist or holds no contexts",
            "Name the file with --kubeconfig or in KUBECONFIG.",
        )
    if os.environ.get("HELM_KUBEAPISERVER"):
        return None
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise PluginError(
            f"there is no cluster to ask: {path} does not exist or holds no contexts",
            "Name the file with --kubeconfig or in KUBECONFIG, or work on a directory with --dir PATH.",
        ) from error
    return POD_NAMESPACE_FILE.read_text(encoding="utf-8")


def apply_helm_overrides(configuration: Any, environment: Mapping[str, str]) -> None:
    """Apply the global flags that Helm takes out of the arguments and hands over as environment variables."""
    if environment.get("HELM_KUBEAPISERVER"):
        configuration.host = environment["HELM_KUBEAPISERVER"].rstrip("/")
    if environment.get("HELM_KUBETOKEN"):
        configuration.api_key = {"BearerToken": f"Bearer {environment['HELM_KUBETOKEN']}"}
        configuration.refresh_api_key_hook = None
        # An API server prefers a client certificate over a token, and the token is what the user asked for.
        configuration.cert_file = configuration.key_file = None
    if environment.get("HELM_KUBECAFILE"):
        configuration.ssl_ca_cert = environment["HELM_KUBECAFILE"]
    if environment.get("HELM_KUBETLS_SERVER_NAME"):
        configuration.tls_server_name = environment["HELM_KUBETLS_SERVER_NAME"]
    if environment.get("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "").lower() == "true":
        configuration.verify_ssl = False
    if not configuration.verify_ssl:
        import urllib3

        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user has asked for it


def _own_impersonation(user: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers for a user of kubeconfig that acts for another; the client itself leaves that out."""
    headers = [("Impersonate-User", user["as"])] if user.get("as") else []
    headers += [("Impersonate-Uid", user["as-uid"])] if user.get("as-uid") else []
    return headers + [("Impersonate-Group", group) for group in user.get("as-groups") or []]


def _impersonation(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that make the API server act for another user and groups."""
    headers = []
    if environment.get("HELM_KUBEASUSER"):
        headers.append(("Impersonate-User", environment["HELM_KUBEASUSER"]))
    groups = environment.get("HELM_KUBEASGROUPS", "").split(",")
    headers += [("Impersonate-Group", group) for group in groups if group]
    return headers
