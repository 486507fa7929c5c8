"""Which pods may have an entry open is known without asking every pod about every entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import releases

from llmkube_plugin import pods
from llmkube_plugin.model import Cache

if TYPE_CHECKING:
    import pytest


def test_each_pod_is_asked_once_however_many_entries_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    server = releases.of_kind(releases.serving(), "Deployment")
    mounted = tuple(releases.pod_of(server, f"web-{number}", releases.served()) for number in range(3))
    cache = Cache("default", "web-model-cache", mounted_by=(*mounted, releases.stranger("notebook", "web-model-cache")))
    asked = []
    keys = pods.keys

    def counted(pod: releases.Object) -> set[str]:
        asked.append(pods.name(pod))
        return keys(pod)

    monkeypatch.setattr(pods, "keys", counted)

    assert cache.users(releases.TINY_KEY) == ("web-0", "web-1", "web-2", "notebook")
    assert [cache.users(f"{number:016x}") for number in range(10)] == [("notebook",)] * 10
    assert asked == ["web-0", "web-1", "web-2", "notebook"]
