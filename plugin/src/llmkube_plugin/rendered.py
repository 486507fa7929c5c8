"""Reads what a release renders, as `helm template` prints it, as if it were installed."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkube_plugin.errors import PluginError
from llmkube_plugin.scan import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.kube import Object

STDIN = "-"
_FIELDS = {
    "Pod": "pods",
    "Job": "jobs",
    "CronJob": "cronjobs",
    "Deployment": "deployments",
    "PersistentVolumeClaim": "claims",
}


def read(name: str, namespace: str) -> Snapshot:
    """Return the objects in a file of YAML, `-` is standard input; those that name no namespace are of `namespace`.

    Raises PluginError for a file that can not be read, that is no YAML, or that holds no object at all.
    """
    found: dict[str, list[Object]] = defaultdict(list)
    objects = list(parsed(text(name), name))
    if not objects:
        raise PluginError(
            f"{_shown(name)} holds no Kubernetes object",
            "Give it what a release renders: helm template RELEASE CHART | helm llmkube cache plan -f -",
        )
    for item in objects:
        item["metadata"].setdefault("namespace", namespace)
        if item["kind"] in _FIELDS:
            found[_FIELDS[item["kind"]]].append(item)
    return Snapshot(**{field: tuple(items) for field, items in found.items()})


def text(name: str) -> str:
    """Return what is in a file, `-` is standard input.

    Raises PluginError for one that can not be read.
    """
    try:
        return sys.stdin.read() if name == STDIN else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PluginError(
            f"{_shown(name)} can not be read: {error}", "Name a file of YAML, or - for standard input."
        ) from error


def parsed(text: str, name: str) -> Iterator[Object]:
    """Yield every object of every document, those in a List too; `name` is where the text comes from.

    Raises PluginError for a text that is no YAML.
    """
    import yaml

    try:
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        raise PluginError(
            f"{_shown(name)} is no YAML: {' '.join(str(error).split())}",
            "Look at what `helm template` prints; messages of it do not belong into the file.",
        ) from error
    for document in documents:
        items = (document.get("items") or []) if _is_list(document) else [document]
        yield from (item for item in items if _is_object(item))


def _is_list(document: Any) -> bool:
    return isinstance(document, dict) and document.get("kind") == "List"


def _is_object(item: Any) -> bool:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    return isinstance(metadata, dict) and "name" in metadata and isinstance(item.get("kind"), str)


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else name
