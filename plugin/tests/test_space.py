"""Who holds the space of a cache: every byte counts once, and what can be had back is what `clear` would free."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
import releases

from llmkube_plugin import space
from llmkube_plugin.entries import entries
from llmkube_plugin.model import Cache, Entry, Volume
from llmkube_plugin.scan import Snapshot

if TYPE_CHECKING:
    from fake_kubernetes import Object

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
ROOM = space.Room(total=1000, free=400, observed=NOW, scanned=True)
WHOLE = Entry("default", "claim", "aa", "complete", releases=("web",), bytes=100)


def change(**changes: object) -> Entry:
    return dataclasses.replace(WHOLE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "holder", "reclaimable"),
    [
        (change(users=("web-1",)), "in_use", 0),
        (change(), "unused", 100),
        (change(pinned=True), "unused", 0),
        (change(releases=(), orphan=True), "orphans", 100),
        (change(releases=(), orphan=True, pinned=True), "unused", 0),
        (change(releases=(), orphan=True, users=("notebook",)), "in_use", 0),
        (change(state="damaged"), "unused", 100),
        (change(state="partial", unfinished=100), "partial", 100),
        (change(state="fetching", unfinished=100), "partial", 0),
        (change(state="foreign", releases=(), orphan=True), "other", 0),
        (change(leases=("uid-of-a-pod-that-is-gone",)), "unused", 100),
        (change(namespace="", claim="/models", leases=("uid",)), "in_use", 0),
    ],
)
def test_each_byte_has_one_holder_and_only_what_clear_would_free_is_reclaimable(
    entry: Entry, holder: str, reclaimable: int
) -> None:
    found = space.of([entry], ROOM)

    held = {name: getattr(found, name) for name in ("in_use", "unused", "orphans", "partial") if getattr(found, name)}
    assert held == ({} if holder == "other" else {holder: 100})
    assert found.other == (600 if holder == "other" else 500)
    assert found.reclaimable == reclaimable
    assert found.known + (found.other or 0) + ROOM.free == ROOM.total


@pytest.mark.parametrize("state", ["pending", "in place", "absent"])
def test_what_is_not_on_the_volume_takes_none_of_it(state: str) -> None:
    found = space.of([change(state=state)], None)

    assert (found.known, found.reclaimable, found.other, found.room) == (0, 0, None, None)
    assert found.unmeasured == (1 if state == "pending" else 0)


def test_a_size_that_nobody_told_is_counted_as_unknown() -> None:
    assert space.of([change(bytes=None, state="fetching"), change()], None).unmeasured == 1


def test_numbers_of_different_times_give_no_negative_space() -> None:
    assert space.of([change(bytes=5000)], ROOM).other == 0


def test_an_attempt_beside_an_entry_is_apart_from_it() -> None:
    attempt = releases.on_volume("aa" * 8, "partial", entry=f"/models/.llmkube/staging/{'aa' * 8}", bytes=7)
    aside = releases.on_volume("aa" * 8, "damaged", entry=f"/models/.llmkube/quarantine/{'aa' * 8}.1", bytes=5)
    newer = releases.on_volume("aa" * 8, entry=f"/models/{'aa' * 8}-00000000", bytes=3)
    listed = (releases.on_volume("aa" * 8, bytes=100, pinned=True), attempt, aside, newer)
    cache = Cache("default", "claim")

    [entry] = entries(Snapshot(), [cache], [Volume("default", "claim", NOW, listed)])

    assert (entry.bytes, entry.unfinished, entry.pinned) == (115, 12, True)
    assert space.of([entry], None).partial == 12


class TestRooms:
    def pod(self, at: str, free: int, name: str = "p") -> Object:
        job = releases.of_kind(releases.serving(), "Job")
        report = releases.fetched(volume={"total": 1000, "free": free})
        pod = releases.pod_of(job, name, releases.job_pod(releases.ended(0, report, at=at), "Succeeded"))
        pod["metadata"]["namespace"] = "default"
        return pod

    def test_the_newest_report_tells_how_full_a_volume_was_and_when(self) -> None:
        found = space.rooms([self.pod("2026-01-03T00:00:00Z", 300), self.pod("2026-01-02T00:00:00Z", 500)])

        [room] = found.values()
        assert (room.total, room.free, room.scanned) == (1000, 300, False)
        assert room.observed == datetime(2026, 1, 3, tzinfo=timezone.utc)

    def test_a_scan_counts_for_more_than_any_report(self) -> None:
        volume = Volume("default", "web-model-cache", NOW, (), 1000, 100)

        found = space.rooms([self.pod("2999-01-01T00:00:00Z", 300)], [volume])

        assert found["default", "web-model-cache"] == space.Room(1000, 100, NOW, scanned=True)

    def test_a_pod_of_somebody_else_is_not_believed(self) -> None:
        pod = self.pod("2026-01-03T00:00:00Z", 300)
        del pod["metadata"]["labels"]["llmkube.dev/release"]

        assert space.rooms([pod]) == {}

    def test_a_report_without_sizes_tells_nothing(self) -> None:
        pod = self.pod("2026-01-03T00:00:00Z", 300)
        state = releases.ended(0, releases.fetched(volume={"total": "much"}))
        pod["status"] = releases.job_pod(state, "Succeeded")

        assert space.rooms([pod]) == {}
