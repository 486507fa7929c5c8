"""Finds the API server and the credentials, the way Helm and kubectl do."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_plugin import kubeconfig
from llmkube_plugin.errors import PluginError
from llmkube_plugin.kube import Cluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkube_plugin.kubeconfig import Section
    from llmkube_plugin.transport import Server


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
    from llmkube_plugin.transport import Transport

    server, namespace, user = _find(connection)
    headers = _impersonation(os.environ) or _own_impersonation(user)
    transport = Transport(with_helms_flags(server, os.environ), headers)
    return Cluster(transport, connection.namespace or namespace or "default")


def contexts(connection: Connection) -> Mapping[str, Section]:
    """Return the contexts of kubeconfig by name."""
    return kubeconfig.read(_path(connection)).contexts


def _path(connection: Connection) -> str:
    return connection.kubeconfig or os.environ.get("KUBECONFIG") or kubeconfig.DEFAULT


def _find(connection: Connection) -> tuple[Server, str | None, Section]:
    """Return the server that kubeconfig names, or that of the pod we run in; with it the namespace and the user."""
    from llmkube_plugin import credentials

    merged = kubeconfig.read(_path(connection))
    if not merged.contexts:
        server, namespace = _without_kubeconfig(connection, merged.path)
        return server, namespace, {}
    name = merged.choose(connection.context)
    context = merged.contexts[name]
    server = credentials.of_context(merged, name, token=bool(os.environ.get("HELM_KUBETOKEN")))
    return server, context.get("namespace"), merged.users.get(context.get("user", ""), {})


def _without_kubeconfig(connection: Connection, path: str) -> tuple[Server, str | None]:
    """Return the API server that Helm names, or the one of the pod that the plugin runs in, with its namespace."""
    from llmkube_plugin import credentials
    from llmkube_plugin.transport import Server

    if connection.context:
        raise PluginError(
            f"there is no context {connection.context!r}: {path} does not exist or holds no contexts",
            "Name the file with --kubeconfig or in KUBECONFIG.",
        )
    if os.environ.get("HELM_KUBEAPISERVER"):
        return Server(""), None
    found = credentials.of_pod()
    if found is None:
        raise PluginError(
            f"there is no cluster to ask: {path} does not exist or holds no contexts",
            "Name the file with --kubeconfig or in KUBECONFIG, or work on a directory with --dir PATH.",
        )
    return found


def with_helms_flags(server: Server, environment: Mapping[str, str]) -> Server:
    """Apply the global flags that Helm takes out of the arguments and hands over as environment variables."""
    if environment.get("HELM_KUBEAPISERVER"):
        server = replace(server, host=environment["HELM_KUBEAPISERVER"].rstrip("/"))
    if environment.get("HELM_KUBETOKEN"):
        token = f"Bearer {environment['HELM_KUBETOKEN']}"
        # An API server prefers a client certificate over a token, and the token is what the user asked for.
        server = replace(server, authorization=lambda: token, certificate=None, key=None)
    if environment.get("HELM_KUBECAFILE"):
        server = replace(server, authority=Path(environment["HELM_KUBECAFILE"]))
    if environment.get("HELM_KUBETLS_SERVER_NAME"):
        server = replace(server, name=environment["HELM_KUBETLS_SERVER_NAME"])
    if environment.get("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "").lower() == "true":
        server = replace(server, verified=False)
    return server


def _own_impersonation(user: Section) -> list[tuple[str, str]]:
    """Return the headers for a user of kubeconfig that acts for another."""
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
