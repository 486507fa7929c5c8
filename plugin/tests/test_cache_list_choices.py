"""`cache list` shows what it is asked for, in the order it is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import releases

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from fake_kubernetes import FakeKubernetes, Script

    from conftest import Run

GI = 1 << 30
KEYS = {"small": "0" * 16, "large": "1" * 16, "unknown": "2" * 16, "used": "3" * 16}
# Ages count from now on, so these are far enough apart for any day on which the test runs.
OLD, NEW = "2001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"


@pytest.fixture
def shelf(cluster: FakeKubernetes) -> FakeKubernetes:
    """Fill a cache with entries: small and long unused, large and used lately, used by a pod, and not heard of."""
    items = releases.release(
        "shelf",
        modelCache={"mode": "shared", "create": True, "size": "1Ti"},
        preload={"models": {name: {"source": f"hf://org/{name}/x.gguf"} for name in KEYS}},
    )
    cluster.add(*items)
    for job in (item for item in items if item["kind"] == "Job"):
        name = job["metadata"]["annotations"]["llmkube.dev/source"].split("/")[3]
        job["metadata"]["labels"]["llmkube.dev/key"] = KEYS[name]
        job["spec"]["template"]["metadata"]["labels"]["llmkube.dev/key"] = KEYS[name]
        cluster.add(job)
        if name == "unknown":
            continue
        size, at = {"small": (GI, OLD), "large": (20 * GI, NEW), "used": (5 * GI, OLD)}[name]
        report = releases.fetched(key=KEYS[name], size=size)
        cluster.add(releases.pod_of(job, name, releases.job_pod(releases.ended(0, report, at=at), "Succeeded")))
        if name == "used":
            cluster.add(releases.pod_of(job, "user", releases.job_pod({"running": {}}, "Running", "server")))
    return cluster


def names(result: Result) -> list[str]:
    """Return the entries that are listed, by the names above."""
    assert result.exit_code == 0, result.output
    listed = json.loads(result.stdout)["entries"]
    return [name for entry in listed for name, key in KEYS.items() if key == entry["key"]]


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("size>10Gi", {"large"}),
        ("size>=20Gi", {"large"}),
        ("size<5GiB", {"small"}),
        ("size<=5368709120", {"small", "used"}),
        ("size=1Gi", {"small"}),
        ("size!=1Gi", {"large", "used"}),
        (" accessed > 3650d ", {"small"}),
        ("accessed<1s", {"used"}),
        ("users>0", {"used"}),
        ("state=pending", {"unknown"}),
        ("state!=pending", {"small", "large", "used"}),
        ("source=hf://org/l*", {"large"}),
        ("source!=hf://org/l*", {"small", "unknown", "used"}),
        ("key=0000*", {"small"}),
        ("release=shelf", {"small", "large", "unknown", "used"}),
        ("claim=other", set()),
        ("namespace!=default", set()),
        ("revision=*", {"small", "large", "unknown", "used"}),
        ("created>1d", set()),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_a_filter_leaves_those_of_which_it_is_known_to_be_true(run: Run, expression: str, chosen: set[str]) -> None:
    assert set(names(run("cache", "list", "--filter", expression, "-o", "json"))) == chosen


@pytest.mark.usefixtures("shelf")
def test_several_filters_have_all_to_be_true(run: Run) -> None:
    assert names(run("cache", "list", "-f", "size>1Gi", "-f", "size<10Gi", "-o", "json")) == ["used"]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("size", "is no filter; write FIELD, one of = != > < >= <=, and a value"),
        ("colour=red", "there is no field 'colour', only accessed, claim, created, key"),
        ("size>large", "'large' is not what size is compared with; write 10Gi, 500M or bytes"),
        ("accessed>yesterday", "write 7d or 12h"),
        ("users>-1", "write a number"),
        ("state>complete", "state is text, and only = and != compare it"),
    ],
)
def test_a_filter_that_is_none_says_what_one_looks_like(run: Run, expression: str, told: str) -> None:
    result = run("cache", "list", "--filter", expression)

    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("size", ["large", "used", "small", "unknown"]),
        ("size:asc", ["small", "used", "large", "unknown"]),
        ("accessed", ["used", "large", "small", "unknown"]),
        ("accessed:asc", ["small", "large", "used", "unknown"]),
        ("name", ["large", "small", "unknown", "used"]),
        ("name:desc", ["used", "unknown", "small", "large"]),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_largest_newest_and_first_in_the_alphabet_come_first_and_the_unknown_last(
    run: Run, key: str, order: list[str]
) -> None:
    assert names(run("cache", "list", "--sort", key, "-o", "json")) == order


@pytest.mark.usefixtures("shelf")
def test_a_limit_counts_after_sorting(run: Run) -> None:
    assert names(run("cache", "list", "--sort", "size", "--limit", "2", "-o", "json")) == ["large", "used"]


def test_a_model_is_chosen_by_release_or_source(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b", source="hf://org/other/x.gguf"))

    assert run("cache", "list", "--model", "a", "-o", "name").stdout == f"{releases.TINY_KEY}\n"
    assert run("cache", "list", "--model", releases.TINY, "-o", "name").stdout == f"{releases.TINY_KEY}\n"
    assert "No entry is chosen, of 2 there are." in run("cache", "list", "--model", "c").stderr


def test_a_key_on_two_claims_is_named_once(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b"))

    assert run("cache", "list", "-o", "name").stdout == f"{releases.TINY_KEY}\n"


def test_entries_of_a_directory_are_chosen_alike(run: Run, tmp_path: Path) -> None:
    for name, size in (("small", 10), ("large", 1000)):
        (tmp_path / f"{name}.bin").write_bytes(bytes(size))
        run("cache", "preload", (tmp_path / f"{name}.bin").as_uri(), "--dir", str(tmp_path / "models"))

    def sources(*arguments: str) -> list[str]:
        document = json.loads(run("cache", "list", "--dir", str(tmp_path / "models"), "-o", "json", *arguments).stdout)
        return [entry["source"].rpartition("/")[2] for entry in document["entries"]]

    assert sources("--sort", "size") == ["large.bin", "small.bin"]
    assert sources("--sort", "name", "--limit", "1") == ["large.bin"]
    assert sources("--filter", "size<100") == ["small.bin"]
    assert sources("--model", (tmp_path / "large.bin").as_uri()) == ["large.bin"]


class TestScanOfMany:
    def test_a_few_volumes_are_read_at_once_and_their_jobs_go_as_they_are_read(
        self, cluster: FakeKubernetes, run: Run
    ) -> None:
        for number in range(11):
            cluster.add(*releases.serving(f"r{number}"))
        there: list[int] = []

        def play(_: releases.Object) -> Script:
            there.append(len(cluster.all("jobs")) - 11)  # beside the preload Jobs of the releases
            return releases.volume()

        cluster.plays = play

        result = run("cache", "list", "--scan")

        assert there == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8]
        assert len(cluster.all("jobs")) == 11
        assert "Read 1 of 11 volumes.\n" in result.stderr
        assert "Read 11 of 11 volumes.\n" in result.stderr

    def test_a_job_that_is_refused_does_not_hide_what_is_on_other_volumes(
        self, cluster: FakeKubernetes, run: Run
    ) -> None:
        cluster.add(*releases.serving("a"), *releases.serving("b"))
        cluster.plays = lambda _: releases.volume(releases.on_volume(releases.TINY_KEY))
        cluster.refuse("create", "jobs", 403, "exceeded quota", times=1)

        result = run("cache", "list", "--scan", "-o", "json")

        assert result.exit_code == 1
        assert "exceeded quota" in result.stderr
        states = {entry["claim"]: entry["state"] for entry in json.loads(result.stdout)["entries"]}
        assert states == {"a-model-cache": "pending", "b-model-cache": "complete"}
