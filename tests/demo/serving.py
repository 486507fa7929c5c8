"""The second part: a release on a real cluster, a chat, and a second start that fetches nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from cluster import provider
from cluster.choice import choice
from demo import local, say, state
from e2e.kit import CHART, RESTRICTED, Helm, Space, report
from images.build import DOWNLOADER, MODEL_SERVER, REPOSITORY, build
from toolchain.catalog import SETS

HUB = "https://huggingface.co"
EXAMPLE = REPOSITORY / "values-examples" / "cpu-llamacpp.yaml"
QUESTION = "Name one thing that a model cache is good for."


def show() -> None:
    """Everything that needs a cluster, in the order in which a user does it."""
    real = _real_model()
    with say.step(f"A cluster ({choice()}) with the images of the downloader and of llama.cpp's server"):
        cluster = provider.up(state.CLUSTER_NAME, internet=real is not None)
        cluster.load([DOWNLOADER, MODEL_SERVER])
    space = _space(cluster, "" if real else state.start_hub(cluster.host_address)["endpoint"])
    with say.step("helm install: the model is downloaded, verified, kept and served"):
        _install(space, real or local.SOURCE)
        _tell_download(space)
    with say.step("A chat over the release's Service"):
        _chat(space)
    with say.step("What is on the volume"):
        say.line("   $ helm llmkube cache list")
        say.line(_indented(space.llmkube("cache", "list").out))
    with say.step("The pod is deleted; its successor starts from the cache"):
        started = time.monotonic()
        space.restart(state.RELEASE)
        seconds = time.monotonic() - started
        warm = report(space.pods(state.RELEASE, "server")[0])
        took = f"{warm['seconds'] * 1000:.0f} ms" if warm["seconds"] >= 0.001 else "less than 1 ms"
        say.line(f"   second start: {warm['bytesFetched']} bytes fetched, the cache entry was checked in {took}")
        say.line(f"   the new pod was ready after {seconds:.1f} s")
        _chat(space)
    _look_around(space)


def prepare() -> None:
    """Builds the images that `show` needs, so that nothing waits for them later."""
    build([DOWNLOADER, MODEL_SERVER])


def remove() -> None:
    """Removes the release from a user's own cluster; a cluster of the demo goes as a whole."""
    chosen = choice()
    if chosen.startswith("context:"):
        cluster = provider.up(state.CLUSTER_NAME)
        cluster.kubectl("delete", "namespace", state.NAMESPACE, "--ignore-not-found", "--wait=false")
    provider.down(state.CLUSTER_NAME)


def _real_model() -> str | None:
    """The model from Hugging Face: the user's, or the example's when the hub answers; None for the generated one."""
    chosen = os.environ.get("MODEL")
    if chosen:
        return chosen
    request = urllib.request.Request(HUB, method="HEAD")
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):
        source = re.search(r"^  source: (\S+)", EXAMPLE.read_text(), re.MULTILINE)
        return source.group(1) if source else None
    say.line(f"\n   {HUB} does not answer: the model is a generated GGUF, from a stand-in of the hub on this machine")
    return None


def _space(cluster: provider.Cluster, hub: str) -> Space:
    """The demo's namespace, which enforces the strictest Pod Security, and helm with the plugin."""
    tools = provider.tools_folder(SETS["demo"] if choice() == "local" else SETS["demo-foreign"])
    helm = Helm(tools / "helm", cluster, state.folder() / "helm")
    with contextlib.suppress(RuntimeError, subprocess.CalledProcessError):  # it may be there already
        cluster.kubectl("create", "namespace", state.NAMESPACE)
    cluster.kubectl("label", "namespace", state.NAMESPACE, RESTRICTED, "--overwrite")
    if not (state.folder() / "helm" / "data" / "plugins" / "plugin").exists():
        with say.step("helm plugin install plugin/"):
            helm("plugin", "install", str(REPOSITORY / "plugin"))
    return Space(state.NAMESPACE, cluster, helm, hub)


def _install(space: Space, source: str) -> None:
    chart = CHART.relative_to(REPOSITORY)
    say.line(f"   $ helm install {state.RELEASE} {chart} --set model.source={source} --set modelCache.size=2Gi ...")
    done = space.install(state.RELEASE, model__source=source, modelCache__size="2Gi", runtime__contextSize=2048)
    say.line(_indented(done.out.partition("NOTES:")[2].strip()))


def _tell_download(space: Space) -> None:
    """The preload Job and the server's init container start together; one of them fetches, the other waits for it."""
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=60s")
    reports = {who: report(space.pods(state.RELEASE, who)[0]) for who in ("preload", "server")}
    who = max(reports, key=lambda name: int(reports[name]["bytesFetched"]))
    name = {"preload": "preload Job", "server": "server's init container"}[who]
    size, seconds, verified = (reports[who][field] for field in ("bytesFetched", "seconds", "verified"))
    say.line(f"   the {name} fetched {size:,} bytes in {seconds:.1f} s, verified by {verified}; the other one waited")


def _chat(space: Space) -> None:
    with _forwarded(space) as url:
        body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 32}
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            message: Any = json.load(answer)
    say.line(f"   you:   {QUESTION}\n   model: {message['choices'][0]['message']['content'].strip()}")


@contextlib.contextmanager
def _forwarded(space: Space) -> Iterator[str]:
    """The Service as a URL of this machine, as `kubectl port-forward` makes it."""
    local = space.cluster.kubeconfig
    kubectl = str(space.helm.binary.parent / "kubectl") if local else "kubectl"
    where = ["--kubeconfig", str(local)] if local else ["--context", str(space.cluster.context)]
    command = [kubectl, *where, "--namespace", space.name, "port-forward", f"service/{state.RELEASE}", ":8080"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # tells the type checker what PIPE means
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        if not found:
            message = f"kubectl port-forward said {line!r} and ended"
            raise RuntimeError(message)
        yield f"http://{found.group()}"
    finally:
        process.terminate()
        process.wait()


def _look_around(space: Space) -> None:
    say.line("\nIt is all still there. Look around:")
    if space.cluster.kubeconfig:
        homes = " ".join(f"HELM_{kind}_HOME={space.helm.home / kind.lower()}" for kind in ("CACHE", "CONFIG", "DATA"))
        say.line(f"   export PATH={space.helm.binary.parent}:$PATH KUBECONFIG={space.cluster.kubeconfig}")
        say.line(f"   export {homes}")
    say.line(f"   kubectl -n {state.NAMESPACE} get all,pvc")
    say.line(f"   helm llmkube cache status -n {state.NAMESPACE}")
    say.line(f"   helm llmkube cache list --scan -n {state.NAMESPACE}")
    say.line("   make demo-down   # removes it")


def _indented(text: str) -> str:
    return "\n".join(f"   {part}" for part in text.splitlines())
