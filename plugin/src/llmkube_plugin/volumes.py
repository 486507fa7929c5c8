"""Works on the volumes of caches, through Jobs made from their maintenance CronJobs."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from llmkube_plugin import contract, jobs, pods, units
from llmkube_plugin.errors import PluginError, UnreachableError, downloader_failure
from llmkube_plugin.model import Volume
from llmkube_plugin.runs import JobRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
        self._run = JobRun(cluster, jobs.maintenance(cache, [*arguments, "-o", "json"]))

    def delete(self) -> None:
        """Delete the Job, whatever state it is in."""
        self._run.delete()

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


@contextlib.contextmanager
def running(
    cluster: Cluster, caches: Iterable[Cache], arguments: Sequence[str], output: Output
) -> Iterator[list[MaintenanceRun]]:
    """Start the same verb on several caches at once; delete all their Jobs at the end, whatever happens."""
    with contextlib.ExitStack() as stack:
        runs = []
        for cache in caches:
            runs.append(MaintenanceRun(cluster, cache, arguments, output))
            stack.callback(runs[-1].delete)
        yield runs


def readable(caches: Iterable[Cache], output: Output) -> list[Cache]:
    """Return the caches whose volumes a Job can work on; say which ones none can."""
    found = []
    for cache in caches:
        if cache.maintenance is not None:
            found.append(cache)
        elif cache.mode != contract.MODE_IN_PLACE:  # that one is no cache, and nothing of it is left out
            output.warn(f"claim {cache.claim} in namespace {cache.namespace} is left out: no release maintains it")
    return found


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
    finally:
        _delete(running)
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
