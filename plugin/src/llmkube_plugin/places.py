"""Where entries can be worked on: the claims of a namespace, or a local directory. Both offer the same verbs."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkube_plugin import acting, choosing, contract, interrupts, kube, local, pods, scan, volumes
from llmkube_plugin.acting import Outcome, Task
from llmkube_plugin.entries import entries, identity
from llmkube_plugin.errors import NotFoundError, PluginError
from llmkube_plugin.model import ABSENT
from llmkube_plugin.scan import Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from llmkube_plugin.choosing import Choice
    from llmkube_plugin.kube import Cluster
    from llmkube_plugin.model import Cache, Entry, Volume
    from llmkube_plugin.output import Output

_VERIFIED = (0, contract.EXIT_INTEGRITY)  # that something is damaged is an answer too


class Claims:
    """The claims of a namespace, or one of them, worked on through maintenance Jobs.

    - listing: the command that shows what is there.
    """

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
        self.listing = f"helm llmkube cache list --scan -n {cluster.namespace}"

    def read(self) -> list[Entry]:
        """Return what is on the volumes, each with the pods that use it."""
        seen, failures = volumes.read(self._cluster, self._caches, self._output, self._timeout)
        self._output.raise_first(failures)
        found = entries(self._snapshot, self._caches, seen)
        return [self._with_users(entry) for entry in found if entry.scanned and entry.state != ABSENT]

    def find(self, choice: Choice) -> list[Entry]:
        """Return the entries that are meant, as releases name them; the volumes are read for those that none names."""
        claims = {cache.claim for cache in self._caches}
        known = [entry for entry in entries(self._snapshot, self._caches) if entry.claim in claims and entry.key]
        if choice.missing(known):
            known = self.read()
        return choosing.chosen(known, choice, self.listing, "Nothing was done.")

    def look_again(self, plan: Iterable[Entry]) -> list[Entry]:
        """Return the same entries with the pods that use them now."""
        self._snapshot = scan.read(self._cluster, self._cluster.namespace)
        now = {cache.claim: cache for cache in scan.caches(self._snapshot)}
        again = [replace(entry, users=now[entry.claim].users(entry.key)) for entry in plan if entry.claim in now]
        return [self._with_users(entry) for entry in again]

    def _with_users(self, entry: Entry) -> Entry:
        """Return an entry with the live pods, too, that said on the volume that they use it.

        They may reach it on another way than by mounting the claim.
        """
        said = (
            pods.name(pod)
            for pod in self._snapshot.pods
            if pod["metadata"]["uid"] in entry.leases and not pods.is_over(pod)
        )
        return replace(entry, users=tuple(dict.fromkeys((*entry.users, *said))))

    def remove(self, plan: list[Entry], *, force: bool) -> list[Outcome]:
        """Remove entries; return what came of it on each claim."""
        gone = self._gone(plan)
        tasks = [
            Task(cache, _removal(mine, gone & _leases(mine), force=force), tuple(entry.key for entry in mine))
            for cache, mine in self._by_cache(plan)
        ]
        outcomes = self._carry_out(tasks)
        for outcome in outcomes:
            self._forget(outcome.place, (removed["key"] for removed in outcome.report.get("removed", [])))
        return outcomes

    def prune(self, candidates: list[Entry], criteria: Sequence[str], *, dry_run: bool) -> list[Outcome]:
        """Prune every claim of what is among the candidates; return what came of it, or would, on each claim."""
        gone = self._gone(candidates)
        held = {cache.claim: mine for cache, mine in self._by_cache(candidates)}
        tasks = [
            Task(cache, _pruning(criteria, mine := held.get(cache.claim, []), gone & _leases(mine), dry_run=dry_run))
            for cache in self._caches
        ]
        outcomes = self._carry_out(tasks, changes=not dry_run)
        for outcome in outcomes if not dry_run else ():
            removed = (item["key"] for item in outcome.report.get("removed", []) if item["kind"] == "entry")
            self._forget(outcome.place, removed)
        return outcomes

    def keep(self, plan: Iterable[Entry], *, pinned: bool) -> list[Outcome]:
        """Pin or unpin entries; return what came of each."""
        verb = "pin" if pinned else "unpin"
        return self._carry_out(
            Task(cache, [verb, entry.key], (entry.key,)) for cache, mine in self._by_cache(plan) for entry in mine
        )

    def verify(self, plan: Sequence[Entry] | None, *, repair: bool) -> list[Outcome]:
        """Read entries whole, all with None, and repair them where that is asked for; return what came of it."""
        flags = ["--repair"] if repair else []
        if plan is None:
            tasks = [Task(cache, ["verify", *flags]) for cache in self._caches]
        else:
            tasks = [Task(cache, ["verify", *_keys(mine), *flags]) for cache, mine in self._by_cache(plan)]
        return self._carry_out(tasks, accept=_VERIFIED, changes=repair)

    def _carry_out(self, tasks: Iterable[Task], **more: Any) -> list[Outcome]:
        return acting.carry_out(self._cluster, tasks, self._timeout, self._output, **more)

    def _by_cache(self, plan: Iterable[Entry]) -> list[tuple[Cache, list[Entry]]]:
        """Return the entries of each cache that has any."""
        held: dict[str, list[Entry]] = {}
        for entry in plan:
            held.setdefault(entry.claim, []).append(entry)
        return [(cache, held[cache.claim]) for cache in self._caches if cache.claim in held]

    def _gone(self, plan: Iterable[Entry]) -> set[str]:
        """Return the UIDs of the pods that said on a volume that they use an entry, and are gone.

        They are asked for after the volume was read: whoever said it later is not among them.
        """
        existing = self._cluster.objects(kube.PODS, self._cluster.namespace)
        live = {pod["metadata"]["uid"] for pod in existing if not pods.is_over(pod)}
        return _leases(plan) - live

    def _forget(self, claim: str, keys: Iterable[str]) -> None:
        """Delete the pods that have ended and whose reports would go on telling of entries that are gone."""
        removed = {(self._cluster.namespace, claim, key) for key in keys}
        for pod in self._snapshot.pods:
            if not pods.is_over(pod) or identity(pod) not in removed:
                continue
            try:
                self._cluster.delete(kube.PODS, pods.namespace(pod), pods.name(pod))
            except NotFoundError:
                continue
            except PluginError as error:
                self._output.warn(f"`cache list` goes on showing an old report: {error.message}")


class Directory:
    """A local directory, worked on by llmkube-downloader.

    - listing: the command that shows what is there.
    """

    def __init__(self, directory: Path, output: Output) -> None:
        self._directory = local.existing(directory)
        self._output = output
        self._downloader = local.find_downloader()
        self.listing = f"helm llmkube cache list --dir {shlex.quote(str(directory))}"

    def volume(self) -> Volume:
        """Return what the downloader lists."""
        return volumes.listing("", str(self._directory), self._downloader.run(self._directory, ["list"]))

    def read(self) -> list[Entry]:
        """Return what is in the directory. Of pods only what they said there is known."""
        return [
            replace(entry, users=tuple(f"the pod with UID {uid}" for uid in entry.leases))
            for entry in own_entries(self.volume())
        ]

    def find(self, choice: Choice) -> list[Entry]:
        """Return the entries that are meant."""
        return choosing.chosen(self.read(), choice, self.listing, "Nothing was done.")

    def look_again(self, plan: list[Entry]) -> list[Entry]:
        """Return the same entries: the downloader itself looks again for who uses them."""
        return plan

    def remove(self, plan: list[Entry], *, force: bool) -> list[Outcome]:
        """Remove entries; return what came of it."""
        with interrupts.leaving("What had not gone yet is still there: see `cache list`."):
            return [self._run(_removal(plan, (), force=force), _keys(plan))]

    def prune(self, candidates: list[Entry], criteria: Sequence[str], *, dry_run: bool) -> list[Outcome]:
        """Prune what is among the candidates; return what came of it, or would."""
        with interrupts.leaving("" if dry_run else "What had not gone yet is still there: see `cache list`."):
            return [self._run(_pruning(criteria, candidates, (), dry_run=dry_run))]

    def keep(self, plan: Iterable[Entry], *, pinned: bool) -> list[Outcome]:
        """Pin or unpin entries; return what came of each."""
        verb = "pin" if pinned else "unpin"
        return [self._run([verb, entry.key], [entry.key]) for entry in plan]

    def verify(self, plan: Sequence[Entry] | None, *, repair: bool) -> list[Outcome]:
        """Read entries whole, all with None, and repair them where that is asked for; return what came of it."""
        arguments = ["verify", *_keys(plan or ()), *(["--repair"] if repair else [])]
        with interrupts.leaving("What was received is kept for the next repair." if repair else ""):
            return [self._run(arguments, show=not self._output.quiet, accept=_VERIFIED)]

    def _run(self, arguments: Sequence[str], keys: Iterable[str] = (), **more: Any) -> Outcome:
        report = self._downloader.run(self._directory, arguments, **more)
        return Outcome(str(self._directory), tuple(keys), report)


def own_entries(volume: Volume) -> list[Entry]:
    """Return the entries of a local directory; without releases none of them is an orphan."""
    return [replace(entry, orphan=False) for entry in entries(Snapshot(), [], [volume])]


def _removal(plan: Iterable[Entry], gone: Collection[str], *, force: bool) -> list[str]:
    return ["remove", *_keys(plan), *_gone_pods(gone), *(["--force"] if force else [])]


def _pruning(
    criteria: Sequence[str], candidates: Iterable[Entry], gone: Collection[str], *, dry_run: bool
) -> list[str]:
    only = ",".join(sorted({entry.key for entry in candidates if entry.key}))
    return ["prune", *criteria, f"--only={only}", *_gone_pods(gone), *(["--dry-run"] if dry_run else [])]


def _gone_pods(gone: Collection[str]) -> list[str]:
    return [f"--gone-pods={','.join(sorted(gone))}"] if gone else []


def _keys(plan: Iterable[Entry]) -> list[str]:
    return [entry.key for entry in plan]


def _leases(plan: Iterable[Entry]) -> set[str]:
    return {uid for entry in plan for uid in entry.leases}
