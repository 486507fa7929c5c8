"""The chart gives servers the path under which the downloader stores what a URL holds."""

from __future__ import annotations

import pytest

from chart.rendering import Renderer, nested
from llmkube_downloader.sources.http import file_name
from llmkube_downloader.store.layout import entry_names

CUSTOM = {
    "modelCache.size": "20Gi",
    "runtime.name": "custom",
    "runtime.image.repository": "a",
    "runtime.image.tag": "b",
}


@pytest.mark.parametrize(
    ("url", "shards"),
    [
        ("https://example.com/q4/tiny.gguf?download=true", 1),
        ("https://example.com/tiny%2Egguf", 1),
        ("https://example.com/q%2Fa%20b-00001-of-00002.gguf?x=1", 2),
        ("https://example.com/100%zz%41%-00001-of-00002.gguf", 2),
        ("https://example.com/a%252541-00001-of-00002.gguf", 2),
        ("https://example.com/%C3%A4+b-00001-of-00002.gguf", 2),
        ("https://example.com/a%3Fb%23c-00001-of-00002.gguf", 2),
    ],
)
def test_a_server_finds_what_a_url_was_stored_as(chart: Renderer, url: str, shards: int) -> None:
    urls = [url, *(url.replace("00001-of", f"0000{number}-of") for number in range(2, shards + 1))]
    stored = entry_names([file_name(each) for each in urls] if shards > 1 else [file_name(url)])[file_name(url)]
    objects = chart.objects(nested({**CUSTOM, "model.source": url}))
    deployment = next(manifest for manifest in objects if manifest["kind"] == "Deployment")
    variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    path = next(variable["value"] for variable in variables if variable["name"] == "LLMKUBE_MODEL_PATH")
    key = deployment["metadata"]["labels"]["llmkube.dev/key"]
    assert path == f"/entries/{key}/{stored}".replace("$", "$$")
