"""What the doctor says of what the API server and the network let through, in full."""

from __future__ import annotations

import pytest
from clinic import Case, Clinic, check, claim, cluster_object, limit_range, namespace, node, owned, policy, quota

from llmkube_plugin.doctor import checks

CASES = {
    "pod-security": Case(
        [namespace("restricted")],
        {"securityContext__allowPrivilegeEscalation": True, "podSecurityContext__runAsNonRoot": False},
        """
        PROBLEM pod-security: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          The namespace enforces Pod Security restricted, which its pods break:
            allowPrivilegeEscalation of a container is not false.
          The API server refuses its pods: none is ever made.
          Set securityContext.allowPrivilegeEscalation: false
        PROBLEM pod-security: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          The namespace enforces Pod Security restricted, which its pods break: runAsNonRoot of a
            container is not true.
          The API server refuses its pods: none is ever made.
          Set podSecurityContext.runAsNonRoot: true
        """,
    ),
    "quota, storage": Case(
        [quota({"requests.storage": "1500Mi"}, {"requests.storage": "1Gi"})],
        {},
        """
        PROBLEM quota: ResourceQuota team
          It allows 1500Mi of requests.storage, 1Gi is used, and this release wants 1.0Gi.
          Helm ends with an error: the API server refuses the claim.
          Set modelCache.size: "476Mi"
          Ask for a larger quota, or free what is not needed.
        """,
    ),
    "quota, GPUs": Case(
        [
            quota({"requests.nvidia.com/gpu": "4"}, {"requests.nvidia.com/gpu": "3"}),
            node("gpu-1", has={"nvidia.com/gpu": "8"}),
        ],
        {"server__gpu": {"vendor": "nvidia", "count": 2}},
        """
        PROBLEM quota: ResourceQuota team
          It allows 4 of requests.nvidia.com/gpu, 3 is used, and this release wants 2.
          The API server refuses the pods: none is ever made.
          Set server.gpu.count: 1
          Ask for a larger quota, or free what is not needed.
        """,
    ),
    "quota, claims": Case(
        [quota({"persistentvolumeclaims": "2"}, {"persistentvolumeclaims": "2"})],
        {},
        """
        PROBLEM quota: ResourceQuota team
          It allows 2 of persistentvolumeclaims, 2 is used, and this release wants 1.
          Helm ends with an error: the API server refuses the claim.
          Set modelCache.mode: "shared"
          Ask for a larger quota, or free what is not needed.
        """,
    ),
    "quota, memory": Case(
        [quota({"requests.memory": "8Gi"}, {"requests.memory": "1Gi"})],
        {"server__resources": {"requests": {"memory": "16Gi"}}},
        """
        PROBLEM quota: ResourceQuota team
          It allows 8Gi of requests.memory, 1Gi is used, and this release wants 16.2Gi.
          The API server refuses the pods: none is ever made.
          Ask for a larger quota, or free what is not needed.
        """,
    ),
    "quota, of some pods": Case(
        [quota({"pods": "1"}, {}, scopes=["BestEffort"])],
        {},
        """
        NOTE quota: ResourceQuota team
          It counts only some pods; whether it has room for these is not computed.
        """,
    ),
    "quota-demands": Case(
        [quota({"limits.memory": "64Gi"}, {})],
        {},
        """
        PROBLEM quota-demands: Deployment web, Job web-preload
          The quota team counts limits.memory, and the container fetch has none.
          The API server refuses its pods: none is ever made.
          Set downloader.resources.limits.memory: "1Gi"
        """,
    ),
    "limit-range, claim": Case(
        [limit_range(type="PersistentVolumeClaim", max={"storage": "500Mi"})],
        {},
        """
        PROBLEM limit-range: PersistentVolumeClaim web-model-cache
          It wants 1Gi, and LimitRange sizes allows claims up to 500Mi.
          Helm ends with an error: the API server refuses the claim.
          Set modelCache.size: "500Mi"
        """,
    ),
    "limit-range, container": Case(
        [limit_range(type="Container", max={"memory": "2Gi"}, default={"memory": "2Gi"})],
        {"server__resources": {"limits": {"memory": "16Gi"}}},
        """
        PROBLEM limit-range: Deployment web
          LimitRange sizes allows containers up to 2Gi of memory, and server has a limit of 16Gi.
          The API server refuses its pods: none is ever made.
          Set server.resources.limits.memory: "2Gi"
        """,
    ),
    "default-memory": Case(
        [limit_range(type="Container", default={"memory": "512Mi"})],
        {},
        """
        WARNING default-memory: Deployment web
          A limit range of the namespace gives its server a memory limit of 512Mi.
          A server that needs more is killed (OOMKilled), again and again.
          Set server.resources.limits.memory: "16Gi"
        """,
    ),
    "missing-kind": Case(
        [],
        {"server__serviceMonitor__enabled": True},
        """
        PROBLEM missing-kind: ServiceMonitor web
          The cluster does not know the kind ServiceMonitor of monitoring.coreos.com/v1.
          Helm ends with an error, no matches for kind ServiceMonitor, and installs nothing.
          Set server.serviceMonitor.enabled: false
          Install the Prometheus Operator, or leave the object out.
        """,
    ),
    "owner, another release": Case(
        [owned(cluster_object("Service", "web"), "chat")],
        {},
        """
        PROBLEM owner: Service web
          It is there already, and it belongs to the release chat.
          Helm ends with an error, invalid ownership metadata, and installs nothing. Argo CD and
            Flux take it over.
          Set fullnameOverride: "web-2"
          Take another name; or take it over: `helm install web --take-ownership`, or delete it in
            default.
        """,
    ),
    "owner, a claim that Helm did not make": Case(
        [claim("web-model-cache")],
        {},
        """
        PROBLEM owner: PersistentVolumeClaim web-model-cache
          It is there already, and Helm did not make it.
          Helm ends with an error, invalid ownership metadata, and installs nothing. Argo CD and
            Flux take it over.
          Set modelCache.claimName: "web-model-cache"
          Use it with modelCache.mode=existingClaim; or take it over: `helm install
            --take-ownership`.
        """,
    ),
    "owner, the shared claim": Case(
        [owned(claim("llmkube-model-cache"), "chat")],
        {"modelCache__mode": "shared", "modelCache__create": True},
        """
        PROBLEM owner: PersistentVolumeClaim llmkube-model-cache
          It is there already, and it belongs to the release chat.
          Helm ends with an error, invalid ownership metadata, and installs nothing. Argo CD and
            Flux take it over.
          Set modelCache.create: false
        """,
    ),
    "network-policy": Case(
        [policy(egress=[])],
        {},
        """
        PROBLEM network-policy: Deployment web, Job web-preload
          The network policy closed lets its pods ask no name server: none of its rules is for port
            53 UDP.
          Downloads end with exit code 16 (origin-unavailable), where the cluster's network enforces
            policies.
          Set networkPolicy.downloader.extraEgress: [{"ports": [{"port": 53, "protocol": "UDP"},
            {"port": 53, "protocol": "TCP"}]}]
          The value counts for the policies of the chart; others have to get such a rule by hand.
        PROBLEM network-policy: Deployment web, Job web-preload
          The network policy closed keeps its pods from models.example.com: no rule is for port 443
            TCP out of the cluster.
          Downloads end with exit code 16 (origin-unavailable), where the cluster's network enforces
            policies.
          Set networkPolicy.downloader.extraEgress: [{"ports": [{"port": 443, "protocol": "TCP"}]}]
          The value counts for the policies of the chart; others have to get such a rule by hand.
        """,
    ),
    "network-policy, of the chart": Case(
        [],
        {"networkPolicy__enabled": True, "model__source": "https://models.example.com:8443/tiny.gguf"},
        """
        PROBLEM network-policy: Deployment web
          The network policy web keeps its pods from models.example.com: no rule is for port 8443
            TCP out of the cluster.
          Downloads end with exit code 16 (origin-unavailable), where the cluster's network enforces
            policies.
          Set networkPolicy.downloader.extraEgress: [{"ports": [{"port": 8443, "protocol": "TCP"}]}]
          The value counts for the policies of the chart; others have to get such a rule by hand.
        PROBLEM network-policy: Job web-preload
          The network policy web-downloader keeps its pods from models.example.com: no rule is for
            port 8443 TCP out of the cluster.
          Downloads end with exit code 16 (origin-unavailable), where the cluster's network enforces
            policies.
          Set networkPolicy.downloader.extraEgress: [{"ports": [{"port": 8443, "protocol": "TCP"}]}]
          The value counts for the policies of the chart; others have to get such a rule by hand.
        """,
    ),
    "token": Case(
        [cluster_object("Secret", "hf", data={"token": "eA=="})],
        {"model": {"source": "hf://org/repo/tiny.gguf", "existingSecret": "hf"}},
        """
        WARNING token: Deployment web, Job web-preload
          Its Secret hf has no key HF_TOKEN, so the hub is asked without a token. Its keys: token.
          A gated or private repository ends with exit code 11 (auth).
          `kubectl -n default patch secret hf --type merge -p '{"stringData": {"HF_TOKEN": "..."}}'`
        """,
    ),
    "anonymous": Case(
        [],
        {"model__source": "hf://org/repo/tiny.gguf"},
        """
        NOTE anonymous: Deployment web, Job web-preload
          It asks for hf://org/repo/tiny.gguf without a token.
          A gated or private repository ends with exit code 11 (auth); --online finds out.
          Set model.existingSecret: "hf-token"
        """,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_finding_says_what_it_causes_and_what_to_set(clinic: Clinic, case: Case) -> None:
    check(clinic, case)


def test_every_check_has_a_case() -> None:
    names = {
        each.name
        for each in (
            *checks.ADMISSION,
            *checks.ORIGINS,
        )
    }

    assert {name.partition(",")[0] for name in CASES} == names
