"""Ctrl-C, pressed at a terminal or sent as a signal, ends every command in a state that its last words describe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import releases
from fake_kubernetes import HELD, Script

from llmkube_plugin import local
from terminal import plugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes

    from conftest import Open

KEY = releases.TINY_KEY
CLEAR = ("cache", "clear", KEY, "--yes")
WAITING = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "status": "False", "message": "no node is free"}],
}
AT_WORK = releases.job_pod({"running": {}}, "Running", "maintenance")


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    """Put a release into the cluster whose volume can be read at once."""
    cluster.add(*releases.serving())
    cluster.plays = playing({})
    return cluster


def playing(held: dict[str, list[Any]]) -> Callable[[dict[str, Any]], Script]:
    """Return what becomes of Jobs: those of the verbs in `held` get no further than these states of their pods."""

    def play(job: dict[str, Any]) -> Script:
        verb = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
        return Script([*held[verb], HELD]) if verb in held else releases.volume(releases.on_volume(KEY))

    return play


def made(cluster: FakeKubernetes) -> list[str]:
    """Return the names of the plugin's Jobs that are there."""
    jobs = [job["metadata"] for job in cluster.all("jobs")]
    return [job["name"] for job in jobs if "llmkube.dev/made-by" in job["annotations"]]


@pytest.mark.parametrize("states", [[WAITING], [AT_WORK]], ids=["while its pod waits", "while its pod works"])
@pytest.mark.parametrize("command", [("cache", "list", "--scan"), ("cache", "verify"), CLEAR], ids=lambda each: each[1])
def test_what_only_reads_is_deleted(web: FakeKubernetes, terminal: Open, command: Any, states: list[Any]) -> None:
    web.plays = playing({"list": [WAITING, *states], "verify": [WAITING, *states]})

    with terminal(*command) as shown:
        shown.until("no node is free")
        web.until_held()
        shown.interrupt()
        assert shown.end() == 130

    assert "Interrupted. The Jobs that it had made are deleted.\n" in shown.shown
    assert ("Nothing was removed." in shown.shown) == (command is CLEAR)
    assert made(web) == []


def test_at_a_prompt_nothing_has_happened_yet(web: FakeKubernetes, terminal: Open) -> None:
    with terminal("cache", "clear", KEY) as shown:
        shown.until("[y/N]")
        shown.interrupt()
        assert shown.end() == 130

    assert shown.lines[-3:] == ["Remove 1 entry, 4.9Ki? [y/N] ^C", "Interrupted. Nothing was removed.", ""]
    assert made(web) == []


def test_a_removal_that_has_not_begun_is_called_off(web: FakeKubernetes, terminal: Open) -> None:
    web.plays = playing({"remove": [WAITING]})

    with terminal(*CLEAR) as shown:
        shown.until("no node is free")
        web.until_held()
        shown.interrupt()
        assert shown.end() == 130

    assert "is deleted: its pod had not begun with `remove` on claim web-model-cache" in shown.shown
    assert made(web) == []


def test_a_removal_at_work_goes_on_and_one_learns_how_to_follow_and_to_stop_it(
    web: FakeKubernetes, terminal: Open
) -> None:
    web.plays = playing({"remove": [WAITING, AT_WORK]})

    with terminal(*CLEAR) as shown:
        shown.until("no node is free")
        web.until_held()
        shown.interrupt()
        assert shown.end() == 130

    [job] = made(web)
    assert f"Job {job} in namespace default goes on with `remove` on claim web-model-cache" in shown.shown
    assert f"`kubectl -n default logs -f job/{job}`" in shown.shown
    assert f"`kubectl -n default delete job {job}`" in shown.shown


def test_whether_it_has_begun_is_asked_and_without_an_answer_it_is_left_alone(
    web: FakeKubernetes, terminal: Open
) -> None:
    web.plays = playing({"remove": [WAITING]})

    with terminal(*CLEAR) as shown:
        shown.until("no node is free")
        web.until_held()
        web.refuse("list", "pods", 500, "no")
        shown.interrupt()
        assert shown.end() == 130

    assert "goes on with `remove`" in shown.shown
    assert len(made(web)) == 1


def test_cut_off_from_the_cluster_a_removal_goes_on_too(web: FakeKubernetes, terminal: Open) -> None:
    web.plays = playing({"remove": [WAITING]})

    with terminal(*CLEAR) as shown:
        shown.until("no node is free")
        web.until_held()
        web.vanish("watch", "pods")
        web.go_on()
        assert shown.end() == 1

    [job] = made(web)
    assert f"Warning: Job {job} in namespace default goes on with `remove`" in shown.shown


def test_a_download_goes_on(web: FakeKubernetes, terminal: Open) -> None:
    web.plays = lambda _: Script([releases.job_pod({"running": {}}, "Running")], ["1.0 GiB of 4.0 GiB (25%)\n", HELD])

    with terminal("cache", "preload", "web") as shown:
        shown.until("25%")
        shown.interrupt()
        assert shown.end() == 130

    assert "The download goes on in the cluster without this command." in " ".join(shown.shown.split())
    assert len(made(web)) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_off_a_terminal_a_signal_does_the_same(
    web: FakeKubernetes, environment: dict[str, str], number: signal.Signals, code: int
) -> None:
    web.plays = playing({"list": [WAITING]})

    def listening() -> None:
        """Who runs the tests under `nohup` has the plugin ignore a hang-up, which is right, and not what is tried."""
        signal.signal(number, signal.SIG_DFL)

    with subprocess.Popen(
        plugin(*CLEAR), env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=listening
    ) as process:
        assert process.stderr
        assert "no node is free" in process.stderr.readline()
        process.send_signal(number)
        said = process.stderr.read()

    assert process.returncode == code
    assert said == "Interrupted. The Jobs that it had made are deleted.\nNothing was removed.\n"
    assert made(web) == []


SIGNALS_ONE_AFTER_THE_OTHER = """
import os, signal
from llmkube_plugin import interrupts
interrupts.listen()
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
    try:
        with {around}:
            os.kill(os.getpid(), number)
            print(number.name, "passes", end="; ")
    except KeyboardInterrupt as interruption:
        print(number.name, "interrupts", end="; ")
"""


@pytest.mark.parametrize(
    ("around", "first"), [("open('/dev/null')", ""), ("interrupts.postponed()", "SIGINT passes; ")]
)
def test_only_a_second_ctrl_c_hurries_what_the_first_one_began(around: str, first: str) -> None:
    # Helm ends at the first one, and its terminal with it: that hangs up on us while we tidy up.
    line = [sys.executable, "-c", SIGNALS_ONE_AFTER_THE_OTHER.format(around=around)]

    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout

    interrupted = f"{first}SIGINT interrupts; "
    assert said == f"{interrupted}SIGHUP passes; SIGTERM passes; {interrupted}"


class TestInADirectory:
    """The downloader is a child of the command: Ctrl-C reaches both, a signal to the command alone is passed on."""

    @pytest.fixture
    def tidies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Path:
        """Replace the downloader by one that lists an entry, hangs in all else, and takes its time to tidy up."""
        tidied, listed = tmp_path / "tidied", listing()
        script = tmp_path / "own"
        script.write_text(
            "#!/bin/sh\n"
            f"[ $1 = list ] && exec printf '%s' '{listed}'\n"
            f"trap 'sleep 1; touch {tidied}; exit 143' INT\n"
            "echo working >&2\nwhile :; do sleep 0.05; done\n"
        )
        script.chmod(0o755)
        environment[local.VARIABLE] = str(script)
        return tidied

    def test_ctrl_c_leaves_it_the_time_to_tidy_up(self, tidies: Path, terminal: Open, tmp_path: Path) -> None:
        with terminal("cache", "preload", "file:///x", "--dir", str(tmp_path)) as shown:
            shown.until("working")
            shown.interrupt()
            assert shown.end() == 130

        assert tidies.exists()
        assert "Interrupted." in shown.shown

    def test_a_signal_to_the_command_alone_reaches_it_too(
        self, tidies: Path, environment: dict[str, str], tmp_path: Path
    ) -> None:
        line = plugin("cache", "verify", "--dir", str(tmp_path))
        with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            assert process.stderr.readline() == "working\n"
            os.kill(process.pid, signal.SIGINT)
            assert process.wait() == 130

        assert tidies.exists()

    def test_a_second_ctrl_c_does_not_wait_and_names_the_process(
        self, tidies: Path, terminal: Open, tmp_path: Path
    ) -> None:
        with terminal("cache", "verify", "--dir", str(tmp_path)) as shown:
            shown.until("working")
            shown.interrupt()
            shown.until("^C")
            shown.interrupt()
            assert shown.end() == 130


def listing() -> str:
    entry = releases.on_volume(KEY)
    return json.dumps({"schema": 1, "root": "/", "volume": {"total": 2, "free": 1}, "entries": [entry]})
