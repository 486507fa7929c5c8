"""Works on the volumes of caches, through Jobs made from their maintenance CronJobs."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from llmkube_plugin import contract, interrupts, jobs, pods, rights, units
from llmkube_plugin.errors import PluginError, UnreachableError, downloader_failure
from llmkube_plugin.model import Volume
from llmkube_plugin.runs import JobRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Cache
    from llmkube_plugin.output import Output

_AT_ONCE = 8  # Jobs of a scan: enough for the pods to start beside each other, and few beside what else a cluster runs


class MaintenanceRun:
    """One run of the downloader on the volume of a cache."""

    def __init__(self, cluster: Cluster, cache: Cache, arguments: Sequence[str], output: Output) -> None:
        self.cache = cache
        self._cluster = cluster
        self._output = output
        self._doing = f"`{arguments[0]}` on claim {cache.claim} in namespace {cache.namespace}"
        rights.require(cluster, cache.namespace, rights.VOLUME_WORK)
        self._run = JobRun(cluster, jobs.maintenance(cache, [*arguments, "-o", "json"]))

    @property
    def job(self) -> str:
        """The Job in words."""
        return f"Job {self._run.name} in namespace {self._run.namespace}"

    def delete(self) -> None:
        """Delete the Job, whatever state it is in."""
        self._run.delete()

    @property
    def goes_on(self) -> str:
        """What a Job does that is left alone, and how to see and to stop it."""
        namespace, name = self._run.namespace, self._run.name
        return (
            f"{self.job} goes on with {self._doing}. To follow it: `kubectl -n {namespace} logs -f job/{name}`. "
            f"To stop it: `kubectl -n {namespace} delete job {name}`."
        )

    def leave(self) -> str:
        """Delete the Job unless its pod has begun, which is then not torn; return what becomes of it, in words."""
        try:
            begun = self._run.has_begun()
        except PluginError:
            begun = True  # nobody knows
        if begun:
            return self.goes_on
        self.delete()
        return f"{self.job} is deleted: its pod had not begun with {self._doing}."

    def waiting(self, reason: str) -> None:
        """Say why the pod does not run yet."""
        self._output.note(f"{self.cache.claim}: waiting for the pod of Job {self._run.name}: {reason}")

    def running(self, pod: Object) -> None:
        """Hear that the pod runs: nothing to say about seconds of work."""

    def report(self, start_seconds: float, *, accept: Iterable[int] = (0,)) -> Object:
        """Wait for the end and return the downloader's report; raise PluginError for an exit code not accepted."""
        pod, end = self._run.wait(contract.CONTAINER_MAINTENANCE, start_seconds, self)
        report = self._read_log(pod, must=end.exit_code in accept)
        if end.exit_code not in accept or "error" in report:
            raise downloader_failure(report.get("error") or end.error, end.exit_code, self._doing)
        if not report:
            raise PluginError(
                f"{self._doing} left no report in its log",
                "Check that downloader.image is the image of the plugin's version.",
            )
        return report

    def _read_log(self, pod: Object, *, must: bool) -> Object:
        """Return the report in the log, which has all of it; the status of the pod has only what fits into 4 KiB.

        A pod that failed may have no log. That must not hide why it failed, so only `must` raises PluginError.
        """
        try:
            log = self._cluster.log(self._run.namespace, pods.name(pod), contract.CONTAINER_MAINTENANCE)
        except PluginError:
            if must:
                raise
            return {}
        return pods.parse_report(log)


def readable(caches: Iterable[Cache], output: Output) -> list[Cache]:
    """Return the caches whose volumes a Job can work on; say which ones none can."""
    found = []
    for cache in caches:
        if cache.maintenance is not None:
            found.append(cache)
        elif cache.mode != contract.MODE_IN_PLACE:  # that one is no cache, and nothing of it is left out
            output.warn(f"claim {cache.claim} in namespace {cache.namespace} is left out: no release maintains it")
    return found


def scan(
    cluster: Cluster, caches: Iterable[Cache], output: Output, start_seconds: float
) -> tuple[list[Volume], list[PluginError]]:
    """Return what is on the volumes of those caches that a Job can work on, as `read`; say which ones none can."""
    return read(cluster, readable(caches, output), output, start_seconds)


def read(
    cluster: Cluster, caches: Iterable[Cache], output: Output, start_seconds: float
) -> tuple[list[Volume], list[PluginError]]:
    """Return what is on the volumes of caches, and why others could not be read.

    Volumes are read at the same time, a few at once, and no Job outlives this, whatever happens.
    """
    waiting = deque(caches)
    total, running = len(waiting), deque[MaintenanceRun]()
    answers: list[Volume | PluginError] = []
    try:
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                with interrupts.postponed():
                    started = _start(cluster, waiting.popleft(), output)
                    if isinstance(started, MaintenanceRun):
                        running.append(started)
                    else:
                        answers.append(started)
            if running:
                answers.append(_listing_or_failure(running[0], start_seconds))
                running.popleft().delete()
            if total > 1:
                output.note(f"Read {len(answers)} of {total} volumes.")
    except KeyboardInterrupt as interruption:
        raise deleted(running, interruption) from None
    except BaseException:
        _delete(running)
        raise
    seen = [answer for answer in answers if isinstance(answer, Volume)]
    return seen, [answer for answer in answers if isinstance(answer, PluginError)]


def _start(cluster: Cluster, cache: Cache, output: Output) -> MaintenanceRun | PluginError:
    """Make the Job that reads a volume. One that the API server refuses must not hide what is on the others."""
    try:
        return MaintenanceRun(cluster, cache, ["list"], output)
    except UnreachableError:
        raise
    except PluginError as error:
        return error


def _delete(runs: Iterable[MaintenanceRun]) -> None:
    """Delete Jobs; that one can not be deleted keeps no other."""
    with contextlib.ExitStack() as stack:
        for run in runs:
            stack.callback(run.delete)


def deleted(runs: deque[MaintenanceRun], interruption: KeyboardInterrupt) -> interrupts.Interrupted:
    """Delete the Jobs of an interrupted command, and return the interruption with what became of them.

    Interrupted once more, it says which ones are left.
    """
    had = bool(runs)
    with interrupts.leaving(lambda: f"Left until an hour after their end: {', '.join(run.job for run in runs)}."):
        while runs:
            runs[0].delete()
            runs.popleft()
    return interrupts.Interrupted(interruption, "The Jobs that it had made are deleted." if had else "")


def _listing_or_failure(run: MaintenanceRun, start_seconds: float) -> Volume | PluginError:
    try:
        return listing(run.cache.namespace, run.cache.claim, run.report(start_seconds))
    except PluginError as error:
        return error


def listing(namespace: str, claim: str, report: Object) -> Volume:
    """Return the report of `llmkube-downloader list -o json` as a Volume."""
    space = report["volume"]
    beside = report.get("beside", {})  # downloaders of earlier images do not measure it
    return Volume(
        namespace,
        claim,
        units.now(),
        tuple(report["entries"]),
        space["total"],
        space["free"],
        beside.get("trash", 0),
        beside.get("adopting", 0),
    )
