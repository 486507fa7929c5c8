"""A namespace as a team has it after some months: several caches, some in trouble."""

from __future__ import annotations

from typing import Any

import releases
from fake_kubernetes import Script
from releases import Object, ended, failed, fetched, job_pod, of_kind, on_volume, pod_of

GI = 1 << 30
ORPHAN = "00112233445566aa"
HOSTILE = "<script>alert('x')</script>\"'&"


def serving(name: str, source: str, **cache: Any) -> list[Object]:
    return releases.serving(name, source, **cache)


def key_of(items: list[Object]) -> str:
    return str(of_kind(items, "Deployment")["metadata"]["labels"]["llmkube.dev/key"])


def run_of(
    items: list[Object], pod: str, gib: float, *, at: str, seconds: float, result: str = "fetched", free: float = 100
) -> Object:
    """Return the pod of a release's server, which runs and whose fetch came to something."""
    size = int(gib * GI)
    room = {"total": 200 * GI, "free": int(free * GI)}
    moved = {"bytesFetched": 0 if result == "hit" else size, "seconds": seconds, "volume": room}
    report = fetched(key_of(items), "", size, result=result, **moved)
    return pod_of(of_kind(items, "Deployment"), pod, releases.served(report, at))


def objects() -> list[Object]:
    """Return three caches of a namespace: one served by many pods, one that fails, one that is being filled."""
    chat = serving("chat", "hf://org/chat-8b-instruct/chat-8b-q4_k_m.gguf", size="200Gi", storageClass="fast-nvme")
    code = serving("code-assistant", "hf://big-org/code-70b/code-q6_k.gguf", size="300Gi", accessMode="ReadWriteMany")
    vision = serving("vision", "https://models.example.com/vision/2026-01/vision-q8.gguf", size="50Gi")
    denied = failed(
        11,
        "auth",
        "hf://big-org/code-70b/code-q6_k.gguf is gated and no token was given",
        "Put HF_TOKEN into model.existingSecret.",
    )
    fetching = {"name": "fetch", "state": {"running": {"startedAt": "2026-01-05T11:40:00Z"}}}
    return [
        *chat,
        *code,
        *vision,
        pod_of(
            of_kind(chat, "Job"),
            "chat-preload-1",
            job_pod(ended(0, _preloaded(chat), "2026-01-02T03:30:00Z"), "Succeeded"),
        ),
        run_of(chat, "chat-6d4b9c-aaaaa", 4.6, at="2026-01-02T04:00:00Z", seconds=0.1, result="hit", free=180),
        run_of(chat, "chat-6d4b9c-bbbbb", 4.6, at="2026-01-04T16:20:00Z", seconds=0.1, result="hit", free=150),
        pod_of(of_kind(code, "Job"), "code-preload-1", job_pod(ended(11, denied, "2026-01-05T09:10:00Z"), "Failed")),
        pod_of(of_kind(vision, "Deployment"), "vision-1", {"phase": "Pending", "initContainerStatuses": [fetching]}),
        releases.stranger("notebook-of-ada", "vision-model-cache"),
    ]


def _preloaded(items: list[Object]) -> Object:
    room = {"total": 200 * GI, "free": 190 * GI}
    return fetched(key_of(items), "", int(4.6 * GI), seconds=212.4, volume=room)


def volume(job: Object) -> Script:
    """Return what a scan finds on the volume of a cache."""
    if not job["metadata"]["annotations"]["llmkube.dev/claim"].startswith("chat"):
        return _listed(200 * GI, 200 * GI)
    key = key_of(serving("chat", "hf://org/chat-8b-instruct/chat-8b-q4_k_m.gguf"))
    return _listed(
        200 * GI,
        60 * GI,
        on_volume(key, bytes=int(4.6 * GI), source="hf://org/chat-8b-instruct/chat-8b-q4_k_m.gguf"),
        on_volume(ORPHAN, bytes=70 * GI, source="hf://old-org/chat-34b-which-nobody-serves-any-more"),
        on_volume("ab" * 8, bytes=30 * GI, source="s3://weights/embeddings/large", pinned=True),
        on_volume("cd" * 8, "partial", bytes=9 * GI, source=None, entry=f"/models/.llmkube/staging/{'cd' * 8}"),
        on_volume("ef" * 8, "damaged", bytes=2 * GI, problem="model-00002-of-00004.safetensors is missing"),
        on_volume(None, "foreign", bytes=GI, entry="/models/lost-notes", source=None),
    )


def _listed(total: int, free: int, *entries: Object) -> Script:
    space = {"total": total, "free": free}
    return releases.maintenance_says({"schema": 1, "root": "/models", "volume": space, "entries": entries})
