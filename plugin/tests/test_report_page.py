"""`helm llmkube report`: one page, and the same facts for programs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import fleet
import pytest
import releases
from fake_kubernetes import Script

import llmkube_plugin

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

NOW = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)


@pytest.fixture
def team(cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> FakeKubernetes:
    cluster.add(*fleet.objects())
    cluster.plays = fleet.volume
    monkeypatch.setattr("llmkube_plugin.units.now", lambda: NOW)
    return cluster


def facts(run: Run, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the caches of the report for programs, by their claims."""
    result = run("report", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return {cache["claim"]: cache for cache in json.loads(result.stdout)["caches"]}


def page(run: Run, *arguments: str) -> Page:
    result = run("report", "-f", "-", *arguments)
    assert result.exit_code == 0, result.output
    return Page(result.stdout)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self.elements or self.elements[-1][0] != "style":
            self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


class TestThePage:
    def test_it_tells_entries_users_errors_and_what_can_be_had_back(self, team: FakeKubernetes, run: Run) -> None:
        text = page(run, "--scan").text

        assert "Model caches in namespace default" in text
        assert "hf://old-org/chat-34b-which-nobody-serves-any-more 00112233445566aa complete orphan 70.0Gi" in text
        assert "chat-6d4b9c-aaaaa, chat-6d4b9c-bbbbb" in text
        assert "60.0Gi free of 200Gi, read for this page." in text
        assert "auth (exit code 11) for hf://big-org/code-70b/code-q6_k.gguf, in pod code-preload-1, 2h ago" in text
        assert "What to do: Put HF_TOKEN into model.existingSecret." in text

    def test_every_number_of_a_report_says_how_old_it_is(self, team: FakeKubernetes, run: Run) -> None:
        text = page(run).text

        assert "Made 2026-01-05 12:00:00 UTC ; all ages count back from then" in text
        assert "4.6Gi 19h ago" in text
        assert "150Gi free of 200Gi, reported 19h ago" in text
        assert "orphans and other files are known only after --scan" in text

    def test_downloads_are_told_with_time_length_bytes_and_rate(self, team: FakeKubernetes, run: Run) -> None:
        text = page(run).text

        assert "2026-01-02 03:26 hf://org/chat-8b-instruct/chat-8b-q4_k_m.gguf" in text
        assert "chat-model-cache chat-preload-1 fetched 4.6Gi 3m 32s 22.2Mi/s" in text
        assert "vision-model-cache vision-1 running - 20m so far -" in text
        assert (
            text.index("vision-1 running") < text.index("code-preload-1 failed") < text.index("chat-preload-1 fetched")
        )
        assert "2 starts found everything there and downloaded nothing." in text

    def test_it_is_whole_in_itself_and_runs_nothing(self, team: FakeKubernetes, run: Run) -> None:
        found = page(run, "--scan")

        [policy] = [meta["content"] for meta in found.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
        assert policy
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        tags = {tag for tag, _ in found.elements}
        assert not tags & {"script", "iframe", "object", "img", "form", "base"}
        links = [attributes.get(name) for _, attributes in found.elements for name in ("href", "src", "action")]
        assert {link for link in links if link and not link.startswith("#")} == {"data:,"}
        assert not [
            name for _, attributes in found.elements for name in attributes if name == "style" or name[:2] == "on"
        ]

    @pytest.mark.parametrize("where", ["source", "pod", "problem", "failure"])
    def test_what_was_found_is_text_and_never_markup(self, cluster: FakeKubernetes, run: Run, where: str) -> None:
        items = releases.serving()
        job = releases.of_kind(items, "Job")
        failed = releases.failed(16, "origin-unavailable", fleet.HOSTILE if where == "failure" else "c", "a")
        pod = releases.pod_of(job, "p", releases.job_pod(releases.ended(16, failed), "Failed"))
        if where == "source":
            pod["metadata"]["annotations"]["llmkube.dev/source"] = fleet.HOSTILE
            job["metadata"]["annotations"]["llmkube.dev/source"] = fleet.HOSTILE
        if where == "pod":
            pod["metadata"]["name"] = fleet.HOSTILE
        cluster.add(pod, *(item for item in items if item["kind"] != "Deployment"))
        problem = {"problem": fleet.HOSTILE} if where == "problem" else {}
        cluster.plays = lambda _: releases.volume(releases.on_volume(fleet.ORPHAN, "damaged", **problem))

        found = page(run, "--scan")

        assert fleet.HOSTILE in found.text
        assert fleet.HOSTILE not in found.html
        assert not found.of("script")

    def test_marks_that_turn_writing_around_are_taken_out(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        items[0]["metadata"]["annotations"] = {}
        for item in items:
            item["metadata"].setdefault("annotations", {})["llmkube.dev/source"] = "hf://org/\u202efugg.ledom"
        cluster.add(*items)

        assert "hf://org/?fugg.ledom" in page(run).text

    def test_without_any_cache_it_says_so_and_what_to_try(self, run: Run) -> None:
        text = page(run).text

        assert "No caches found" in text
        assert "helm llmkube report -A looks in all namespaces." in text

    def test_headings_and_tables_say_what_they_are_about(self, team: FakeKubernetes, run: Run) -> None:
        found = page(run, "--scan")

        assert len(found.of("h1")) == 1
        assert len(found.of("table")) == len(found.of("caption")) == 5  # overview, three caches, downloads
        assert all("scope" in head for head in found.of("th"))
        named = {section["aria-labelledby"] for section in found.of("section")}
        assert named <= {attributes.get("id") for _, attributes in found.elements}
        assert next(bar["aria-label"] for bar in found.of("svg") if bar.get("class") == "bar") == (
            "4.6Gi in use, 30.0Gi not used, 72.0Gi orphans, 9.0Gi partial, 24.4Gi other files, 60.0Gi free"
        )

    def test_many_users_of_an_entry_are_counted_and_not_all_named(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        server = releases.of_kind(items, "Deployment")
        cluster.add(*items, *(releases.pod_of(server, f"web-{n:03}", releases.served()) for n in range(40)))

        text = page(run).text

        assert "40 web-000, web-001," in text
        assert "web-011 and 28 more" in text


class TestFactsForPrograms:
    def test_they_are_those_of_the_page(self, team: FakeKubernetes, run: Run) -> None:
        chat = facts(run, "--scan")["chat-model-cache"]

        gib = {
            name: round(value / fleet.GI, 1)
            for name, value in chat["space"].items()
            if name in ("inUse", "unused", "orphans", "partial", "other", "free", "total", "reclaimable")
        }
        assert gib == {
            "inUse": 4.6, "unused": 30.0, "orphans": 72.0, "partial": 9.0, "other": 24.4, "free": 60.0, "total": 200.0,
            "reclaimable": 81.0,
        }  # fmt: skip
        assert sum(entry["reclaimable"] for entry in chat["entries"]) == chat["space"]["reclaimable"]
        assert [entry["pinned"] for entry in chat["entries"] if entry["source"] == "s3://weights/embeddings/large"] == [
            True
        ]

    def test_a_fetch_tells_when_how_long_how_much_and_how_fast(self, team: FakeKubernetes, run: Run) -> None:
        *_, preload = facts(run)["chat-model-cache"]["fetches"]

        assert preload == {
            "pod": "chat-preload-1",
            "key": preload["key"],
            "source": "hf://org/chat-8b-instruct/chat-8b-q4_k_m.gguf",
            "result": "fetched",
            "started": "2026-01-02T03:26:27Z",
            "seconds": 212.4,
            "bytesFetched": int(4.6 * fleet.GI),
            "bytesReused": 0,
            "bytesPerSecond": 23254296,
            "failure": None,
        }

    def test_failed_and_running_fetches_are_among_them(self, team: FakeKubernetes, run: Run) -> None:
        found = facts(run)

        [denied] = found["code-assistant-model-cache"]["fetches"]
        [running] = found["vision-model-cache"]["fetches"]
        assert (denied["result"], denied["failure"]["name"], denied["bytesFetched"]) == ("failed", "auth", None)
        assert (running["result"], running["started"]) == ("running", "2026-01-05T11:40:00Z")

    def test_yaml_has_them_too_and_where_they_are_from(self, team: FakeKubernetes, run: Run) -> None:
        shown = run("report", "-o", "yaml").stdout

        assert "made: '2026-01-05T12:00:00Z'\n" in shown
        assert f"server: {team.url}\nnamespace: default\nscanned: false\n" in shown


class TestScan:
    def test_without_it_nothing_is_made_in_the_cluster(self, team: FakeKubernetes, run: Run) -> None:
        page(run)

        assert {asked.method for asked in team.asked} == {"GET"}

    def test_a_volume_that_can_not_be_read_is_told_on_the_page_and_by_the_exit_code(
        self, team: FakeKubernetes, run: Run
    ) -> None:
        def plays(job: releases.Object) -> Script:
            if not job["metadata"]["annotations"]["llmkube.dev/claim"].startswith("code"):
                return fleet.volume(job)
            state = releases.ended(15, releases.failed(15, "volume", "stale file handle", "Remount it."))
            return Script([releases.job_pod(state, "Failed", "maintenance")])

        team.plays = plays

        result = run("report", "--scan", "-f", "-")

        assert result.exit_code == 15
        assert "Volumes that could not be read" in result.stdout
        assert "stale file handle" in result.stdout
        assert "chat-34b-which-nobody-serves-any-more" in result.stdout
        assert "stale file handle" in result.stderr


class TestTheFile:
    def test_it_lies_beside_the_user_and_its_place_is_said(
        self, team: FakeKubernetes, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        result = run("report", "--scan")

        assert result.stdout == ""
        assert result.stderr.splitlines()[-1] == "Wrote llmkube-report.html: 3 caches, 8 entries, 81.0Gi reclaimable."
        assert (tmp_path / "llmkube-report.html").read_text().startswith("<!doctype html>")

    def test_an_earlier_report_is_replaced_and_keeps_its_mode(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "report.html"
        run("report", "-f", str(path))
        path.chmod(0o640)
        before = path.stat().st_ino

        again = run("report", "-f", str(path))

        assert again.exit_code == 0, again.output
        assert path.stat().st_ino != before
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert names_in(tmp_path) == {"kubeconfig", "report.html"}

    def test_facts_for_programs_go_to_standard_output(self, run: Run, tmp_path: Path) -> None:
        result = run("report", "-o", "json", "-f", str(tmp_path / "report.json"))

        assert result.exit_code == 2
        assert "-f is for the page; -o json goes to standard output." in result.stderr

    def test_anything_else_is_not_overwritten(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "notes.html"
        path.write_text("<h1>about llmkube</h1>")

        result = run("report", "-f", str(path))

        assert result.exit_code == 1
        assert f"{path} exists, and is no report of llmkube: it is not overwritten" in result.stderr
        assert path.read_text() == "<h1>about llmkube</h1>"

    def test_a_file_that_is_refused_costs_no_request(self, cluster: FakeKubernetes, run: Run, tmp_path: Path) -> None:
        results = [run("report", "-f", str(path)) for path in (tmp_path, tmp_path / "no" / "report.html")]

        assert [result.exit_code for result in results] == [1, 1]
        assert "is a directory" in results[0].stderr
        assert "there is no directory" in results[1].stderr
        assert cluster.asked == []

    def test_a_link_to_a_report_stays_a_link(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("real.html")

        result = run("report", "-f", str(tmp_path / "link"))

        assert result.exit_code == 0, result.output
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real.html").read_text().startswith("<!doctype html>")

    def test_a_report_that_can_not_be_written_leaves_the_one_before(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "report.html"
        run("report", "-f", str(path))
        before = path.read_bytes()

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        result = run("report", "-f", str(path))

        assert result.exit_code == 1
        assert f"{path} can not be written: No space left on device" in result.stderr
        assert path.read_bytes() == before
        assert names_in(tmp_path) == {"kubeconfig", "report.html"}

    def test_a_pipe_is_written_to(self, run: Run) -> None:
        assert run("report", "-f", "/dev/null").exit_code == 0
        assert not Path("/dev/null").is_file()


class TestADirectory:
    def test_it_has_a_page_of_its_own_without_a_cluster(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
        root, weights = tmp_path / "models", tmp_path / "weights.bin"
        root.mkdir()
        weights.write_bytes(bytes(range(256)) * 8192)
        run("cache", "preload", weights.as_uri(), "--dir", str(root))

        text = page(run, "--dir", str(root)).text
        [cache] = json.loads(run("report", "--dir", str(root), "-o", "json").stdout)["caches"]

        assert f"Model caches in directory {root}" in text
        assert f"{weights.as_uri()} {cache['entries'][0]['key']} complete 2.0Mi" in text
        assert "Releases" not in text
        assert cache["space"]["reclaimable"] == cache["space"]["unused"] == 2 << 20
        assert cache["space"]["other"] > 0

    def test_options_of_a_cluster_mean_nothing_there(self, run: Run, tmp_path: Path) -> None:
        result = run("report", "--dir", str(tmp_path), "--scan")

        assert result.exit_code == 2
        assert "--scan is for a cluster" in result.stderr


@pytest.mark.slow
def test_an_installed_plugin_has_all_that_the_page_is_made_of(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(line, cwd=releases.REPOSITORY / "plugin", check=True, capture_output=True)

    [wheel] = tmp_path.glob("*.whl")
    packed = {Path(name).name for name in ZipFile(wheel).namelist() if "/templates/report/" in name}
    assert packed == names_in(Path(llmkube_plugin.__file__).parent / "templates" / "report")
