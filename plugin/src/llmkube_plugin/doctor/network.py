"""Whether pods may reach what they download from: network policies."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmkube_plugin import pods
from llmkube_plugin.doctor import facts
from llmkube_plugin.doctor.finding import PROBLEM, Finding, Value, named
from llmkube_plugin.doctor.subject import variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject, Workload
    from llmkube_plugin.kube import Object

_ENDS = "Downloads end with exit code 16 (origin-unavailable), where the cluster's network enforces policies."
_PORTS = {"https": 443, "http": 80, "hf": 443}


def egress(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find network policies that keep downloads from names, or from their origins."""
    live = cluster.own(facts.POLICIES) or []
    planned = subject.of_kind("NetworkPolicy")
    names = {pods.name(item) for item in planned}
    policies = [*planned, *(item for item in live if pods.name(item) not in names)]
    for workload in subject.running:
        if workload.fetches:
            yield from _blocked(workload, [each for each in policies if _applies(each, workload)])


def _blocked(workload: Workload, policies: list[Object]) -> Iterator[Finding]:
    if not policies:
        return
    who = named(map(pods.name, policies))
    rules = [rule for each in policies for rule in each["spec"].get("egress") or []]
    if not any(_allows(rule, 53, "UDP") for rule in rules):
        what = f"The network policy {who} lets its pods ask no name server: none of its rules is for port 53 UDP."
        rule = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
        yield _finding(workload, what, rule)
    for host, port, inside in sorted(_origins(workload)):
        if not any(_allows(rule, port, "TCP", outside=not inside) for rule in rules):
            where = "" if inside else " out of the cluster"
            what = f"The network policy {who} keeps its pods from {host}: no rule is for port {port} TCP{where}."
            yield _finding(workload, what, {"ports": [{"port": port, "protocol": "TCP"}]})


def _finding(workload: Workload, what: str, rule: Object) -> Finding:
    action = "The value counts for the policies of the chart; others have to get such a rule by hand."
    value = Value("networkPolicy.downloader.extraEgress", [rule])
    return Finding(PROBLEM, (workload.title,), what, _ENDS, action, value)


def _origins(workload: Workload) -> set[tuple[str, int, bool]]:
    """Return the hosts that the fetches of a workload ask, each with its port and whether it is of the cluster."""
    found = set()
    for container in workload.fetches:
        env = dict(variables(container))
        proxy = next((env[name] for name in ("HTTPS_PROXY", "https_proxy") if env.get(name)), None)
        source = container["args"][1]
        address = env.get("HF_ENDPOINT") or "https://huggingface.co" if source.startswith("hf://") else source
        parts = urlsplit(proxy or address)
        if parts.hostname and parts.scheme in _PORTS:
            inside = parts.hostname.endswith((".svc", ".cluster.local")) or "." not in parts.hostname
            found.add((parts.hostname, _port(parts.netloc) or _PORTS[parts.scheme], inside))
    return found


def _port(place: str) -> int:
    port = place.rpartition(":")[2]
    return int(port) if port.isdigit() else 0


def _applies(policy: Object, workload: Workload) -> bool:
    """Return whether a policy says where the pods of a workload may connect to."""
    spec = policy["spec"]
    kinds = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    labels = workload.template.get("metadata", {}).get("labels") or {}
    return "Egress" in kinds and _selects(spec.get("podSelector") or {}, labels)


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions") or []:
        value, values = labels.get(each["key"]), each.get("values") or []
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits[each["operator"]]:
            return False
    return True


def _allows(rule: Object, port: int, protocol: str, *, outside: bool = False) -> bool:
    """Return whether a rule lets pods connect to a port; `outside`: of addresses out of the cluster."""
    peers = rule.get("to") or []
    if outside and peers and not any("ipBlock" in peer for peer in peers):
        return False
    ports = rule.get("ports") or []
    return not ports or any(_covers(each, port, protocol) for each in ports)


def _covers(entry: Object, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    first = entry.get("port")
    if not isinstance(first, int):
        return True
    last: int = entry.get("endPort", first)
    return first <= port <= last
