"""`clear` against pods that start at the same moment: a refusal names them, and no pod ever misses a byte."""

from __future__ import annotations

import contextlib
import copy
import json
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cluster.provider import Cluster
from e2e.kit import Done, Space
from images.build import DOWNLOADER

pytestmark = pytest.mark.cluster

ROUNDS = 25  # of each lane
LANES = ("one", "two")
SMALL = "hf://acme/small/model-f16.gguf"
# What a server does with its entry, told to the test: opens and maps every file and reads it whole, waits for the word
# that `clear` has ended, and reads it whole again, through what it has open and by its name.
READER = """
import hashlib, json, mmap, os, pathlib, sys, urllib.request
entry, url = pathlib.Path(os.environ["LLMKUBE_MODEL_PATH"]).resolve().parent, sys.argv[1]
def tell(step, problems):
    body = json.dumps({"pod": os.environ["HOSTNAME"], "step": step, "problems": problems}).encode()
    urllib.request.urlopen(url, body, timeout=300).read()
def wrong(file, path, expected):
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hashlib.sha256(mapped).hexdigest() != expected["sha256"]:
        yield f"{path} has other bytes"
    if os.fstat(file.fileno()).st_nlink != 1:
        yield f"{path} was unlinked"
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected["sha256"]:
        yield f"{path} is another file"
step = "opened"
try:
    files = json.loads((entry / ".llmkube.json").read_text())["files"]
    opened = [((entry / each["path"]).open("rb"), entry / each["path"], each) for each in files]
    tell(step, [problem for each in opened for problem in wrong(*each)])
    step = "ended"
    tell(step, [problem for each in opened for problem in wrong(*each)])
except Exception as error:
    tell(step, [repr(error)])
"""


@dataclass
class Meeting:
    """Where pods and the test meet: what a pod tells comes out of `told`, and once it reads it waits for `released`."""

    url: str = ""
    told: dict[str, queue.Queue[Any]] = field(default_factory=dict)
    released: dict[str, threading.Event] = field(default_factory=dict)

    def expect(self, pod: str) -> None:
        """Get ready for a pod of this name."""
        self.told[pod], self.released[pod] = queue.Queue(), threading.Event()


@dataclass(frozen=True)
class Round:
    """One `clear` and one pod: what the command did, and what the pod found wrong before and after its end."""

    pod: str
    delay: float
    cleared: Done
    problems: list[str]


@pytest.fixture
def meeting(stage: Cluster) -> Iterator[Meeting]:
    place = Meeting()
    handler = type("Handler", (_Listener,), {"meeting": place})
    server = ThreadingHTTPServer((stage.host_address, 0), handler)
    server.daemon_threads = True
    place.url = f"http://{stage.host_address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield place
    server.shutdown()
    server.server_close()
    thread.join()


class _Listener(BaseHTTPRequestHandler):
    meeting: Meeting

    def log_message(self, *_: object) -> None:
        """Write nothing."""

    def do_POST(self) -> None:
        """Take what a pod tells; let it go on when the test has released it."""
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.meeting.told[told["pod"]].put(told)
        if told["step"] == "opened" and not told["problems"]:
            self.meeting.released[told["pod"]].wait()
        with contextlib.suppress(OSError):
            self.send_response(204)
            self.end_headers()


def test_clear_and_pods_that_start_meanwhile_never_harm_each_other(space: Space, meeting: Meeting) -> None:
    for lane in LANES:
        space.install(lane, model__source=SMALL, server__replicas=0)
    with ThreadPoolExecutor(len(LANES)) as pool:
        done = [each for lane in pool.map(lambda release: _lane(space, meeting, release), LANES) for each in lane]
    assert len(done) == ROUNDS * len(LANES)
    assert [(each.pod, each.delay, each.problems) for each in done if each.problems] == []
    refused = [each for each in done if each.cleared.code]
    assert [each.cleared.err for each in refused if each.pod not in each.cleared.err] == []
    # The pods came before and after the moment that decides, or nothing was shown.
    assert 0 < len(refused) < len(done)


def _lane(space: Space, meeting: Meeting, release: str) -> list[Round]:
    """Let a pod start later and later while `clear` is at work, until the last one starts when it ends."""
    space.llmkube("cache", "preload", release)
    began = time.monotonic()
    space.llmkube("cache", "clear", "--model", release, "--yes")
    alone = time.monotonic() - began
    space.llmkube("cache", "preload", release)
    delays = [alone * number / (ROUNDS - 1) for number in range(ROUNDS)]
    return [_round(space, meeting, release, f"{release}-{n}", delay) for n, delay in enumerate(delays)]


def _round(space: Space, meeting: Meeting, release: str, pod: str, delay: float) -> Round:
    meeting.expect(pod)
    manifest = _reader(space, release, pod, meeting.url)
    start = threading.Timer(delay, space.cluster.apply, [manifest])
    start.start()
    cleared = space.llmkube("cache", "clear", "--model", release, "--yes", check=False)
    start.join()
    problems = meeting.told[pod].get(timeout=120)["problems"]
    meeting.released[pod].set()
    if not problems:
        problems = meeting.told[pod].get(timeout=120)["problems"]
    space.kubectl("delete", "pod", pod, "--wait", "--grace-period=1")  # or the next round is refused for this pod
    return Round(pod, delay, cleared, problems)


def _reader(space: Space, release: str, name: str, url: str) -> dict[str, Any]:
    """Return a pod of a release's server, as its ReplicaSet would make it, that reads instead of serving."""
    pod = copy.deepcopy(space.get("deployment", release)["spec"]["template"])
    image = space.image(DOWNLOADER)
    (server,) = pod["spec"]["containers"]
    server |= {"image": f"{image['repository']}:{image['tag']}", "command": ["python3", "-c", READER, url]}
    for unwanted in ("args", "startupProbe", "readinessProbe", "livenessProbe"):
        server.pop(unwanted, None)
    pod["spec"]["restartPolicy"] = "Never"
    pod["metadata"] |= {"name": name, "namespace": space.name}
    return {"apiVersion": "v1", "kind": "Pod", **pod}
