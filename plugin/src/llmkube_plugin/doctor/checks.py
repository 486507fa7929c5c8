"""All checks, in the order in which they run. docs/plugin-doctor.md has a row for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from llmkube_plugin.doctor import (
    claims,
    limits,
    network,
    origins,
    ownership,
    placement,
    references,
    security,
    state,
    storage,
)
from llmkube_plugin.doctor.finding import NOTE, Finding, merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject


class Check(NamedTuple):
    """A name, and a function that yields what it finds."""

    name: str
    look: Callable[[Subject, Facts], Iterable[Finding]]


STORAGE = (
    Check("storage-class", storage.storage_class),
    Check("default-class", storage.no_default_class),
    Check("ready-volume", storage.ready_volume),
    Check("access-mode", storage.access_mode),
    Check("csi-driver", storage.driver_installed),
    Check("binding-mode", storage.binding_mode),
    Check("expansion", storage.expansion),
    Check("fs-group", storage.fs_group),
)
CLAIMS = (
    Check("claim-missing", claims.missing),
    Check("claim-lost", claims.lost),
    Check("claim-pending", claims.pending),
    Check("claim-change", claims.change),
    Check("claim-taken", claims.attached),
    Check("volume-node", claims.volume_node),
    Check("claim-size", origins.claim_size),
    Check("free-space", origins.free_space),
    Check("ephemeral-space", origins.ephemeral_space),
)
PLACEMENT = (
    Check("nodes", placement.no_nodes),
    Check("node-selector", placement.node_selector),
    Check("taints", placement.taints),
    Check("node-resources", placement.node_resources),
    Check("node-room", placement.node_room),
    Check("one-node", placement.one_node),
)
REFERENCES = (
    Check("secret", references.secrets),
    Check("config-map", references.config_maps),
    Check("pull-secret", references.pull_secrets),
    Check("service-account", references.service_account),
    Check("priority-class", references.priority_class),
    Check("runtime-class", references.runtime_class),
    Check("resource-claim", references.resource_claim),
    Check("image", references.image),
)
ADMISSION = (
    Check("pod-security", security.pod_security),
    Check("quota", limits.quota),
    Check("quota-demands", limits.quota_demands),
    Check("limit-range", limits.limit_range),
    Check("default-memory", limits.default_memory),
    Check("missing-kind", ownership.missing_kind),
    Check("owner", ownership.owner),
)
ORIGINS = (
    Check("network-policy", network.egress),
    Check("token", origins.token),
    Check("anonymous", origins.anonymous),
)
STATE = (
    Check("job-failed", state.job_failed),
    Check("pods-refused", state.pods_refused),
    Check("pod-waits", state.pod_waits),
)
CHECKS = (*STORAGE, *CLAIMS, *PLACEMENT, *REFERENCES, *ADMISSION, *ORIGINS, *STATE)
RIGHTS = "rights"  # not a look at anything, but what could not be looked at


def examine(subject: Subject, cluster: Facts) -> list[Finding]:
    """Return what all checks find."""
    found: list[Finding] = []
    for check in CHECKS:
        cluster.check = check.name
        found += [replace(finding, check=check.name) for finding in check.look(subject, cluster)]
    return found


def arranged(found: Iterable[Finding], cluster: Facts) -> list[Finding]:
    """Return findings with the worst first, and notes on what the user may not do."""
    return merged([*found, *_unread(cluster)])


def _unread(cluster: Facts) -> Iterable[Finding]:
    for (verb, resource, namespace), wanted in sorted(cluster.denied.items()):
        where = f"in namespace {namespace}" if namespace else "of the cluster"
        role = "Role" if namespace else "ClusterRole"
        what = f"You may not {verb} {resource} {where}. Not looked at: {', '.join(sorted(wanted))}."
        action = f"Ask for a {role} with the verb {verb} on {resource}."
        yield Finding(NOTE, (resource,), what, "", action, check=RIGHTS)
