"""The values that exist, each with a word on it: in a cluster, a directory, kubeconfig or the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkube_plugin.connection import Connection
    from llmkube_plugin.model import Cache, Entry


def _releases(given: Mapping[str, Any]) -> dict[str, str]:
    caches, entries = _look(given)
    found = {release: entry.source for entry in entries for release in entry.releases}
    return found | {cache.release: f"claim {cache.claim}" for cache in caches if cache.release not in ("", *found)}


def _claims(given: Mapping[str, Any]) -> dict[str, str]:
    return {cache.claim: f"release {cache.release}" if cache.release else "" for cache in _look(given)[0]}


def _keys(given: Mapping[str, Any]) -> dict[str, str]:
    return {entry.key: entry.source for entry in _look(given)[1] if entry.key}


def _sources(given: Mapping[str, Any]) -> dict[str, str]:
    return {entry.source: entry.key for entry in _look(given)[1] if entry.source}


def _look(given: Mapping[str, Any]) -> tuple[list[Cache], list[Entry]]:
    """Return the caches and entries of the namespace, or of the directory, that the words so far name."""
    from llmkube_plugin import scan
    from llmkube_plugin.connection import connect
    from llmkube_plugin.entries import entries
    from llmkube_plugin.output import Output
    from llmkube_plugin.places import Directory

    if given.get("directory"):
        return [], Directory(given["directory"], Output("table", quiet=True)).read()
    cluster = connect(_connection(given))
    snapshot = scan.read(cluster, None if given.get("all_namespaces") else cluster.namespace)
    caches = scan.caches(snapshot)
    return caches, entries(snapshot, caches)


def _namespaces(given: Mapping[str, Any]) -> dict[str, str]:
    from llmkube_plugin import kube
    from llmkube_plugin.connection import connect

    listed = connect(_connection(given)).objects(kube.NAMESPACES, None)
    return {item["metadata"]["name"]: "" for item in listed}


def _contexts(given: Mapping[str, Any]) -> dict[str, str]:
    from llmkube_plugin.connection import contexts

    return {name: f"cluster {context.get('cluster', '')}" for name, context in contexts(_connection(given)).items()}


def _models(_: Mapping[str, Any]) -> dict[str, str]:
    import yaml

    from llmkube_plugin.installation import CATALOG

    return {model["id"]: model["source"] for model in yaml.safe_load(CATALOG.read_text(encoding="utf-8"))["models"]}


def _connection(given: Mapping[str, Any]) -> Connection:
    from llmkube_plugin.connection import Connection

    return Connection(given.get("namespace"), given.get("kube_context"), given.get("kubeconfig"))


# The word of a metavar -> what returns its values, for the parameters of a command as far as they were typed.
VALUES: dict[str, Callable[[Mapping[str, Any]], dict[str, str]]] = {
    "RELEASE": _releases,
    "CLAIM": _claims,
    "KEY": _keys,
    "SOURCE": _sources,
    "NS": _namespaces,
    "CONTEXT": _contexts,
    "CATALOG-ID": _models,
}
