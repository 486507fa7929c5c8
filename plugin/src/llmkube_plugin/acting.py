"""Changes the volumes of caches, several at once. What a Job has begun is not torn: it is waited for, or goes on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmkube_plugin import interrupts, units
from llmkube_plugin.errors import PluginError, UnreachableError
from llmkube_plugin.volumes import MaintenanceRun, deleted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Cache
    from llmkube_plugin.output import Output


@dataclass(frozen=True)
class Outcome:
    """What came of work on a place (a claim, or a directory): the downloader's report, empty when it failed, and why.

    `keys` are the entries it was about.
    """

    place: str
    keys: tuple[str, ...] = ()
    report: Object = field(default_factory=dict)
    failure: PluginError | None = None


@dataclass(frozen=True)
class Task:
    """What is to be done on a cache, as the downloader's command line; about which entries, where that is known."""

    cache: Cache
    arguments: Sequence[str]
    keys: tuple[str, ...] = ()


def carry_out(
    cluster: Cluster,
    tasks: Iterable[Task],
    start_seconds: float,
    output: Output,
    *,
    accept: Iterable[int] = (0,),
    changes: bool = True,
) -> list[Outcome]:
    """Do all tasks at the same time, each in a Job; return what came of each, failures too.

    Interrupted, it deletes its Jobs. Of those that change something, whose pods have begun already, it tells how to
    follow and to stop them instead.
    """
    begun: deque[MaintenanceRun] = deque()
    about: deque[Task] = deque()
    outcomes: list[Outcome] = []
    try:
        for task in tasks:
            with interrupts.postponed():
                run = _start(cluster, task, output)
                if isinstance(run, MaintenanceRun):
                    begun.append(run)
                    about.append(task)
                else:
                    outcomes.append(run)
        while begun:
            outcomes.append(_finish(about.popleft(), begun[0], start_seconds, output, accept))
            begun.popleft()
    except KeyboardInterrupt as interruption:
        if not changes:
            raise deleted(begun, interruption) from None
        left = "\n".join(run.leave() for run in begun)
        raise interrupts.Interrupted(interruption, left) from None
    return outcomes


def _start(cluster: Cluster, task: Task, output: Output) -> MaintenanceRun | Outcome:
    try:
        return MaintenanceRun(cluster, task.cache, task.arguments, output)
    except PluginError as error:
        return Outcome(task.cache.claim, task.keys, failure=error)


def _finish(task: Task, run: MaintenanceRun, start_seconds: float, output: Output, accept: Iterable[int]) -> Outcome:
    try:
        outcome = Outcome(task.cache.claim, task.keys, run.report(start_seconds, accept=accept))
    except UnreachableError as error:
        output.warn(run.goes_on)
        return Outcome(task.cache.claim, task.keys, failure=error)
    except PluginError as error:
        outcome = Outcome(task.cache.claim, task.keys, failure=error)
    try:
        run.delete()
    except PluginError as error:
        output.warn(f"{run.job} stays until an hour after its end: {error.message}")
    return outcome


def raise_first(outcomes: Iterable[Outcome], output: Output) -> None:
    """Raise the first failure among outcomes; the others become warnings."""
    output.raise_first([outcome.failure for outcome in outcomes if outcome.failure])


def note_pending(outcomes: Iterable[Outcome], output: Output) -> None:
    """Say what a file server has not let go yet, such as files that a client of NFS has open."""
    pending = sum(outcome.report.get("pendingBytes", 0) for outcome in outcomes)
    if pending:
        output.note(f"{units.size(pending)} of it become free when the file server lets go of them.")
