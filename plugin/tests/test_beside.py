"""What a server loads beside its model (projectors, draft models, adapters) are entries like the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases
from releases import Object, fetched, of_kind

from llmkube_plugin import pods

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

DRAFT = "hf://org/repo/draft.gguf"
ADAPTER = "hf://org/german@v1/german.gguf"
BESIDE = {"draftModel": {"source": DRAFT}, "loraAdapters": {"german": {"source": ADAPTER}}}


def serving(**more: Any) -> list[Object]:
    values: dict[str, Any] = {"model": {"source": releases.TINY}, "modelCache": {"size": "1Gi"}, "runtime": BESIDE}
    return releases.release("web", **{**values, **more})


def keys(items: list[Object]) -> dict[str, str]:
    """Return the key of each source beside the model."""
    return {each.source: each.key for each in pods.beside(of_kind(items, "Deployment"))}


def pod(items: list[Object], *fetches: Object) -> Object:
    status = {"phase": "Pending", "initContainerStatuses": list(fetches)}
    return releases.pod_of(of_kind(items, "Deployment"), "web-1", status)


def listed(run: Run) -> dict[str, dict[str, Any]]:
    document = json.loads(run("cache", "list", "-o", "json").stdout)
    return {entry["source"]: entry for entry in document["entries"]}


def test_they_are_listed_before_anything_was_heard_of_them(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*serving(preload={"enabled": False}))

    entries = listed(run)

    assert set(entries) == {releases.TINY, DRAFT, ADAPTER}
    assert entries[ADAPTER]["revision"] == "v1"
    assert {(entry["state"], *entry["releases"]) for entry in entries.values()} == {("pending", "web")}


def test_each_has_the_report_of_its_own_container(cluster: FakeKubernetes, run: Run) -> None:
    items = serving()
    key = keys(items)[DRAFT]
    model = {"name": "fetch", "state": releases.ended(0, fetched(size=10))}
    draft = {"name": "fetch-draft", "state": releases.ended(0, fetched(key, DRAFT, 20))}
    cluster.add(*items, pod(items, model, draft))

    entries = listed(run)

    assert [entries[source]["bytes"] for source in (releases.TINY, DRAFT, ADAPTER)] == [10, 20, None]


def test_the_servers_pod_uses_all_of_them(cluster: FakeKubernetes, run: Run) -> None:
    items = serving()
    cluster.add(*items, pod(items))

    assert {tuple(entry["users"]) for entry in listed(run).values()} == {("web-1",)}


def test_one_that_fails_says_why_and_the_model_does_not_fail_with_it(cluster: FakeKubernetes, run: Run) -> None:
    items = serving()
    report = releases.failed(11, "auth", "no access to org/repo", "Ask its owner.")
    model = {"name": "fetch", "state": releases.ended(0, fetched())}
    cluster.add(*items, pod(items, model, {"name": "fetch-draft", "state": releases.ended(11, report)}))

    entries = listed(run)

    assert (entries[DRAFT]["state"], entries[DRAFT]["failure"]["name"]) == ("failed", "auth")
    assert (entries[releases.TINY]["state"], entries[releases.TINY]["failure"]) == ("complete", None)


def test_one_under_way_shows_the_last_thing_its_container_said(cluster: FakeKubernetes, run: Run) -> None:
    items = serving()
    model = {"name": "fetch", "state": releases.ended(0, fetched())}
    cluster.add(*items, pod(items, model, {"name": "fetch-draft", "state": {"running": {}}}))
    cluster.logs["web-1", "fetch-draft"] = "half of it\n"

    assert f"  fetching: {DRAFT} in web-1\n    half of it\n" in run("cache", "status").stdout
    assert listed(run)[releases.TINY]["state"] == "complete"


def test_one_in_use_is_not_cleared(cluster: FakeKubernetes, run: Run) -> None:
    items = serving()
    cluster.add(*items, pod(items))
    cluster.plays = lambda _: releases.volume(releases.on_volume(keys(items)[DRAFT], source=DRAFT))

    result = run("cache", "clear", keys(items)[DRAFT], "--yes")

    assert result.exit_code != 0
    assert "web-1" in result.output


def test_without_preload_jobs_each_is_fetched_as_the_servers_pod_would(cluster: FakeKubernetes, run: Run) -> None:
    other = {"draftModel": {"source": DRAFT, "existingSecret": "other"}}
    items = serving(preload={"enabled": False}, runtime=other)
    cluster.add(*items)

    assert run("cache", "preload", "web", "--no-wait").exit_code == 0

    jobs = {job["metadata"]["annotations"]["llmkube.dev/source"]: job for job in cluster.created("jobs")}
    template = jobs[DRAFT]["spec"]["template"]
    [container] = template["spec"]["containers"]
    assert set(jobs) == {releases.TINY, DRAFT}
    assert (container["name"], container["args"]) == ("fetch", ["fetch", DRAFT])
    assert jobs[DRAFT]["metadata"]["labels"]["llmkube.dev/key"] == keys(items)[DRAFT]
    assert template["metadata"]["labels"]["llmkube.dev/key"] == keys(items)[DRAFT]
    assert "llmkube.dev/entries" not in template["metadata"]["annotations"]
    assert [volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume] == ["other"]
    assert "LLMKUBE_POD_UID" not in {variable["name"] for variable in container["env"]}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fetch-draft": 1}', '{"fetch-draft": {}}', "null"])
def test_what_can_not_be_read_names_nothing(text: str) -> None:
    assert pods.beside({"metadata": {"annotations": {"llmkube.dev/entries": text}}}) == []


def test_the_container_of_an_entry_is_that_of_its_key() -> None:
    item = of_kind(serving(), "Deployment")
    found = {pods.fetch_container(item, each.key) for each in pods.beside(item)}
    assert found == {"fetch-draft", "fetch-lora-german"}
    assert pods.fetch_container(item, releases.TINY_KEY) == "fetch"
