"""Objects as server-side apply wants them: each name once in its list, and no field that says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from chart.rendering import SERVING, Object, RefusedError, Renderer, containers, nested, pod_templates

# Empty, these say something: a directory of the pod; nobody may come in; all pods.
MEANING_WHEN_EMPTY = {"emptyDir", "ingress", "podSelector"}
LARGE = 34359738368


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, below in value.items():
            yield f"{path}.{name}", below
            yield from _fields(below, f"{path}.{name}")
    elif isinstance(value, list):
        for below in value:
            yield from _fields(below, f"{path}[]")


def test_no_field_is_null_or_empty_because_who_applies_it_would_own_it(rendered: list[Object]) -> None:
    for manifest in rendered:
        for path, value in _fields(manifest):
            if path.rpartition(".")[2] not in MEANING_WHEN_EMPTY:
                assert value not in (None, {}, []), f"{manifest['kind']}{path}"


def _twice(items: list[Any]) -> list[Any]:
    return [item for index, item in enumerate(items) if item in items[:index]]


def test_no_volume_container_or_toleration_of_a_pod_is_there_twice(rendered: list[Object]) -> None:
    for manifest in rendered:
        for template in pod_templates(manifest):
            pod = template["spec"]
            assert _twice([volume["name"] for volume in pod["volumes"]]) == []
            assert _twice([container["name"] for container in containers(manifest)]) == []
            assert _twice(pod.get("tolerations", [])) == []
            assert _twice(pod.get("imagePullSecrets", [])) == []


def test_no_container_mounts_two_volumes_at_one_place_or_one_that_is_not_there(rendered: list[Object]) -> None:
    for manifest in rendered:
        volumes = {volume["name"] for template in pod_templates(manifest) for volume in template["spec"]["volumes"]}
        for container in containers(manifest):
            mounts = container.get("volumeMounts", [])
            assert _twice([mount["mountPath"] for mount in mounts]) == []
            assert {mount["name"] for mount in mounts} <= volumes


def test_only_downloads_write_to_the_cache_and_see_credentials(rendered: list[Object]) -> None:
    for manifest in rendered:
        for container in containers(manifest):
            mounts = {mount["name"]: mount for mount in container.get("volumeMounts", [])}
            if "llmkube-downloader" not in container["image"]:
                assert "credentials" not in mounts, container["name"]
                assert mounts.get("model-cache", {"readOnly": True})["readOnly"], container["name"]


def test_only_the_server_holds_gpus(rendered: list[Object]) -> None:
    for manifest in rendered:
        for container in containers(manifest):
            resources = container.get("resources", {})
            assert container["name"] == "server" or not (resources.get("limits") or resources.get("claims"))


def test_large_numbers_of_the_user_have_no_exponent(chart: Renderer) -> None:
    manifest = {"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": {"bytes": LARGE}}
    values = {"server.resources": {"limits": {"memory": LARGE}}, "extraObjects": {"a": manifest}}
    text = chart.text(nested({**SERVING, **values, "server.gpu.resourceName": "a.b/c", "server.gpu.count": 10000000}))
    assert f"memory: {LARGE}" in text
    assert f"bytes: {LARGE}" in text
    assert "a.b/c: 10000000" in text
    assert re.findall(r"[0-9.]e[+][0-9]", text) == []


def test_names_of_the_charts_own_containers_and_volumes_are_taken(chart: Renderer) -> None:
    values = nested({**SERVING, "modelCache.hold": True, "server.sharedMemory.enabled": True})
    (deployment,) = (manifest for manifest in chart.objects(values) if manifest["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    for name in [container["name"] for container in containers(deployment)]:
        with pytest.raises(RefusedError, match=f"the name {name} is taken"):
            chart.text({**values, "server": {"extraContainers": [{"name": name, "image": "a"}]}})
    for name in [volume["name"] for volume in pod["volumes"]]:
        extra = {"extraVolumes": [{"name": name, "emptyDir": {}}], "sharedMemory": {"enabled": True}}
        with pytest.raises(RefusedError, match=f"the name {name} is taken"):
            chart.text({**values, "server": extra})
