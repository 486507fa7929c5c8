"""Damage is found wherever it is, and only what is damaged is fetched again."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from origin_server import Origin, Reply
from weights import gguf

from fakehub import FakeHub, write_repository
from llmkube_downloader.maintenance.verifying import verify_entries
from llmkube_downloader.sha256 import CHECKPOINT_BYTES
from llmkube_downloader.store.entry import State, inspect
from llmkube_downloader.store.layout import MANIFEST_NAME, STATES_NAME, Layout
from llmkube_downloader.store.lease import try_take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from command_line import Done, Run

# Three segments of which the last is short, and a file that is one.
LARGE, SMALL = gguf(2 * CHECKPOINT_BYTES + 700_001, seed=1), gguf(100_000, seed=2)
REPOSITORY = {"large.gguf": LARGE, "small.gguf": SMALL, "config.json": b"{}"}
SELECTED = ("--include", "*.gguf", "--include", "*.json")

pytestmark = pytest.mark.usefixtures("waits")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    write_repository(tmp_path / "hub", "acme/tiny", REPOSITORY)
    with FakeHub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def entry(run: Run, root: Path, hub: FakeHub) -> Path:
    """An entry of three files."""
    done = run("fetch", "hf://acme/tiny", *SELECTED, "--root", root, "-o", "json")
    assert done.code == 0, done.err
    return Path(done.json["entry"])


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def verified(run: Run, root: Path, *arguments: str) -> tuple[Done, Any]:
    done = run("verify", "--root", root, "-o", "json", *arguments)
    return done, json.loads(done.out)["entries"]


def is_whole(entry: Path) -> bool:
    return all((entry / path).read_bytes() == data for path, data in REPOSITORY.items())


def test_a_flipped_bit_costs_its_segment_and_no_more(run: Run, root: Path, entry: Path) -> None:
    flip(entry / "large.gguf", CHECKPOINT_BYTES + 5)
    done, [found] = verified(run, root)
    assert (done.code, found["state"]) == (13, "damaged")
    problem = f"has wrong bytes between {CHECKPOINT_BYTES} and {2 * CHECKPOINT_BYTES}"
    assert found["problems"] == [{"path": "large.gguf", "problem": problem}]

    done, [repaired] = verified(run, root, "--repair")
    assert (done.code, repaired["repaired"]) == (0, {"bytesFetched": CHECKPOINT_BYTES})
    assert is_whole(entry)
    assert verified(run, root)[0].code == 0


def test_what_was_cut_off_or_is_missing_is_all_that_is_fetched(run: Run, root: Path, entry: Path) -> None:
    with (entry / "large.gguf").open("r+b") as file:
        file.truncate(2 * CHECKPOINT_BYTES + 1)
    (entry / "small.gguf").unlink()
    done, [repaired] = verified(run, root, "--repair")
    assert done.code == 0
    assert repaired["repaired"] == {"bytesFetched": 700_001 + len(SMALL)}
    assert is_whole(entry)


def test_a_damaged_entry_stays_in_place_until_the_new_one_is_whole(
    run: Run, root: Path, entry: Path, hub: FakeHub
) -> None:
    flip(entry / "large.gguf", 5)
    hub.close()
    assert run("verify", "--root", root, "--repair").code == 16
    assert (entry / "small.gguf").read_bytes() == SMALL
    assert list((root / ".llmkube").glob("quarantine/*")) == []


def test_pods_that_have_the_damaged_files_open_keep_them(run: Run, root: Path, entry: Path) -> None:
    flip(entry / "large.gguf", 5)
    with (entry / "large.gguf").open("rb") as opened:
        verified(run, root, "--repair")
        assert len(opened.read()) == len(LARGE)
    assert len(list((root / ".llmkube" / "quarantine").iterdir())) == 1


@pytest.mark.parametrize("damage", [lambda path: flip(path, 3), Path.unlink], ids=["flipped", "missing"])
def test_damaged_states_are_told_and_made_anew_without_fetching(
    run: Run, root: Path, entry: Path, damage: Callable[[Path], None]
) -> None:
    damage(entry / STATES_NAME)
    done, [found] = verified(run, root)
    assert (done.code, [problem["path"] for problem in found["problems"]]) == (13, [STATES_NAME])
    done, [repaired] = verified(run, root, "--repair")
    assert (done.code, repaired["repaired"]) == (0, {"bytesFetched": 0})
    assert verified(run, root)[0].code == 0


def test_an_entry_without_a_readable_manifest_can_not_be_repaired_and_says_so(
    run: Run, root: Path, entry: Path
) -> None:
    flip(entry / MANIFEST_NAME, 5)
    done = run("verify", "--root", root, "--repair")
    assert done.code == 10
    assert f"remove {entry.name}" in done.err


def test_a_repair_asks_only_hosts_that_are_allowed(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/m.gguf", Reply(SMALL, headers={"ETag": '"1"'}))
    entry = Path(run("fetch", url, "--root", root, "--allow-http", "*", "-o", "json").json["entry"])
    flip(entry / "model.gguf", 50)
    assert run("verify", "--root", root, "--repair").code == 21
    assert run("verify", "--root", root, "--repair", "--allow-http", "127.0.0.1").code == 0
    assert (entry / "model.gguf").read_bytes() == SMALL


@pytest.mark.parametrize("command", [("verify", "--repair"), ("fetch", "URL", "--verify-on-start", "full")])
def test_a_repair_keeps_to_the_limits_of_a_fetch(
    run: Run, root: Path, origin: Origin, waits: list[float], command: tuple[str, ...]
) -> None:
    url = origin.serve("/m.gguf", Reply(SMALL, headers={"ETag": '"1"'}))
    asked = [url if word == "URL" else word for word in command] + ["--root", str(root), "--allow-http", "*"]
    entry = Path(run("fetch", url, "--root", root, "--allow-http", "*", "-o", "json").json["entry"])
    flip(entry / "model.gguf", 50)
    other = try_take(Layout(root), entry.name)
    assert other
    assert run(*asked, "--lock-wait", "0").code == 20
    other.withdraw()
    waits.clear()
    assert run(*asked, "--limit-rate", "10").code == 0
    assert max(waits) > 0.9 * len(SMALL) / 10


@pytest.mark.parametrize(("how", "code"), [("full", 0), ("sample", 0)])
def test_a_start_that_verifies_repairs_what_it_finds(run: Run, root: Path, entry: Path, how: str, code: int) -> None:
    for place in (5, CHECKPOINT_BYTES + 5, 2 * CHECKPOINT_BYTES + 5):
        flip(entry / "large.gguf", place)
    done = run("fetch", "hf://acme/tiny", *SELECTED, "--root", root, "--verify-on-start", how, "-o", "json")
    assert done.code == code
    assert "large.gguf has wrong bytes" in done.err
    assert done.json["bytesFetched"] == len(LARGE)
    assert is_whole(entry)


def test_a_start_that_looks_at_sizes_reads_nothing_again(run: Run, root: Path, entry: Path) -> None:
    flip(entry / "large.gguf", 5)
    done = run("fetch", "hf://acme/tiny", *SELECTED, "--root", root, "-o", "json")
    assert (done.json["result"], done.json["bytesFetched"]) == ("hit", 0)


def test_a_branch_that_moved_on_is_repaired_with_the_commit_it_was_built_of(
    run: Run, root: Path, entry: Path, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "hub" / "acme" / "tiny" / "main", tmp_path / "hub" / "acme" / "tiny" / "old")
    write_repository(tmp_path / "hub", "acme/tiny", {"large.gguf": gguf(1000, seed=9)})
    flip(entry / "large.gguf", 5)
    done, _ = verified(run, root, "--repair")
    assert done.code == 0, done.err
    assert is_whole(entry)


@pytest.mark.parametrize(
    ("selection", "count"), [(("--include", "small.gguf", "--include", "*.json"), 950), (SELECTED, 50)]
)
def test_a_thousand_damages_are_all_found(
    run: Run, root: Path, hub: FakeHub, selection: tuple[str, ...], count: int
) -> None:
    """Flips, truncations, swapped stretches and deletions, each at a place of its own, put right again after it.

    Without its manifest a directory is not ours to judge, and no start takes it for an entry.
    """
    entry = Path(run("fetch", "hf://acme/tiny", *selection, "--root", root, "-o", "json").json["entry"])
    chance = random.Random(count)  # noqa: S311 - the places are no secrets
    missed = []
    for _ in range(count):
        path = chance.choice(sorted(entry.iterdir()))
        damage = chance.choice([_flip_somewhere, _truncate, _swap, _delete])
        before = path.read_bytes()
        damage(path, before, chance)
        found = {problem.path for checked in verify_entries(root, [], lambda _: None) for problem in checked.problems}
        if path.name not in found and not (
            path.name == MANIFEST_NAME and inspect(entry, entry.name).state is State.FOREIGN
        ):
            missed.append((damage.__name__, path.name))
        path.write_bytes(before)
    assert missed == []
    assert not any(checked.problems for checked in verify_entries(root, [], lambda _: None))


def _flip_somewhere(path: Path, before: bytes, chance: random.Random) -> None:
    flip(path, chance.randrange(len(before)))


def _truncate(path: Path, before: bytes, chance: random.Random) -> None:
    path.write_bytes(before[: chance.randrange(len(before))])


def _swap(path: Path, before: bytes, chance: random.Random) -> None:
    """Swap two halves, or make sure of a change where they are equal."""
    middle = len(before) // 2
    swapped = before[middle:] + before[:middle]
    path.write_bytes(swapped if swapped != before else before + b"x")


def _delete(path: Path, before: bytes, chance: random.Random) -> None:
    path.unlink()
