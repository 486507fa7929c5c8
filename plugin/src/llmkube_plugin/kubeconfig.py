"""Reads kubeconfig: one file, or several that count as one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmkube_plugin.errors import PluginError

DEFAULT = "~/.kube/config"
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")

Section = Mapping[str, Any]  # what a kubeconfig says of a context, a cluster or a user


@dataclass(frozen=True)
class Kubeconfig:
    """What the files at `path` say together, by name, and the context that is current.

    The paths in it are absolute: in a file they are relative to the folder it is in.
    """

    path: str
    contexts: Mapping[str, Section]
    clusters: Mapping[str, Section]
    users: Mapping[str, Section]
    current: str | None

    def choose(self, wanted: str | None) -> str:
        """Return the name of the context that is wanted, or of the current one."""
        known = ", ".join(sorted(self.contexts))
        name = wanted or self.current
        if name is None:
            raise PluginError(f"{self.path} names no current context", f"Choose one with --kube-context: {known}.")
        if name not in self.contexts:
            raise PluginError(
                f"{self.path} has no context {name!r}", f"It has: {known}. Choose one with --kube-context."
            )
        return name


def read(path: str) -> Kubeconfig:
    """Read the files of a path like that in KUBECONFIG; those that do not exist count for nothing.

    As in kubectl, of what several files name, and of the current context, the first counts.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the quick one needs libyaml
    found: dict[str, dict[str, Section]] = {"contexts": {}, "clusters": {}, "users": {}}
    current = None
    for part in path.split(os.pathsep):
        file = Path(part).expanduser()
        if not part or not file.exists():
            continue
        try:
            content = yaml.load(file.read_text(encoding="utf-8"), loader) or {}  # noqa: S506 # it is a safe one
            for plural, sections in found.items():
                for item in content.get(plural) or []:
                    sections.setdefault(item["name"], _absolute(item.get(plural[:-1]) or {}, file))
            current = current or content.get("current-context")
        except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise PluginError(
                f"{file} is no readable kubeconfig: {error}",
                "Correct that file, or name another one with --kubeconfig.",
            ) from error
    return Kubeconfig(path, **found, current=current)


def _absolute(section: Section, file: Path) -> Section:
    paths = {name: str(file.absolute().parent / section[name]) for name in _FILES if section.get(name)}
    return {**section, **paths}
