"""What is on a volume is what docs/cache-format.md says, because others read it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from building import KEY, build, content, manifest_of, stage

from llmkube_downloader.sha256 import CHECKPOINT_BYTES
from llmkube_downloader.store import proof, refs
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.condemned import condemn, is_condemned
from llmkube_downloader.store.disk import names_in
from llmkube_downloader.store.entry import look
from llmkube_downloader.store.journal import begin_journal, write_journal
from llmkube_downloader.store.layout import Layout, nonce
from llmkube_downloader.store.manifest import FileRecord, Manifest
from llmkube_downloader.store.pins import is_pinned, lift_pin, set_pin
from llmkube_downloader.store.proof import has_sound_states, states_in
from llmkube_downloader.store.publish import publish
from llmkube_downloader.store.refs import refer
from llmkube_downloader.store.staging import Attempt
from llmkube_downloader.store.trash import move_away, quarantine
from llmkube_downloader.store.use import say_opened, write_use

STATE = bytes(range(32))
POD = "11111111-2222-3333-4444-555555555555"


def described(files: tuple[FileRecord, ...], checkpoints: str | None) -> Manifest:
    return replace(manifest_of({}), files=files, checkpoints=checkpoints)


def is_now(text: str) -> bool:
    """Whether a time was written in UTC, to the second, a moment ago."""
    age = datetime.now(timezone.utc) - datetime.fromisoformat(text)
    return text.endswith("+00:00") and len(text) == 25 and abs(age) < timedelta(minutes=5)


def test_everything_has_its_place(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    places = {
        "key": layout.entry("key"),
        "key-0badcafe": layout.generation("key", "0badcafe" + 56 * "0"),
        ".llmkube/format.json": layout.format,
        ".llmkube/leases/key": layout.leases("key"),
        ".llmkube/pins/key": layout.pin("key"),
        ".llmkube/refs/key": layout.refs("key"),
        ".llmkube/staging/key": layout.staging("key"),
        ".llmkube/adopting": layout.adopting,
        ".llmkube/trash": layout.trash,
        ".llmkube/quarantine": layout.quarantine,
    }
    assert {place: tmp_path / place for place in places} == places


def test_an_attempt_has_its_files_and_a_journal_for_each(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    attempt.prepare()
    attempt.open(content("q4/model.gguf")).close()
    name = hashlib.sha256(b"q4/model.gguf").hexdigest()[:32]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == [
        "received/files/q4/model.gguf",
        f"received/journal/{name}",
    ]


def test_a_beacon_says_who_its_writer_is_and_how_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_POD_UID", POD)
    monkeypatch.setenv("LLMKUBE_NODE_NAME", "node-1")
    beacon = Beacon(tmp_path / "build")
    beacon.beat(7, 10)
    data = (tmp_path / "build").read_bytes()
    record = json.loads(data)
    assert (len(data), data.strip()[-1:]) == (1024, b"}")
    assert len(bytes.fromhex(record.pop("nonce"))) == 16
    assert is_now(record.pop("since"))
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert record == {
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "started": ticks,
        "pidNamespace": str(Path("/proc/self/ns/pid").readlink()),
        "bootId": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "podUID": POD,
        "node": "node-1",
        "done": 7,
        "total": 10,
    }
    beacon.release()
    assert json.loads((tmp_path / "build").read_text())["released"] is True


def test_a_beacon_that_does_not_know_how_much_there_is_says_so(tmp_path: Path) -> None:
    beacon = Beacon(tmp_path / "build")
    record = json.loads((tmp_path / "build").read_text())
    assert (record["done"], record["total"], record["podUID"], record["node"]) == (0, None, "", "")
    assert "released" not in record
    beacon.withdraw()


def test_a_use_lease_says_which_entries_its_pod_has_opened(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_POD_UID", POD)
    lease = layout.leases(KEY) / f"use.{POD}"

    def record() -> Any:
        data = lease.read_bytes()
        assert (len(data), data[-1:]) == (1024, b"\n")
        return json.loads(data)

    write_use(layout, KEY, POD)
    said = record()
    assert abs(said.pop("since") - lease.stat().st_mtime) < 2
    assert said == {"host": os.uname().nodename, "podUID": POD, "opening": True, "entries": []}
    say_opened(layout, KEY, f"{KEY}-0badcafe")
    say_opened(layout, KEY, KEY)
    assert (record()["opening"], record()["entries"]) == (False, [KEY, f"{KEY}-0badcafe"])


def test_a_pin_says_who_set_it_and_when_until_it_is_lifted(layout: Layout) -> None:
    assert not lift_pin(layout, KEY)
    set_pin(layout, KEY)
    first = layout.pin(KEY).read_bytes()
    record = json.loads(first)
    assert is_now(record.pop("since"))
    assert record == {"host": os.uname().nodename}
    layout.pin(KEY).write_text("{}")
    set_pin(layout, KEY)
    assert layout.pin(KEY).read_text() == "{}"
    assert is_pinned(layout, KEY)
    assert lift_pin(layout, KEY)
    assert not is_pinned(layout, KEY)


def test_a_journal_is_lines_with_checksums(tmp_path: Path) -> None:
    def texts(path: Path) -> list[str]:
        lines = path.read_text("ascii").split("\n")
        assert lines.pop() == ""
        return [line[9:] for line in lines]

    identity = content("m\u00f6del.gguf", b"12345", validator='"1"')
    first = f'file ["m\\u00f6del.gguf", 5, "{hashlib.sha256(b"12345").hexdigest()}", "\\"1\\""]'
    journal = begin_journal(tmp_path / "one", identity)
    journal.wrote(0, 4)
    journal.reached(4, STATE)
    length = journal.length
    assert length == (tmp_path / "one").stat().st_size
    journal.whole("ab" * 32)
    told = journal.length - len(f"00000000 synced {length}\n")
    journal.close()
    assert texts(tmp_path / "one") == [
        first,
        "wrote 0 4",
        f"state 4 {STATE.hex()}",
        f"whole {'ab' * 32}",
        f"synced {told}",
    ]
    assert (tmp_path / "one").read_bytes().splitlines()[1] == b"10483d00 wrote 0 4"

    write_journal(tmp_path / "other", identity, [(0, 2), (3, 4)], {2: STATE})
    told = sum(len(line) + 10 for line in texts(tmp_path / "other")[:-1])
    lines = [first, "wrote 0 2", "wrote 3 4", f"state 2 {STATE.hex()}", f"synced {told}"]
    assert texts(tmp_path / "other") == lines


def test_refs_are_numbered_beyond_every_one_that_is_there(layout: Layout) -> None:
    directory = layout.refs(KEY)
    refer(layout, KEY, f"{KEY}-0badcafe")
    (directory / f"00000041-{KEY}").touch()
    (directory / "of-others").touch()
    refer(layout, KEY, f"{KEY}-0badcafe")
    assert sorted(path.name for path in directory.iterdir()) == [
        f"00000001-{KEY}-0badcafe",
        f"00000041-{KEY}",
        f"00000042-{KEY}-0badcafe",
        "of-others",
    ]


def test_a_number_that_another_refresh_took_meanwhile_is_left_to_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(directory: Path) -> list[str]:
        found = names_in(directory)
        (directory / f"00000001-{KEY}").touch()
        return found

    monkeypatch.setattr(refs, "names_in", overtaken)
    refer(layout, KEY, KEY)
    assert [path.name for path in layout.refs(KEY).iterdir() if path.name.startswith("00000002-")] == [
        f"00000002-{KEY}"
    ]


def test_a_ref_is_on_disk_when_it_is_relied_upon(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(refs, "sync_directory", synced.append)
    refer(layout, KEY, KEY)
    assert synced == [layout.refs(KEY), layout.refs(KEY).parent]


def test_states_are_found_by_the_file_that_they_are_of(tmp_path: Path) -> None:
    states = [bytes([number]) * 32 for number in range(3)]
    sizes = {"a": CHECKPOINT_BYTES, "b": 2 * CHECKPOINT_BYTES + 1, "c": 5, "d": CHECKPOINT_BYTES + 1}
    files = tuple(FileRecord(path, path, size, "0" * 64, "size") for path, size in sizes.items())
    data = b"".join(states)
    manifest = described(files, hashlib.sha256(data).hexdigest())
    assert not has_sound_states(tmp_path, manifest)
    assert states_in(tmp_path, manifest) == {}
    (tmp_path / ".llmkube.sha256").write_bytes(data)
    assert has_sound_states(tmp_path, manifest)
    assert states_in(tmp_path, manifest) == {"a": [], "b": states[:2], "c": [], "d": states[2:]}


def test_states_that_are_not_those_of_the_manifest_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (FileRecord("a", "a", CHECKPOINT_BYTES + 1, "0" * 64, "size"),)
    (tmp_path / ".llmkube.sha256").write_bytes(STATE)
    wrong = described(files, "0" * 64)
    right = described(files, hashlib.sha256(STATE).hexdigest())
    assert (has_sound_states(tmp_path, wrong), states_in(tmp_path, wrong)) == (False, {})
    assert has_sound_states(tmp_path, described(files, None))
    monkeypatch.setattr(proof, "has_states", lambda: False)
    assert states_in(tmp_path, right) == {}


def test_states_are_published_with_their_entry(layout: Layout) -> None:
    files = stage(layout, {"a": b"1"})
    publish(layout, files, manifest_of({"a": b"1"}), STATE)
    assert (layout.entry(KEY) / ".llmkube.sha256").read_bytes() == STATE


def test_what_is_on_its_way_out_keeps_its_name_before_a_random_one(layout: Layout) -> None:
    build(layout)
    (layout.entry(KEY) / "model.gguf").unlink()
    aside = quarantine(layout, look(layout, KEY))
    assert (aside.parent, aside.name[:17], len(bytes.fromhex(aside.name[17:]))) == (layout.quarantine, f"{KEY}.", 16)
    gone = move_away(layout, aside)
    assert gone
    assert (gone.parent, gone.name[: len(aside.name)]) == (layout.trash, aside.name)
    assert len(bytes.fromhex(gone.name[len(aside.name) + 1 :])) == 16
    assert move_away(layout, aside) is None


def test_what_is_condemned_names_its_key_its_intent_and_itself(layout: Layout) -> None:
    build(layout)
    intent = nonce()
    condemn(layout, KEY, intent, KEY)
    condemn(layout, KEY, intent, f"{KEY}-0badcafe")
    name = f"condemned.{KEY}.{intent}.{KEY}"
    assert [path.name for path in layout.trash.iterdir()] == [name]
    assert is_condemned(name)
    assert not is_condemned(f"{KEY}.{intent}")
