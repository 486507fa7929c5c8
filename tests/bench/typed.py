"""Lists the entries of all namespaces through the typed models of the Kubernetes client: what `cache list` does not do.

python -m bench.typed KUBECONFIG

It asks for the same five kinds, in pages of the same size, and prints one line for each entry: namespace, key, claim,
source, releases, bytes and pods. It knows fewer states than `cache list`, and so has less to do.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from kubernetes import client, config

_OURS = "llmkube.dev/release"


def main() -> None:
    """Print the lines."""
    config.load_kube_config(sys.argv[1])
    core, batch, apps = client.CoreV1Api(), client.BatchV1Api(), client.AppsV1Api()
    pods = list(_pages(core.list_pod_for_all_namespaces))
    items = [
        *_pages(batch.list_job_for_all_namespaces, label_selector=_OURS),
        *_pages(batch.list_cron_job_for_all_namespaces, label_selector=_OURS),
        *_pages(apps.list_deployment_for_all_namespaces, label_selector=_OURS),
        *pods,
    ]
    claims = {(item.metadata.namespace, item.metadata.name) for item in _pages(_list_claims(core))}
    for place, seen in sorted(_entries(items).items()):
        assert place[:2] in claims
        releases = {item.metadata.labels[_OURS] for item in seen}
        sizes = [size for item in seen for size in _sizes(item)]
        users = [item.metadata.name for item in seen if getattr(item.status, "phase", "") == "Running"]
        source = seen[0].metadata.annotations["llmkube.dev/source"]
        print(*place, source, ",".join(releases), max(sizes, default=0), ",".join(users), sep="  ")


def _list_claims(core: Any) -> Callable[..., Any]:
    found: Callable[..., Any] = core.list_persistent_volume_claim_for_all_namespaces
    return found


def _pages(listing: Callable[..., Any], **selectors: str) -> Iterator[Any]:
    more = None
    while True:
        answer = listing(limit=500, _continue=more, **selectors)
        yield from answer.items
        more = answer.metadata._continue
        if not more:
            return


def _entries(items: list[Any]) -> dict[tuple[str, str, str], list[Any]]:
    """Return what names an entry, by namespace, claim and key."""
    found = defaultdict(list)
    for item in items:
        key = (item.metadata.labels or {}).get("llmkube.dev/key")
        if key:
            claim = item.metadata.annotations["llmkube.dev/claim"]
            found[item.metadata.namespace, claim, key].append(item)
    return found


def _sizes(item: Any) -> Iterator[int]:
    """Yield the sizes that the containers of a pod reported."""
    for name in ("init_container_statuses", "container_statuses"):
        for status in getattr(item.status, name, None) or []:
            if status.state.terminated and status.state.terminated.message:
                yield json.loads(status.state.terminated.message)["bytesTotal"]


if __name__ == "__main__":
    main()
