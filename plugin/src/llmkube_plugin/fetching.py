"""The fetches that run: how far each is, how fast, when it will be done, and what holds it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_plugin import pods, progress, units
from llmkube_plugin.errors import PluginError
from llmkube_plugin.model import FETCHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Entry
    from llmkube_plugin.progress import Progress

_TAIL = 5  # lines of a log in which the newest progress is looked for


@dataclass(frozen=True)
class Fetch:
    """A fetch under way: its pod, what it fetches, the last thing it said, and how far it said to be.

    `stalled` says why nothing arrives, empty while something does.
    """

    pod: str
    key: str
    source: str
    said: str
    progress: Progress | None = None
    stalled: str = ""

    def in_words(self) -> str:
        """Return how the fetch gets on, in one line."""
        if self.progress is None:
            return self.stalled or self.said
        far = units.size(self.progress.done)
        if self.progress.total is not None and self.progress.share is not None:
            far += f" of {units.size(self.progress.total)} ({self.progress.share:.0%})"
        if self.stalled:
            return f"{far}, stalled: {self.stalled}"
        rate = "" if self.progress.rate is None else f", {units.size(self.progress.rate)}/s"
        left = "" if self.progress.left is None else f", {units.duration(self.progress.left)} left"
        return far + rate + left


def fetches(cluster: Cluster, found: Iterable[Entry], all_pods: Iterable[Object]) -> list[Fetch]:
    """Return the fetches of entries that run, from the ends of their logs."""
    by_name = {(pods.namespace(pod), pods.name(pod)): pod for pod in all_pods}
    running = [
        (entry, pod, container)
        for entry in found
        if entry.state == FETCHING
        for pod in (by_name[entry.namespace, user] for user in entry.users)
        for container in (pods.fetch_container(pod, entry.key),)
        if pods.is_running(pod, container)
    ]
    return [_fetch(cluster, entry, pod, container) for entry, pod, container in running]


def _fetch(cluster: Cluster, entry: Entry, pod: Object, container: str) -> Fetch:
    try:
        log = cluster.log(entry.namespace, pods.name(pod), container, tail=_TAIL)
    except PluginError as error:
        return Fetch(pods.name(pod), entry.key, entry.source, f"its log can not be read: {error.message}")
    return understood(pods.name(pod), entry, log)


def understood(pod: str, entry: Entry, log: str) -> Fetch:
    """Return a fetch from the end of its log: the newest line counts, and the newest that tells how far it is."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines:
        return Fetch(pod, entry.key, entry.source, "it has said nothing yet")
    parsed = [progress.parse(line) for line in lines]
    far = next((each for each in reversed(parsed) if each), None)
    stalled = parsed[-1].reason if parsed[-1] else _pause(lines[-1])
    return Fetch(pod, entry.key, entry.source, lines[-1], far, stalled)


def _pause(line: str) -> str:
    """Return why a fetch pauses, empty for a line that says something else."""
    short = progress.in_short(line)
    return short if short != line else ""
