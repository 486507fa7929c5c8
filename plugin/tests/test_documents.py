"""What commands print with -o json is what docs/plugin-output.schema.json says, on a cluster and with --dir.

A new command needs a definition there and a line in the tables here. Beyond these, every document that any test of the
plugin makes a command print is held against the schema (see conftest.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import documents
import jsonschema
import pytest
import releases
import yaml
from click.testing import CliRunner
from fake_kubernetes import Script

from llmkube_plugin.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes

    from conftest import Run

Calls = dict[str, list[tuple[str, ...]]]

# How each command is called, on a cluster with the release `web` and in a directory that holds one entry. {key} and
# {source} are filled in.
ON_A_CLUSTER: Calls = {
    "cache-list": [("--scan",), ()],
    "cache-df": [("--scan",), ()],
    "cache-status": [(), ("--scan",)],
    "cache-plan": [("-f", str(releases.REPOSITORY / "values-examples" / "vision.rendered.yaml"))],
    "cache-preload": [("web",), ("web", "--no-wait"), ("web", "--dry-run")],
    "cache-create": [("models", "--size", "1Gi", "--dry-run")],
    "cache-verify": [()],
    "cache-clear": [("{key}", "--yes", "--force"), ("--all", "--dry-run", "--force")],
    "cache-prune": [("--unused", "--yes"), ("--older-than", "30d", "--dry-run")],
    "cache-pin": [("{key}",), ("--model", "web", "--dry-run")],
    "cache-unpin": [("--model", "{source}")],
    "report": [("--scan",), ()],
    "doctor": [()],
}
# The exit codes of those that do not end with 0: the doctor finds what is wrong with the release that failed.
CODES = {"doctor": 1}
IN_A_DIRECTORY: Calls = {
    "cache-list": [()],
    "cache-df": [()],
    "cache-status": [()],
    "cache-preload": [("{source}",)],
    "cache-verify": [()],
    "cache-clear": [("{key}", "--yes"), ("--all", "--dry-run")],
    "cache-prune": [("--unused", "--yes"), ("--max-bytes", "0", "--dry-run")],
    "cache-pin": [("{key}",), ("{key}", "--dry-run")],
    "cache-unpin": [("--model", "{source}")],
    "report": [()],
    "doctor": [()],
}
COMMANDS = dict(documents.commands(cli))


def calls(table: Calls) -> list[tuple[str, ...]]:
    return [(command, *arguments) for command, each in table.items() for arguments in each]


def test_every_command_that_prints_documents_has_a_definition_and_calls() -> None:
    printing = {name for name, command in COMMANDS.items() if "--output" in documents.options(command)}

    assert printing - documents.schema()["$defs"].keys() == set()
    assert {name for name in printing if "--namespace" in documents.options(COMMANDS[name])} == ON_A_CLUSTER.keys()
    assert {name for name in printing if "--dir" in documents.options(COMMANDS[name])} == IN_A_DIRECTORY.keys()


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(documents.schema())


@pytest.fixture
def world(cluster: FakeKubernetes) -> None:
    """Fill the cluster with a release that serves, one that failed, and whatever volumes answer."""
    items = releases.serving()
    broken = releases.serving("broken", source="hf://org/other/x.gguf")
    report = releases.failed(14, "no-space", "9 GiB needed, 2 GiB free", "Grow the claim.")
    failed = releases.job_pod(releases.ended(14, report), "Failed")
    cluster.add(*items, *broken, releases.stranger("notebook", "broken-model-cache"))
    cluster.add(releases.pod_of(releases.of_kind(items, "Job"), "p", releases.job_pod({"running": {}}, "Running")))
    cluster.add(releases.pod_of(releases.of_kind(broken, "Job"), "q", failed))
    cluster.logs["p", "fetch"] = "1.0 GiB of 4.0 GiB (25%), 90 MiB/s"
    cluster.plays = play


def play(job: dict[str, Any]) -> Script:
    """Answer what a Job's container is asked."""
    container = job["spec"]["template"]["spec"]["containers"][0]
    verb = container["args"][0]
    held = releases.on_volume(releases.TINY_KEY, lastUsed=None, pinned=False, users=0)
    if verb == "list":
        return releases.volume(held, releases.on_volume(None, "foreign", entry="/models/notes", source=None))
    if verb == "verify":
        entry = {"key": releases.TINY_KEY, "entry": "/models/k", "state": "complete", "bytes": 5000, "problems": []}
        return releases.maintenance_says({"schema": 1, "root": "/models", "entries": [entry]})
    if verb == "remove":
        removed = [{"key": releases.TINY_KEY, "bytes": 5000}]
        return releases.maintenance_says({"schema": 1, "root": "/models", "removed": removed})
    if verb == "prune":
        removed = [{"key": "00112233445566aa", "entry": "/models/x", "kind": "entry", "bytes": 9, "reason": "unused"}]
        more = {
            "dryRun": False,
            "bytes": 9,
            "overBytes": 3,
            "kept": [{"key": releases.TINY_KEY, "cause": "it is used"}],
        }
        removed[0]["lastUsed"] = "2026-01-01T00:00:00+00:00"
        return releases.maintenance_says({"schema": 1, "root": "/models", "removed": removed, **more})
    if verb in ("pin", "unpin"):
        return releases.maintenance_says({"schema": 1, "root": "/models", "key": releases.TINY_KEY, "pinned": True})
    report = releases.ended(0, releases.fetched())
    return Script([releases.job_pod(report, "Succeeded")])


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("call", calls(ON_A_CLUSTER), ids=" ".join)
def test_on_a_cluster(run: Run, call: tuple[str, ...]) -> None:
    command, *arguments = call
    words = [word.format(key=releases.TINY_KEY, source=releases.TINY) for word in arguments]

    result = run(*command.split("-", 1), *words, "-o", "json")

    assert result.exit_code == CODES.get(command, 0), result.output
    documents.check(command, json.loads(result.stdout))


@pytest.mark.parametrize("call", calls(IN_A_DIRECTORY), ids=" ".join)
def test_in_a_directory(call: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    weights, root = tmp_path / "weights.bin", tmp_path / "models"
    weights.write_bytes(b"weights")
    root.mkdir()

    def here(command: str, *arguments: str) -> str:
        line = [*command.split("-", 1), *arguments, "--dir", str(root), "-o", "json"]
        result = CliRunner().invoke(cli, line, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    key = json.loads(here("cache-preload", weights.as_uri()))["key"]
    command, *arguments = call

    document = json.loads(here(command, *(word.format(key=key, source=weights.as_uri()) for word in arguments)))

    documents.check(command, document)


@pytest.mark.usefixtures("world")
def test_yaml_is_the_same_document(run: Run) -> None:
    as_json = json.loads(run("cache", "list", "-o", "json").stdout)

    assert yaml.safe_load(run("cache", "list", "-o", "yaml").stdout) == as_json


def test_a_document_of_another_form_is_noticed() -> None:
    documents.check("cache-list", {"schema": 1, "entries": [], "caches": []})

    with pytest.raises(jsonschema.ValidationError):
        documents.check("cache-list", {"schema": 1, "entries": [], "caches": [], "unheard": 1})
    with pytest.raises(AssertionError, match="has no definition 'cache-unheard'"):
        documents.check("cache-unheard", {"schema": 1})
