"""What `helm test` runs in the cluster, run here like there: by python3, with the environment the chart renders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chart.rendering import SERVING, Renderer, nested

Answers = dict[str, list[tuple[int, str]]]
MODELS = json.dumps({"data": [{"id": "tiny"}, {"id": "tiny-lora"}]})


class Server(ThreadingHTTPServer):
    """Gives the answers of each path in turn, the last one for ever; remembers the keys it was given."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.keys: list[str | None] = []


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.keys.append(self.headers["Authorization"])
        answers = self.server.answers.get(self.path, [(404, "")])
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that is well and has two models."""
    with Server({"/health": [(200, "")], "/v1/models": [(200, MODELS)]}) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def container(helm: str) -> dict[str, Any]:
    """The container of the pod of `helm test`."""
    pods = [manifest for manifest in Renderer(helm).objects(nested(SERVING)) if manifest["kind"] == "Pod"]
    return dict(pods[0]["spec"]["containers"][0])


def _run(container: dict[str, Any], server: Server, **changes: str) -> subprocess.CompletedProcess[str]:
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    place = {"LLMKUBE_TEST_ADDRESS": f"http://127.0.0.1:{server.server_port}", "http_proxy": "http://127.0.0.1:9"}
    arguments = [argument.replace("$$", "$") for argument in container["args"]]
    return subprocess.run(
        [sys.executable, *container["command"][1:], *arguments],
        env={"PATH": os.environ["PATH"], **given, **place, **changes},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_server_that_is_well_passes_and_its_models_are_named(container: dict[str, Any], server: Server) -> None:
    done = _run(container, server)
    assert done.returncode == 0, done.stderr
    assert [line.split("/", 3)[3] for line in done.stdout.splitlines()] == [
        "health is well",
        "v1/models lists tiny, tiny-lora",
    ]


def test_a_server_that_is_being_replaced_is_asked_again(container: dict[str, Any], server: Server) -> None:
    server.answers["/health"] = [(503, ""), (200, "")]
    assert _run(container, server).returncode == 0


def test_a_server_that_stays_unwell_fails_after_the_given_time(container: dict[str, Any], server: Server) -> None:
    server.answers["/health"] = [(503, "")]
    done = _run(container, server, LLMKUBE_TEST_SECONDS="0")
    assert done.returncode == 1
    assert "/health: HTTP Error 503: Service Unavailable: look at the server's log" in done.stderr


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, ""), "HTTP Error 401"),
        ((200, "hello"), "is no list of models"),
        ((200, '{"data": {}}'), "lists no model"),
        ((200, '{"data": []}'), "lists no model"),
    ],
    ids=["key refused", "no JSON", "no list", "empty list"],
)
def test_what_is_no_list_of_models_fails_at_once(
    container: dict[str, Any], server: Server, answer: tuple[int, str], message: str
) -> None:
    server.answers["/v1/models"] = [answer]
    done = _run(container, server)
    assert done.returncode == 1
    assert f"/v1/models: {message}" in done.stderr
    assert len(server.keys) == 2


def test_the_key_is_sent_when_there_is_one(container: dict[str, Any], server: Server) -> None:
    assert _run(container, server).returncode == 0
    assert _run(container, server, LLMKUBE_TEST_KEY="canary").returncode == 0
    assert server.keys == [None, None, "Bearer canary", "Bearer canary"]


def test_of_a_server_without_a_known_path_any_answer_will_do(container: dict[str, Any], server: Server) -> None:
    done = _run(container, server, LLMKUBE_TEST_PATHS="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" answers with 404\n")


def test_a_server_that_is_not_there_fails(container: dict[str, Any], server: Server) -> None:
    gone = "http://127.0.0.1:9"
    done = _run(container, server, LLMKUBE_TEST_ADDRESS=gone, LLMKUBE_TEST_PATHS="", LLMKUBE_TEST_SECONDS="0")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
