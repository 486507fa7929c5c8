"""What the doctor says of what pods name and do not bring, in full."""

from __future__ import annotations

import pytest
from clinic import Case, Clinic, check, cluster_object

from llmkube_plugin.doctor import checks

CASES = {
    "secret": Case(
        [],
        {"model": {"source": "https://models.example.com/tiny.gguf", "existingSecret": "hf"}},
        """
        PROBLEM secret: Deployment web, Job web-preload
          Its pods need the Secret hf, which does not exist in namespace default.
          Its pods do not start: FailedMount.
          Set model.existingSecret: "hf"
          Make it: `kubectl -n default create secret generic hf --from-literal=HF_TOKEN=...`; or
            name one that is there.
        """,
    ),
    "secret, its key": Case(
        [cluster_object("Secret", "keys", data={"other": "eA=="})],
        {"runtime__apiKey__existingSecret": "keys"},
        """
        PROBLEM secret: Deployment web
          Its pods need the key api-key of the Secret keys, which has not got it.
          Its pods do not start: CreateContainerConfigError.
          Add the key, `kubectl -n default edit secret keys`.
        """,
    ),
    "config-map": Case(
        [],
        {"downloader__caBundle__configMap": "authority"},
        """
        PROBLEM config-map: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          Its pods need the ConfigMap authority, which does not exist in namespace default.
          Its pods do not start: FailedMount.
          Set downloader.caBundle.configMap: "authority"
          Make it: `kubectl -n default create configmap authority --from-literal=ca.crt=...`; or
            name one that is there.
        """,
    ),
    "config-map, its key": Case(
        [cluster_object("ConfigMap", "authority", data={"other": "x"})],
        {"downloader__caBundle__configMap": "authority"},
        """
        PROBLEM config-map: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          Its pods need the key ca.crt of the ConfigMap authority, which has not got it.
          Its pods do not start: FailedMount.
          Add the key, `kubectl -n default edit configmap authority`.
        """,
    ),
    "pull-secret": Case(
        [],
        {"imagePullSecrets": [{"name": "registry"}]},
        """
        WARNING pull-secret: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          Its images are pulled with the Secret registry, which does not exist in namespace default.
          Nodes pull without it; from a private registry that ends in ImagePullBackOff.
          Set imagePullSecrets: []
          Make it: `kubectl -n default create secret docker-registry registry ...`.
        """,
    ),
    "service-account": Case(
        [],
        {"serviceAccount": {"create": False, "name": "reader"}},
        """
        PROBLEM service-account: Deployment web, Job web-preload, CronJob
          web-model-cache-maintenance
          Its pods run as the service account reader, which does not exist in namespace default.
          The API server refuses its pods: none is ever made.
          Set serviceAccount.create: true
        """,
    ),
    "priority-class": Case(
        [],
        {"server__priorityClassName": "urgent", "downloader__priorityClassName": "idle"},
        """
        PROBLEM priority-class: Deployment web
          Its pods want the PriorityClass urgent, which does not exist.
          The API server refuses its pods: none is ever made.
          Set server.priorityClassName: ""
        PROBLEM priority-class: Job web-preload, CronJob web-model-cache-maintenance
          Its pods want the PriorityClass idle, which does not exist.
          The API server refuses its pods: none is ever made.
          Set downloader.priorityClassName: ""
        """,
    ),
    "runtime-class": Case(
        [],
        {"server__runtimeClassName": "nvidia"},
        """
        PROBLEM runtime-class: Deployment web
          Its pods want the RuntimeClass nvidia, which does not exist.
          The API server refuses its pods: none is ever made.
          Set server.runtimeClassName: ""
        """,
    ),
    "resource-claim": Case(
        [],
        {"server__resourceClaims": {"gpu": {"resourceClaimTemplateName": "one-gpu"}}},
        """
        PROBLEM resource-claim: Deployment web
          Its pods want the ResourceClaimTemplate one-gpu, which does not exist in namespace default.
          Its pods stay Pending.
          Set server.resourceClaims.gpu: null
          Make it.
        """,
    ),
    "image": Case(
        [],
        {"downloader__image__repository": "llmkube-downloader"},
        """
        WARNING image: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          Its image llmkube-downloader:0.1.0 names no registry, and 1 of 1 nodes do not have it.
          On such a node its pods end in ErrImagePull, unless Docker Hub has an image of that name.
          Set downloader.image.repository: "registry.example.com/llmkube-downloader"
          Push the image to a registry that the nodes reach, and name it with that.
        """,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_finding_says_what_it_causes_and_what_to_set(clinic: Clinic, case: Case) -> None:
    check(clinic, case)


def test_every_check_has_a_case() -> None:
    names = {each.name for each in (*checks.REFERENCES,)}

    assert {name.partition(",")[0] for name in CASES} == names
