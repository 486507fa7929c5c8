"""Whether the volumes of claims can be made: classes, their drivers, and what those can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, pods, units
from llmkube_plugin.doctor import drivers, facts
from llmkube_plugin.doctor.finding import NOTE, PROBLEM, WARNING, Finding, Value, named
from llmkube_plugin.doctor.subject import title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject
    from llmkube_plugin.kube import Object

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_PENDING = "The claim stays Pending, and so do all pods that mount it: `helm install --wait` ends with its timeout."
ONE_NODE_MODES = ("ReadWriteOnce", "ReadWriteOncePod")


def values_of(claim: Object) -> str:
    """Return the part of the values that a claim of the chart is made from."""
    artifacts = pods.label(claim, contract.LABEL_COMPONENT) == contract.COMPONENT_ARTIFACTS
    return "artifactCache" if artifacts else "modelCache"


def unbound(subject: Subject) -> Iterator[Object]:
    """Yield the claims whose volumes are still to be made or found."""
    for claim in subject.claims if subject.knows_claims else ():
        there = subject.live_claims.get(pods.name(claim), {})
        if there.get("status", {}).get("phase") not in ("Bound", "Lost"):
            yield claim


def default_class(classes: list[Object]) -> Object | None:
    """Return the class that a claim without one gets: of several that are default, the newest."""
    chosen = [item for item in classes if pods.annotation(item, _DEFAULT) == "true"]
    return max(chosen, key=lambda item: str(item["metadata"].get("creationTimestamp") or ""), default=None)


def class_of(claim: Object, cluster: Facts) -> Object | None:
    """Return the class of a claim, None when it has none or none that is known."""
    name = claim["spec"].get("storageClassName")
    classes = cluster.all(facts.CLASSES) or []
    if name is None:
        return default_class(classes)
    return next((item for item in classes if pods.name(item) == name), None)


def storage_class(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that name a class that does not exist."""
    classes = cluster.all(facts.CLASSES)
    for claim in unbound(subject) if classes is not None else ():
        name = claim["spec"].get("storageClassName")
        if not name or class_of(claim, cluster) or _has_volume(claim, cluster):
            continue
        default = default_class(classes or [])
        what = f"It names the storage class {name}, which does not exist. There are: {_listed(classes or [])}."
        example = pods.name(default or (classes or [claim])[0]) if classes else None
        value = Value(f"{values_of(claim)}.storageClass", example) if classes else None
        # A volume made by hand that may not be seen could carry the name.
        severity = WARNING if cluster.all(facts.VOLUMES) is None else PROBLEM
        yield Finding(severity, (title(claim),), what, _PENDING, "" if value else _MAKE_CLASS, value)


_MAKE_CLASS = "Install a driver that makes volumes, and a class for it; or a volume by hand, with the same class name."


def _listed(classes: list[Object]) -> str:
    default = default_class(classes)
    return named(f"{pods.name(item)}{' (default)' if item is default else ''}" for item in classes)


def no_default_class(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that leave their class to a cluster without a default one."""
    classes = cluster.all(facts.CLASSES)
    if classes is None or default_class(classes):
        return
    for claim in unbound(subject):
        if claim["spec"].get("storageClassName") is not None:
            continue
        what = f"It names no storage class, and no class is the cluster's default. There are: {_listed(classes)}."
        value = Value(f"{values_of(claim)}.storageClass", pods.name(classes[0])) if classes else None
        yield Finding(PROBLEM, (title(claim),), what, _PENDING, "" if value else _MAKE_CLASS, value)


def ready_volume(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that want a volume made by hand, where there is none that fits."""
    for claim in unbound(subject):
        without_class = claim["spec"].get("storageClassName") == ""
        if not (without_class or claim["spec"].get("volumeName")) or cluster.all(facts.VOLUMES) is None:
            continue
        if not _has_volume(claim, cluster):
            wanted = claim["spec"].get("volumeName")
            which = f"the volume {wanted}" if wanted else "a volume without a class"
            what = f"It wants {which}, and none is free that is large enough and has its access mode."
            default = default_class(cluster.all(facts.CLASSES) or [])
            value = Value(f"{values_of(claim)}.storageClass", pods.name(default)) if default else None
            yield Finding(PROBLEM, (title(claim),), what, _PENDING, "Make such a PersistentVolume.", value)


def _has_volume(claim: Object, cluster: Facts) -> bool:
    """Return whether a volume that is there could become the claim's."""
    spec = claim["spec"]
    wanted = units.quantity(spec["resources"]["requests"]["storage"]) or 0
    for volume in cluster.all(facts.VOLUMES) or []:
        offered = volume["spec"]
        reserved = offered.get("claimRef")
        mine = reserved and (reserved.get("namespace"), reserved["name"]) == (cluster.namespace, pods.name(claim))
        fits = (
            (offered.get("storageClassName") or "") == (spec.get("storageClassName") or "")
            and set(spec["accessModes"]) <= set(offered.get("accessModes") or [])
            and (units.quantity(offered["capacity"]["storage"]) or 0) >= wanted
            and spec.get("volumeName") in (None, "", pods.name(volume))
        )
        if fits and (mine or volume.get("status", {}).get("phase") == "Available"):
            return True
    return False


def access_mode(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims whose access mode the driver of their class does not have."""
    for claim in unbound(subject):
        chosen = class_of(claim, cluster)
        wide = [mode for mode in claim["spec"]["accessModes"] if mode == "ReadWriteMany"]
        if not chosen or not wide or not drivers.one_node(chosen["provisioner"]):
            continue
        what = (
            f"It wants {wide[0]} of the class {pods.name(chosen)}, and volumes of {chosen['provisioner']} are on one "
            "node at a time."
        )
        others = [item for item in cluster.all(facts.CLASSES) or [] if drivers.shared(item["provisioner"])]
        part = values_of(claim)
        value = Value(f"{part}.accessMode", ONE_NODE_MODES[0])
        if others:
            value = Value(f"{part}.storageClass", pods.name(others[0]))
        more = "A shared file system, such as NFS or CephFS, has it." if not others else ""
        yield Finding(PROBLEM, (title(claim),), what, _PENDING, more, value)


def driver_installed(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find classes whose CSI driver is not installed, or not on a node that could run pods."""
    known = cluster.all(facts.DRIVERS)
    for claim in unbound(subject):
        chosen = class_of(claim, cluster)
        if not chosen or known is None or chosen["provisioner"] == drivers.NOBODY:
            continue
        driver = drivers.driver(chosen["provisioner"])
        if driver in map(pods.name, known):
            yield from _missing_on_nodes(claim, driver, cluster)
        elif drivers.is_csi(chosen["provisioner"]):
            what = f"Its class {pods.name(chosen)} is of the CSI driver {driver}, which is not installed."
            action = "Install the driver, or name another class."
            default = default_class(cluster.all(facts.CLASSES) or [])
            usable = default if default is not chosen else None
            value = Value(f"{values_of(claim)}.storageClass", pods.name(usable)) if usable else None
            yield Finding(PROBLEM, (title(claim),), what, _PENDING, action, value)


def _missing_on_nodes(claim: Object, driver: str, cluster: Facts) -> Iterator[Finding]:
    """Find the nodes that can not mount volumes of a driver; one that registered none may be about to."""
    nodes = cluster.all(facts.DRIVER_NODES) or []
    without = [node for node in nodes if driver not in [each["name"] for each in node["spec"].get("drivers") or []]]
    if without:
        what = f"The CSI driver {driver} does not run on these nodes: {named(map(pods.name, without))}."
        severity = WARNING if len(without) < len(nodes) else PROBLEM
        causes = "A pod that is put there can not mount its volume, and stays ContainerCreating."
        action = (
            "Let the driver's pods tolerate the taints of those nodes: see its DaemonSet, and `kubectl get csinode`."
        )
        yield Finding(severity, (title(claim),), what, causes, action)


def binding_mode(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find volumes that would be made before anybody knows where their pods can run."""
    nodes = cluster.all(facts.NODES) or []
    for claim in unbound(subject):
        chosen = class_of(claim, cluster)
        if not chosen or chosen.get("volumeBindingMode", "Immediate") != "Immediate" or len(nodes) < 2:
            continue
        placed = [each for each in subject.users(pods.name(claim)) if each.spec.get("nodeSelector") or _gpus(each.spec)]
        if not placed or drivers.shared(chosen["provisioner"]) or chosen["provisioner"] == drivers.NOBODY:
            continue
        waiting = [item for item in cluster.all(facts.CLASSES) or [] if _waits(item)]
        what = (
            f"Its class {pods.name(chosen)} makes the volume at once, before it is known on which nodes the pods fit."
        )
        causes = "The volume may lie in a zone or on a node without the GPUs, and then no pod can use it."
        action = "Take a class with volumeBindingMode WaitForFirstConsumer."
        value = Value(f"{values_of(claim)}.storageClass", pods.name(waiting[0])) if waiting else None
        yield Finding(WARNING, (title(claim),), what, causes, action, value)


def _waits(item: Object) -> bool:
    return item.get("volumeBindingMode") == "WaitForFirstConsumer"


def _gpus(spec: Object) -> bool:
    limits = [container.get("resources", {}).get("limits") or {} for container in spec["containers"]]
    return any("/" in name for each in limits for name in each)


def expansion(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that can never grow."""
    for claim in unbound(subject):
        chosen = class_of(claim, cluster)
        if chosen and not chosen.get("allowVolumeExpansion"):
            size = claim["spec"]["resources"]["requests"]["storage"]
            what = f"Volumes of the class {pods.name(chosen)} can not grow: it has its {size} for good."
            causes = "A larger model, or a second one, needs another claim."
            action = f"Let {values_of(claim)}.size be large enough now."
            yield Finding(NOTE, (title(claim),), what, causes, action)


def fs_group(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find volumes that the pods' user could not write to: who owns their root depends on fsGroup."""
    for claim in unbound(subject):
        chosen = class_of(claim, cluster)
        driver = _policy(chosen, cluster) if chosen else None
        for workload in subject.users(pods.name(claim)) if driver else ():
            group = (workload.spec.get("securityContext") or {}).get("fsGroup")
            if driver == "None" and group is not None:
                yield _ignored(claim, chosen or {})
            elif driver == "applied" and group is None and not _assigned(cluster):
                yield _no_group(claim)


def _policy(chosen: Object, cluster: Facts) -> str | None:
    """Return what becomes of fsGroup: `applied`, `None`, or nothing when that is not known."""
    known = cluster.all(facts.DRIVERS) or []
    driver = next((item for item in known if pods.name(item) == drivers.driver(chosen["provisioner"])), None)
    if driver is None:
        return None
    policy = driver["spec"].get("fsGroupPolicy", "ReadWriteOnceWithFSType")
    if policy == "None":
        return "None"
    return "applied" if drivers.one_node(chosen["provisioner"]) else None


def _assigned(cluster: Facts) -> bool:
    """Return whether the platform gives pods their fsGroup, as OpenShift does."""
    namespace = cluster.home()
    return bool(namespace and pods.annotation(namespace, "openshift.io/sa.scc.supplemental-groups"))


def _ignored(claim: Object, chosen: Object) -> Finding:
    what = f"The driver of its class {pods.name(chosen)} does not honour fsGroup: nobody gives the volume to the pods."
    causes = "Where its root is not writable for their user, downloads end with exit code 15 (volume)."
    action = "Let the class or the file server give the volume to this user; or name the user that it belongs to."
    return Finding(WARNING, (title(claim),), what, causes, action, Value("podSecurityContext.runAsUser", 10001))


def _no_group(claim: Object) -> Finding:
    what = "The pods that mount it have no fsGroup, and a new volume of its class belongs to root."
    causes = "Downloads end with exit code 15 (volume): nothing can be written."
    return Finding(PROBLEM, (title(claim),), what, causes, "", Value("podSecurityContext.fsGroup", 10001))
