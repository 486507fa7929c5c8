"""Runs preload Jobs side by side: makes them, shows how they get on, and says what goes on without us."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmkube_plugin import contract, interrupts, pods
from llmkube_plugin.board import Board
from llmkube_plugin.errors import ForbiddenError, PluginError, UnreachableError, downloader_failure
from llmkube_plugin.progress import in_short, parse
from llmkube_plugin.runs import JobRun
from llmkube_plugin.sources import short_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkube_plugin.board import Task
    from llmkube_plugin.connection import Connection
    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.output import Output
    from llmkube_plugin.scan import Snapshot

_LAST_LINES = 20  # of the log of a download that others began


@dataclass
class Download:
    """A preload Job: the one we made, or the one that was at work already (`followed`).

    `report` is the downloader's, empty as long as there is none; `failure` is what went wrong.
    """

    manifest: Object
    job: JobRun
    followed: bool
    report: Object = field(default_factory=dict)
    failure: PluginError | None = None

    @property
    def source(self) -> str:
        """The source without credentials."""
        return pods.annotation(self.manifest, contract.ANNOTATION_SOURCE)

    @property
    def claim(self) -> str:
        """The claim that it is downloaded into."""
        return pods.annotation(self.manifest, contract.ANNOTATION_CLAIM)


class Downloads:
    """Downloads that go on side by side in the cluster."""

    def __init__(self, cluster: Cluster, output: Output) -> None:
        self.all: list[Download] = []
        self.failures: list[PluginError] = []
        self._cluster = cluster
        self._output = output

    def begin(self, manifests: Sequence[Object], snapshot: Snapshot) -> None:
        """Make a Job from each manifest, unless one of the Jobs that are there does the same at present.

        One that can not be made does not keep the others from it.
        """
        for manifest in manifests:
            existing = _at_work(snapshot, manifest)
            try:
                with interrupts.postponed():
                    self.all.append(Download(manifest, JobRun(self._cluster, manifest, existing), existing is not None))
            except PluginError as error:
                self.failures.append(error)
                continue
            self._announce(self.all[-1])

    def _announce(self, download: Download) -> None:
        where = f"Job {download.job.name} in namespace {download.job.namespace}"
        verb = "already downloads" if download.followed else "downloads"
        self._output.note(f"{where} {verb} {download.source} into {download.claim}.")

    def wait(self, start_seconds: float) -> None:
        """Wait for all of them, each for its start no longer than `start_seconds`, and note how they ended."""
        names = short_names([download.source for download in self.all])
        with Board(names, quiet=self._output.quiet) as board:
            side_by_side(
                [
                    _Following(self._cluster, download, task, start_seconds)
                    for download, task in zip(self.all, board.tasks, strict=True)
                ]
            )
        self.failures += [download.failure for download in self.all if download.failure]

    def cut_off(self) -> list[Download]:
        """Return the downloads of which the API server no longer told us."""
        return [download for download in self.all if isinstance(download.failure, UnreachableError)]

    def left(self, connection: Connection, downloads: Sequence[Download] | None = None) -> str:
        """Say that downloads, all without others, go on without this command, how to see them and how to stop them."""
        going_on = self.all if downloads is None else downloads
        if not going_on:
            return "No download was begun."
        namespace = going_on[0].job.namespace
        jobs = " ".join(download.job.name for download in going_on)
        helm, kubectl = (
            f" --{name} {connection.context}" if connection.context else "" for name in ("kube-context", "context")
        )
        return "\n".join(
            [
                "The download goes on in the cluster without this command.",
                "  to follow it: run the same command again, it makes no second Job",
                *(
                    f"  to look at it: helm llmkube cache status {claim} -n {namespace}{helm}"
                    for claim in sorted({download.claim for download in going_on})
                ),
                f"  to stop it: kubectl delete job {jobs} -n {namespace}{kubectl}",
            ]
        )


class _Following:
    """Follows one download to its end. A Listener of its Job."""

    def __init__(self, cluster: Cluster, download: Download, task: Task, start_seconds: float) -> None:
        self._cluster = cluster
        self._download = download
        self._task = task
        self._start_seconds = start_seconds
        self._readers: dict[str, Reader] = {}  # by the UIDs of pods

    def __call__(self) -> None:
        download = self._download
        try:
            _, end = download.job.wait(contract.CONTAINER_FETCH, self._start_seconds, self)
        except PluginError as error:
            download.failure = error
            self._task.say("failed", failed=True)
            return
        download.report = end.report
        if end.exit_code:
            doing = f"downloading {download.source} into {download.claim}"
            download.failure = downloader_failure(end.error, end.exit_code, doing)
            self._task.say("failed", failed=True)
        else:
            self._task.say("done")

    def waiting(self, reason: str) -> None:
        """Say why the pod does not run yet."""
        self._task.say(f"waiting: {reason}")

    def running(self, pod: Object) -> None:
        """Show what the container writes until it ends. A log that breaks off is taken up at its last line."""
        uid = pod["metadata"]["uid"]
        tail = 1 if uid in self._readers else _LAST_LINES if self._download.followed else None
        show = self._readers.setdefault(uid, Reader(self._task))
        try:
            name, namespace = pods.name(pod), self._download.job.namespace
            for line in self._cluster.follow_log(namespace, name, contract.CONTAINER_FETCH, tail):
                show(line)
        except ForbiddenError as error:
            if tail != 1:
                self._task.say(f"it downloads; how far it is can not be shown: {error.message}")
        except PluginError:
            return  # there was no more to read: how it went, the pod tells


class Reader:
    """Shows the lines that a downloader writes: as progress where they are that.

    How it failed is left out, because the report tells it.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._failed = False

    def __call__(self, line: str) -> None:
        """Show a line."""
        self._failed = self._failed or line.startswith("error: ")
        if self._failed or not line.strip():
            return
        progress = parse(line)
        if progress:
            self._task.advance(progress)
        else:
            self._task.say(in_short(line.strip()))


def side_by_side(work: Sequence[Callable[[], None]], *, interrupted: Callable[[], None] | None = None) -> None:
    """Do all the work at once and return when it is done; raise what one of it raised.

    Interrupted, it raises KeyboardInterrupt at once, and what is at work does not keep the process from ending. With
    `interrupted` it calls that, and waits until all work has ended of it.
    """
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def guarded(each: Callable[[], None]) -> None:
        try:
            each()
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    for each in work:
        threading.Thread(target=guarded, args=(each,), daemon=True).start()
    # The threads are not joined: in some versions of Python a join that is interrupted takes its thread for ended.
    errors: list[BaseException | None] = []
    try:
        while len(errors) < len(work):
            errors.append(ended.get())
    except KeyboardInterrupt:
        if interrupted:
            interrupted()
            while len(errors) < len(work):
                errors.append(ended.get())
        raise
    for error in filter(None, errors):
        raise error


def _at_work(snapshot: Snapshot, manifest: Object) -> Object | None:
    """Return the Job that has not ended and fetches the same into the same claim, None without one."""
    wanted = _what(manifest)
    # A Job is told complete a while after its pod is done, and whoever follows it then would hear old news.
    done = {
        (pods.namespace(pod), pods.label(pod, contract.LABEL_JOB)) for pod in snapshot.pods if pods.has_succeeded(pod)
    }
    running = (job for job in snapshot.jobs if (pods.namespace(job), pods.name(job)) not in done)
    return next((job for job in running if _is_at_work(job) and _what(job) == wanted), None)


def _is_at_work(job: Object) -> bool:
    if (
        pods.label(job, contract.LABEL_COMPONENT) != contract.COMPONENT_PRELOAD
        or "deletionTimestamp" in job["metadata"]
    ):
        return False
    status = job.get("status") or {}
    conditions = status.get("conditions") or []
    # A Job that is suspended, or that no controller has seen yet, has not been started.
    return "startTime" in status and not any(
        each["status"] == "True" and each["type"] in contract.JOB_ENDS for each in conditions
    )


def _what(job: Object) -> tuple[str, str, list[str]]:
    """Return what a Job fetches and where to: claim, container and arguments."""
    claim = pods.annotation(job, contract.ANNOTATION_CLAIM)
    for container in job["spec"]["template"]["spec"]["containers"]:
        if container["name"] == contract.CONTAINER_FETCH:
            return claim, contract.CONTAINER_FETCH, list(container.get("args") or [])
    return claim, "", []
