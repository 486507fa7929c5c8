"""What the fetches of pods came to: when each began, how long it took, and how many bytes it brought."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from llmkube_plugin import contract, pods
from llmkube_plugin.model import FAILED, Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from llmkube_plugin.kube import Object

HIT = "hit"  # all was there: a start without a download
RUNNING = "running"


@dataclass(frozen=True)
class Fetch:
    """One run of a fetch in a pod.

    `result` is `hit`, `fetched`, `refreshed` or `adopted` as the downloader reports it, or `failed` or `running`.
    `seconds` is how long it took, `fetched` and `reused` are bytes. What nobody told is None.
    """

    namespace: str
    claim: str
    key: str
    source: str
    pod: str
    result: str
    started: datetime | None = None
    seconds: float | None = None
    fetched: int | None = None
    reused: int | None = None
    failure: Failure | None = None

    @property
    def rate(self) -> float | None:
        """Bytes from the origin in each second, None where nothing came from there."""
        return self.fetched / self.seconds if self.fetched and self.seconds else None


def fetches(all_pods: Iterable[Object]) -> list[Fetch]:
    """Return the fetches that pods of ours run or have reported, the newest first.

    Kubernetes keeps only the last two runs of a container, and a pod only until it is deleted: more is not known.
    """
    ours = (pod for pod in all_pods if pods.label(pod, contract.LABEL_RELEASE))
    return newest_first(fetch for pod in ours for fetch in _of_pod(pod))


def newest_first(found: Iterable[Fetch]) -> list[Fetch]:
    """Return fetches by the time when they began; one without a time counts as the oldest."""
    return sorted(found, key=lambda fetch: fetch.started.timestamp() if fetch.started else 0.0, reverse=True)


def _of_pod(pod: Object) -> Iterator[Fetch]:
    if not pods.is_in_place(pod):
        key, source = pods.label(pod, contract.LABEL_KEY), pods.annotation(pod, contract.ANNOTATION_SOURCE)
        yield from _of_container(pod, contract.CONTAINER_FETCH, key, source)
    for named in pods.beside(pod):
        yield from _of_container(pod, named.container, named.key, named.source)


def _of_container(pod: Object, container: str, key: str, source: str) -> Iterator[Fetch]:
    def fetch(result: str, started: datetime | None, **told: Any) -> Fetch:
        place = {"namespace": pods.namespace(pod), "claim": pods.cache_place(pod)[1], "pod": pods.name(pod)}
        return Fetch(**(place | {"key": key, "source": source} | told), result=result, started=started)

    if pods.is_running(pod, container):
        yield fetch(RUNNING, pods.running_since(pod, container))
    for end in pods.ended(pod, container):
        report = end.report
        seconds = report.get("seconds") or _between(end.started, end.finished)
        started = end.finished - timedelta(seconds=seconds or 0) if end.finished else end.started
        if end.exit_code:
            yield fetch(FAILED, started, seconds=seconds, failure=_failure(end, pod))
        elif "result" in report:
            bytes_ = {"fetched": report.get("bytesFetched"), "reused": report.get("bytesReused")}
            yield fetch(report["result"], started, seconds=seconds, **bytes_, key=report.get("key") or key)


def _between(started: datetime | None, finished: datetime | None) -> float | None:
    return (finished - started).total_seconds() if started and finished else None


def _failure(end: pods.Ended, pod: Object) -> Failure:
    return Failure(**end.error, time=end.finished, pod=pods.name(pod))
