"""Whether pods pass the Pod Security level that their namespace enforces, by the published standards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import pods
from llmkube_plugin.doctor.finding import PROBLEM, Finding, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject, Workload
    from llmkube_plugin.kube import Object

_LABEL = "pod-security.kubernetes.io/enforce"
_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_ADDED = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
    *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
_PROFILES = ("RuntimeDefault", "Localhost")
# A rule that a pod breaks, in words, and the chart's value that keeps it.
_Broken = tuple[str, Value | None]


def pod_security(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods that the namespace's Pod Security level forbids."""
    namespace = cluster.home()
    level = pods.label(namespace, _LABEL) if namespace else ""
    for workload in subject.workloads:
        for broken, value in violations(workload, level):
            what = f"The namespace enforces Pod Security {level}, which its pods break: {broken}."
            causes = "The API server refuses its pods: none is ever made."
            action = "" if value else "Leave that out, or use a namespace that enforces less."
            yield Finding(PROBLEM, (workload.title,), what, causes, action, value)


def violations(workload: Workload, level: str) -> Iterator[_Broken]:
    """Yield what the pods of a workload break of a level: `baseline` or `restricted`; others forbid nothing."""
    if level in ("baseline", "restricted"):
        yield from _baseline_pod(workload.spec)
        for container in workload.containers:
            yield from _baseline_container(container)
    if level == "restricted":
        yield from _restricted_pod(workload.spec)
        for container in workload.containers:
            yield from _restricted_container(container, workload.spec.get("securityContext") or {})


def _baseline_pod(spec: Object) -> Iterator[_Broken]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is set", None
    for volume in spec.get("volumes") or []:
        if "hostPath" in volume:
            yield f"the volume {volume['name']} is a hostPath", None
    if _profile(spec.get("securityContext") or {}) == "Unconfined":
        yield "seccompProfile.type is Unconfined", Value("podSecurityContext.seccompProfile.type", _PROFILES[0])


def _baseline_container(container: Object) -> Iterator[_Broken]:
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "a container is privileged", Value("securityContext.privileged", False)
    added = set((context.get("capabilities") or {}).get("add") or []) - _ADDED
    if added:
        yield f"a container adds the capability {min(added)}", Value("securityContext.capabilities.add", [])
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "a container has a hostPort", None
    if _profile(context) == "Unconfined":
        yield (
            "seccompProfile.type of a container is Unconfined",
            _own("seccompProfile", {"type": _PROFILES[0]}),
        )


def _restricted_pod(spec: Object) -> Iterator[_Broken]:
    for volume in spec.get("volumes") or []:
        others = set(volume) - {"name"} - _VOLUMES - {"hostPath"}
        if others:
            yield f"the volume {volume['name']} is a {min(others)}", None
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        yield "runAsUser is 0", Value("podSecurityContext.runAsUser", 10001)


def _restricted_container(container: Object, pod: Object) -> Iterator[_Broken]:
    context = container.get("securityContext") or {}
    capabilities = context.get("capabilities") or {}
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation of a container is not false", _own("allowPrivilegeEscalation", False)
    if "ALL" not in (capabilities.get("drop") or []):
        yield "a container does not drop ALL capabilities", _own("capabilities.drop", ["ALL"])
    if set(capabilities.get("add") or []) & (_ADDED - {"NET_BIND_SERVICE"}):
        yield "a container adds capabilities", _own("capabilities.add", [])
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot of a container is not true", Value("podSecurityContext.runAsNonRoot", True)
    if context.get("runAsUser") == 0:
        yield "runAsUser of a container is 0", _own("runAsUser", 10001)
    if (_profile(context) or _profile(pod)) not in (*_PROFILES, "Unconfined"):
        value = Value("podSecurityContext.seccompProfile.type", _PROFILES[0])
        yield "a container has no seccompProfile RuntimeDefault", value


def _own(field: str, example: object) -> Value:
    return Value(f"securityContext.{field}", example)


def _profile(context: Object) -> str:
    return str((context.get("seccompProfile") or {}).get("type") or "")
