"""`helm llmkube doctor` on a real cluster: what it says fails, fails so, and the value that it names settles it."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from typing import Any, NamedTuple

import pytest

from cluster.provider import tools_folder
from e2e.kit import Done, Space

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
GATED = "hf://acme/gated/model-f16.gguf"
# A release that downloads and serves nothing: seconds.
CACHE: dict[str, Any] = {"preload__models": {"small": {"source": SMALL}}}
SERVER: dict[str, Any] = {"model__source": SMALL}


class Case(NamedTuple):
    """What makes an install fail, the objects of the namespace that have part in it, and how it fails.

    - check: the doctor's check that finds it.
    - values: the release.
    - evidence: a pattern in what Helm says, or in an event.
    - objects: what is in the namespace before.
    - by_helm: whether Helm itself fails.
    """

    check: str
    values: dict[str, Any]
    evidence: str
    objects: tuple[dict[str, Any], ...] = ()
    by_helm: bool = False


def _object(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}


QUOTA = _object("ResourceQuota", "team", spec={"hard": {"requests.storage": "100Mi"}})
LIMITS = _object(
    "LimitRange", "sizes", spec={"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "50Mi"}}]}
)
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}}
CASES = {
    "a missing class": Case(
        "storage-class", {**CACHE, "modelCache__storageClass": "fast"}, 'storageclass.*"fast" not found'
    ),
    "an access mode that the driver has not got": Case(
        "access-mode", {**CACHE, "modelCache__accessMode": "ReadWriteMany"}, "only supports? ReadWriteOnce"
    ),
    "a quota": Case("quota", CACHE, "exceeded quota: team", (QUOTA,), by_helm=True),
    "a limit of claims": Case("limit-range", CACHE, "maximum storage usage per PersistentVolumeClaim", (LIMITS,), True),
    "a missing service account": Case(
        "service-account",
        {**CACHE, "serviceAccount": {"create": False, "name": "reader"}},
        'serviceaccount "reader" not found',
    ),
    "a missing priority class": Case(
        "priority-class", {**CACHE, "downloader__priorityClassName": "idle"}, "no PriorityClass with name idle"
    ),
    "Pod Security": Case(
        "pod-security", {**CACHE, "securityContext__allowPrivilegeEscalation": True}, "violates PodSecurity"
    ),
    "labels that no node has": Case(
        "node-selector", {**CACHE, "server__nodeSelector": {"gpu": "a100"}}, "didn't match Pod's node affinity/selector"
    ),
    "GPUs that no node has": Case(
        "node-resources", {**SERVER, "server__gpu__vendor": "nvidia"}, "Insufficient nvidia.com/gpu"
    ),
    "kinds that the cluster does not know": Case(
        "missing-kind", {**SERVER, "server__serviceMonitor__enabled": True}, "no matches for kind", by_helm=True
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_it_names_fails_so_and_passes_with_the_value_set(space: Space, case: Case) -> None:
    for item in case.objects:
        space.cluster.apply({**item, "metadata": {**item["metadata"], "namespace": space.name}})

    problem = _problem(space, case.check, **case.values)

    failed = space.install("web", wait=False, check=False, **case.values)
    assert (failed.code != 0) == case.by_helm, failed.err
    if case.by_helm:
        assert re.search(case.evidence, failed.err)
    else:
        _heard(space, case.evidence)
    _remove(space)
    settled = {**case.values, problem["value"]["path"].replace(".", "__"): problem["value"]["example"]}
    assert case.check not in _problems(space, **settled)
    assert "STATUS: deployed" in space.install("web", "--wait-for-jobs", **settled).out


def test_a_missing_secret_is_named_with_the_command_that_makes_it(space: Space, token: str) -> None:
    values: dict[str, Any] = {"preload__models": {"gated": {"source": GATED}}, "model__existingSecret": "hf"}

    action = _problem(space, "secret", **values)["action"]

    space.install("web", wait=False, **values)
    _heard(space, 'secret "hf" not found')
    command = re.findall(r"`kubectl (.*?)`", action)[0].replace("HF_TOKEN=...", f"HF_TOKEN={token}")
    space.cluster.kubectl(*command.split())
    assert "secret" not in _problems(space, **values)
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=180s")


def test_an_upgrade_that_shrinks_a_claim_is_named(space: Space) -> None:
    space.install("web", "--wait-for-jobs", **CACHE)
    smaller = {**CACHE, "modelCache__size": "128Mi"}

    problem = _problem(space, "claim-change", **smaller)

    assert "field can not be less than" in space.install("web", check=False, **smaller).err
    assert problem["value"] == {"path": "modelCache.size", "example": "256Mi"}
    assert _problems(space, **CACHE) == {}


def test_a_claim_of_somebody_else_is_named(space: Space) -> None:
    item = _object("PersistentVolumeClaim", "web-model-cache", spec=CLAIM)
    space.cluster.apply({**item, "metadata": {**item["metadata"], "namespace": space.name}})

    problem = _problem(space, "owner", **CACHE)

    assert "invalid ownership metadata" in space.install("web", check=False, **CACHE).err
    existing: dict[str, Any] = {
        "modelCache__mode": "existingClaim",
        problem["value"]["path"].replace(".", "__"): "web-model-cache",
    }
    assert "owner" not in _problems(space, **CACHE, **existing)
    assert "STATUS: deployed" in space.install("web", "--wait-for-jobs", **CACHE, **existing).out


def test_a_claim_that_is_too_small_is_named(space: Space, small_volume: str) -> None:
    claim: dict[str, Any] = {"modelCache__mode": "existingClaim", "modelCache__claimName": small_volume}
    values: dict[str, Any] = {**claim, "preload__models": {"small": {"source": SMALL, "size": "5M"}}}

    assert _problem(space, "claim-size", **values)["what"].startswith("It has 3Mi, and the weights")

    space.install("web", wait=False, **values)
    space.kubectl("wait", "--for=condition=Failed", "job", "--all", "--timeout=90s")
    found = _found(space.llmkube("doctor", "web", "-o", "json", check=False))
    assert "(no-space)" in found["job-failed"]["what"]


def test_online_asks_the_origin_from_a_pod_like_the_one_that_downloads(space: Space, token: str) -> None:
    closed: dict[str, Any] = {"preload__models": {"gated": {"source": GATED}}}

    assert "is gated" in _problem(space, "origin", "--online", **closed)["what"]

    space.install("web", wait=False, **closed)
    space.kubectl("wait", "--for=condition=Failed", "job", "--selector=llmkube.dev/release=web", "--timeout=90s")
    _remove(space)
    space.kubectl("create", "secret", "generic", "hf", f"--from-literal=HF_TOKEN={token}")
    opened = {**closed, "model__existingSecret": "hf"}
    found = _found(_doctor(space, "--online", **opened))
    assert (found["origin"]["severity"], "can be had: 1 file" in found["origin"]["what"]) == ("note", True)
    assert [job["metadata"]["name"] for job in space.get("jobs") if "doctor" in job["metadata"]["name"]] == []
    space.install("web", "--wait-for-jobs", **opened)


def test_what_a_user_may_not_read_is_a_note(space: Space) -> None:
    space.kubectl("create", "role", "viewer", "--verb=list", "--resource=pods,persistentvolumeclaims")
    space.kubectl("create", "rolebinding", "viewer", "--role=viewer", "--user=ann")
    values = {**CACHE, "modelCache__storageClass": "fast"}

    found = _found(_doctor(space, "--kube-as-user", "ann", **values))

    assert {each["severity"] for each in found.values()} == {"note"}
    assert "rights" in found


def _doctor(space: Space, *flags: str, **values: Any) -> Done:
    """Ask about the release `web` to come."""
    paths = {name.replace("__", "."): value for name, value in {**space.images(), **values}.items()}
    sets = [part for path, value in paths.items() for part in ("--set-json", f"{path}={json.dumps(value)}")]
    return space.llmkube("doctor", "web", *sets, *flags, "-o", "json", check=False)


def _found(done: Done) -> dict[str, Any]:
    """Return the findings by their checks."""
    assert done.out.startswith("{"), done.err
    return {finding["check"]: finding for finding in reversed(json.loads(done.out)["findings"])}


def _problems(space: Space, *flags: str, **values: Any) -> dict[str, Any]:
    done = _doctor(space, *flags, **values)
    found = {check: each for check, each in _found(done).items() if each["severity"] == "problem"}
    assert done.code == int(bool(found))
    return found


def _problem(space: Space, check: str, *flags: str, **values: Any) -> Any:
    """Return the one problem that there is, which a check found."""
    found = _problems(space, *flags, **values)
    assert list(found) == [check], found
    return found[check]


def _remove(space: Space) -> None:
    space.helm("uninstall", "web", "--namespace", space.name, "--ignore-not-found", "--wait")
    space.kubectl("delete", "pvc", "--all")


def _heard(space: Space, pattern: str, seconds: float = 90) -> None:
    """Wait for an event of the namespace whose message matches."""
    where: list[str] = ["--context", space.cluster.context] if space.cluster.context else []
    where += ["--kubeconfig", str(space.cluster.kubeconfig)] if space.cluster.kubeconfig else []
    columns = ["--output", "custom-columns=MESSAGE:.message", "--no-headers"]
    command = [str(tools_folder(["kube"]) / "kubectl"), *where, "--namespace", space.name, "get", "events", "--watch"]
    heard: list[str] = []
    with subprocess.Popen([*command, *columns], stdout=subprocess.PIPE, text=True) as watching:
        end = threading.Timer(seconds, watching.kill)
        end.start()
        assert watching.stdout
        for line in watching.stdout:
            heard.append(line)
            if re.search(pattern, line):
                break
        end.cancel()
        watching.kill()
    assert heard, "no events at all"
    assert re.search(pattern, heard[-1]), "".join(heard)
