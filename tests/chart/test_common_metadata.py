"""What users put on all objects is on all of them, and nowhere where it would start anything again."""

from __future__ import annotations

from chart.rendering import SERVING, Object, Renderer, nested, pod_templates
from chart.samples import AROUND

COMMON = {"commonLabels": {"example.com/team": "a"}, "commonAnnotations": {"example.com/wave": "1"}}


def _without_metadata(manifest: Object) -> Object:
    return {name: value for name, value in manifest.items() if name != "metadata"}


def test_common_labels_and_annotations_are_on_every_object(chart: Renderer) -> None:
    for values in ({**SERVING, **AROUND, **COMMON}, {"modelCache.size": "1Gi", **COMMON}):
        for manifest in chart.objects(nested(values)):
            assert manifest["metadata"]["labels"]["example.com/team"] == "a", manifest["kind"]
            assert manifest["metadata"]["annotations"]["example.com/wave"] == "1", manifest["kind"]


def test_common_labels_and_annotations_change_nothing_but_the_metadata_of_objects(chart: Renderer) -> None:
    before, after = (chart.objects(nested(values)) for values in (SERVING, {**SERVING, **COMMON}))
    assert [_without_metadata(manifest) for manifest in after] == [_without_metadata(manifest) for manifest in before]
    assert [manifest["metadata"]["name"] for manifest in after] == [manifest["metadata"]["name"] for manifest in before]


def test_what_selects_pods_selects_them_whatever_labels_a_user_adds(rendered: list[Object]) -> None:
    for manifest in rendered:
        if manifest["kind"] != "Deployment":
            continue
        (template,) = pod_templates(manifest)
        selector = manifest["spec"]["selector"]["matchLabels"]
        assert selector.items() <= template["metadata"]["labels"].items()
        services = [other for other in rendered if other["kind"] == "Service"]
        for service in services:
            assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
