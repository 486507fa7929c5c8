"""Whether what pods fetch can be had, and whether there is room for it, as far as the objects tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, pods, units
from llmkube_plugin.doctor import facts
from llmkube_plugin.doctor.amounts import amount
from llmkube_plugin.doctor.finding import NOTE, PROBLEM, WARNING, Finding, Value
from llmkube_plugin.doctor.nodes import is_ready, selected
from llmkube_plugin.doctor.storage import values_of
from llmkube_plugin.doctor.subject import title, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject, Workload
    from llmkube_plugin.kube import Object

_FULL = "The download ends with exit code 14 (no-space)."
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def token(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find Secrets for a hub that hold no token under the name under which it is looked for."""
    for workload in subject.workloads:
        for volume in workload.spec.get("volumes") or []:
            name = (volume.get("secret") or {}).get("secretName")
            if volume["name"] != contract.VOLUME_CREDENTIALS or not name:
                continue
            secret = cluster.one(facts.SECRETS, name)
            hubs = [each for each in workload.fetches if each["args"][1].startswith("hf://")]
            if secret and hubs and not set(_TOKENS) & set(secret.get("data") or {}):
                keys = ", ".join(sorted(secret.get("data") or {})) or "none"
                what = f"Its Secret {name} has no key HF_TOKEN, so the hub is asked without a token. Its keys: {keys}."
                causes = "A gated or private repository ends with exit code 11 (auth)."
                action = f"`kubectl -n {cluster.namespace} patch secret {name} --type merge "
                action += """-p '{"stringData": {"HF_TOKEN": "..."}}'`"""
                yield Finding(WARNING, (workload.title,), what, causes, action)


def anonymous(subject: Subject, _: Facts) -> Iterator[Finding]:
    """Name the hub's repositories that are asked for without a token."""
    for workload in subject.workloads:
        for container in workload.fetches:
            env = dict(variables(container))
            if container["args"][1].startswith("hf://") and not {*_TOKENS, contract.VARIABLE_CREDENTIALS} & set(env):
                what = f"It asks for {_shown(container['args'][1])} without a token."
                causes = "A gated or private repository ends with exit code 11 (auth); --online finds out."
                value = Value("model.existingSecret", "hf-token")
                yield Finding(NOTE, (workload.title,), what, causes, "", value)


def _shown(source: str) -> str:
    return source.partition("?")[0]


def claim_size(subject: Subject, _: Facts) -> Iterator[Finding]:
    """Find claims that are smaller than what is to be downloaded to them."""
    own = {pods.name(claim): claim for claim in subject.claims}
    for name, claim in sorted({**subject.live_claims, **own}.items()):
        needed = sum(_declared(subject, name).values())
        size = claim["spec"]["resources"]["requests"]["storage"]
        if name not in own:
            size = (claim.get("status", {}).get("capacity") or {}).get("storage", size)
        if needed > amount(size):
            what = f"It has {size}, and the weights that are downloaded to it take {units.size(needed)}."
            value = Value(f"{values_of(claim)}.size", _with_headroom(needed)) if name in own else None
            yield Finding(PROBLEM, (title(claim),), what, _FULL, "" if value else "Let the claim grow.", value)


def free_space(subject: Subject, _: Facts) -> Iterator[Finding]:
    """Find claims in use without room for what is not on them yet, as the newest report saw them."""
    for name, there in sorted(subject.live_claims.items()):
        report = _newest_report(subject, name)
        space = report.get("volume") or {}
        if space.get("free") is None:
            continue
        held = {str(each.get("key")) for each in _reports(subject, name)}
        needed = sum(size for key, size in _declared(subject, name).items() if key not in held)
        if needed > space["free"]:
            size = there["spec"]["resources"]["requests"]["storage"]
            free = units.size(space["free"])
            what = f"At the last report {free} were free, and what is still to come takes {units.size(needed)}."
            action = "Or free space: `helm llmkube cache clear`."
            value = Value("modelCache.size", _with_headroom(int(amount(size)) + needed - int(space["free"])))
            yield Finding(PROBLEM, (title(there),), what, _FULL, action, value)


def ephemeral_space(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find caches in the pods' own directories that are too small, or larger than what nodes have."""
    for workload in subject.running:
        limit = _own_directory(workload)
        if not limit:
            continue
        nodes = [node for node in cluster.all(facts.NODES) or [] if is_ready(node)]
        needed = sum(_declared_by(workload).values())
        if needed > amount(limit):
            what = f"Its cache may become {limit}, and its weights take {units.size(needed)}."
            value = Value("modelCache.size", _with_headroom(needed))
            yield Finding(PROBLEM, (workload.title,), what, "The pod is evicted while it downloads.", "", value)
        fitting = [node for node in nodes if selected(node, workload.spec)]
        offered = [node["status"].get("allocatable") or {} for node in fitting]  # a node that just came says nothing
        most = max((amount(each.get("ephemeral-storage")) for each in offered), default=None)
        if most is not None and max(needed, int(amount(limit))) > most:
            what = f"Its cache may become {limit} on the node's own disk, and the largest has {units.size(int(most))}."
            causes = "The pod is evicted when the disk is full, and begins again."
            severity = PROBLEM if needed > most else WARNING
            yield Finding(severity, (workload.title,), what, causes, "", Value("modelCache.mode", "perModel"))


def _own_directory(workload: Workload) -> str:
    """Return how large the cache in a pod's own directory may become, empty when the cache is elsewhere."""
    for volume in workload.spec.get("volumes") or []:
        if volume["name"] == "model-cache" and "emptyDir" in volume:
            return str((volume["emptyDir"] or {}).get("sizeLimit") or "")
    return ""


def _declared(subject: Subject, claim: str) -> dict[str, int]:
    """Return the bytes of what is downloaded to a claim, by key, as far as the values say them."""
    found: dict[str, int] = {}
    for workload in subject.workloads:
        if pods.annotation(workload.item, contract.ANNOTATION_CLAIM) == claim:
            found |= _declared_by(workload)
    return found


def _declared_by(workload: Workload) -> dict[str, int]:
    found = {}
    for container in workload.fetches:
        sizes = [text.partition("=")[2] for text in container["args"] if text.startswith("--expect-size=")]
        if sizes:
            found[_key(workload, container)] = int(sizes[-1])
    return found


def _key(workload: Workload, container: Object) -> str:
    beside = {each.container: each.key for each in pods.beside(workload.item)}
    return beside.get(container["name"]) or pods.label(workload.item, contract.LABEL_KEY) or container["args"][1]


def _reports(subject: Subject, claim: str) -> list[Object]:
    """Return the reports of fetches that ended well on a claim, the oldest first."""
    found = []
    for pod in subject.all_pods:
        if pods.annotation(pod, contract.ANNOTATION_CLAIM) == claim:
            names = {contract.CONTAINER_FETCH, *(each.container for each in pods.beside(pod))}
            ends = [end for name in names for end in pods.ended(pod, name)]
            found += [(end.finished, end.report) for end in ends if end.exit_code == 0 and end.report and end.finished]
    return [report for _, report in sorted(found, key=lambda each: each[0])]


def _newest_report(subject: Subject, claim: str) -> Object:
    return next(reversed(_reports(subject, claim)), {})


def _with_headroom(needed: int) -> str:
    """Return a size with a tenth more than what is needed, as the chart takes it."""
    mebibytes = -(-needed * 11 // 10) // 2**20 + 1
    return f"{mebibytes}Mi" if mebibytes < 1024 else f"{-(-mebibytes // 1024)}Gi"
