"""Where entries can be worked on: the claims of a namespace, or a local directory. Both offer the same verbs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkube_plugin import contract, kube, local, pods, scan, volumes
from llmkube_plugin.entries import entries, identity
from llmkube_plugin.errors import NotFoundError, PluginError
from llmkube_plugin.model import ABSENT
from llmkube_plugin.scan import Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from llmkube_plugin.entries import Identity
    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Entry, Volume
    from llmkube_plugin.output import Output

_VERIFIED = (0, contract.EXIT_INTEGRITY)  # that something is damaged is an answer too


class Claims:
    """The claims of a namespace, or one of them, worked on through maintenance Jobs."""

    def __init__(self, cluster: Cluster, claim: str | None, timeout: float, output: Output) -> None:
        self._cluster = cluster
        self._timeout = timeout
        self._output = output
        self._snapshot = scan.read(cluster, cluster.namespace)
        caches = {cache.claim: cache for cache in scan.caches(self._snapshot)}
        if claim is not None and claim not in caches:
            known = ", ".join(caches) or "none"
            raise PluginError(
                f"no release in namespace {cluster.namespace} has the claim {claim!r}", f"There are: {known}."
            )
        if claim is not None and caches[claim].mode == contract.MODE_IN_PLACE:
            raise PluginError(
                f"claim {claim} in namespace {cluster.namespace} is no cache: a release serves what others put there",
                "Leave --claim out to work on the caches.",
            )
        chosen = {claim: caches[claim]} if claim is not None else caches
        self._caches = volumes.readable(chosen.values(), output)

    def read(self) -> list[Entry]:
        """Return what is on the volumes."""
        seen, failures = volumes.read(self._cluster, self._caches, self._output, self._timeout)
        if failures:
            raise failures[0]
        found = entries(self._snapshot, self._caches, seen)
        return [entry for entry in found if entry.scanned and entry.state != ABSENT]

    def look_again(self, plan: Iterable[Entry]) -> list[Entry]:
        """Return the same entries with the pods that use them now."""
        self._snapshot = scan.read(self._cluster, self._cluster.namespace)
        now = {cache.claim: cache for cache in scan.caches(self._snapshot)}
        return [replace(entry, users=now[entry.claim].users(entry.key)) for entry in plan if entry.claim in now]

    def remove(self, plan: list[Entry], *, force: bool) -> int:
        """Remove entries, and return the bytes that this freed."""
        freed = 0
        for cache in self._caches:
            mine = [entry for entry in plan if entry.claim == cache.claim]
            if mine:
                arguments = _removal(mine, self._gone(mine), force=force)
                with volumes.running(self._cluster, [cache], arguments, self._output) as runs:
                    freed += sum(_freed(run.report(self._timeout)) for run in runs)
                self._forget({(entry.namespace, entry.claim, entry.key) for entry in mine})
        return freed

    def _gone(self, plan: Iterable[Entry]) -> set[str]:
        """Return the UIDs of the pods that said on a volume that they use an entry, and are gone.

        They are asked for after the volume was read: whoever said it later is not among them.
        """
        existing = self._cluster.objects(kube.PODS, self._cluster.namespace)
        live = {pod["metadata"]["uid"] for pod in existing if not pods.is_over(pod)}
        return {uid for entry in plan for uid in entry.leases} - live

    def _forget(self, removed: set[Identity]) -> None:
        """Delete the pods that have ended and whose reports would go on telling of entries that are gone."""
        for pod in self._snapshot.pods:
            if not pods.is_over(pod) or identity(pod) not in removed:
                continue
            try:
                self._cluster.delete(kube.PODS, pods.namespace(pod), pods.name(pod))
            except NotFoundError:
                continue
            except PluginError as error:
                self._output.warn(f"`cache list` goes on showing an old report: {error.message}")

    def verify(self, keys: Sequence[str]) -> list[Object]:
        """Read entries whole, all without `keys`; return what the downloader says of each, with its cache."""
        caches = self._caches
        if keys:
            known = entries(self._snapshot, caches)
            places = {entry.claim for entry in known if entry.key in keys}
            caches = [cache for cache in caches if cache.claim in places] if len(caches) > 1 else caches
        if not caches:
            raise PluginError(
                f"no release in namespace {self._cluster.namespace} names an entry {' or '.join(keys)}",
                "Name the claim that holds it with --claim.",
            )
        found = []
        with volumes.running(self._cluster, caches, ["verify", *keys], self._output) as runs:
            for run in runs:
                report = run.report(self._timeout, accept=_VERIFIED)
                found += [{"cache": run.cache.claim, **entry} for entry in report["entries"]]
        return found


class Directory:
    """A local directory, worked on by llmkube-downloader."""

    def __init__(self, directory: Path, output: Output) -> None:
        self._directory = local.existing(directory)
        self._output = output
        self._downloader = local.find_downloader()

    def volume(self) -> Volume:
        """Return what the downloader lists."""
        return volumes.listing("", str(self._directory), self._downloader.run(self._directory, ["list"]))

    def read(self) -> list[Entry]:
        """Return what is in the directory."""
        return own_entries(self.volume())

    def look_again(self, plan: list[Entry]) -> list[Entry]:
        """Return the same entries: the downloader itself looks again for who fetches them."""
        return plan

    def remove(self, plan: list[Entry], *, force: bool) -> int:
        """Remove entries, and return the bytes that this freed."""
        return _freed(self._downloader.run(self._directory, _removal(plan, (), force=force)))

    def verify(self, keys: Sequence[str]) -> list[Object]:
        """Read entries whole, all without `keys`; return what the downloader says of each, with its cache."""
        show = not self._output.quiet
        report = self._downloader.run(self._directory, ["verify", *keys], show=show, accept=_VERIFIED)
        return [{"cache": str(self._directory), **entry} for entry in report["entries"]]


def own_entries(volume: Volume) -> list[Entry]:
    """Return the entries of a local directory; without releases none of them is an orphan."""
    return [replace(entry, orphan=False) for entry in entries(Snapshot(), [], [volume])]


def _removal(plan: Iterable[Entry], gone: Collection[str], *, force: bool) -> list[str]:
    named = [f"--gone-pods={','.join(sorted(gone))}"] if gone else []
    return ["remove", *(entry.key for entry in plan), *named, *(["--force"] if force else [])]


def _freed(report: Object) -> int:
    return sum(removed["bytes"] for removed in report["removed"])
