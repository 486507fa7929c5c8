"""Every error of the store says what happened to which object, and what to do, in these words."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import KEY, build, content, failing, idle, manifest_of, stage

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store import lease, removal, volume
from llmkube_downloader.store.beacon import Heartbeat
from llmkube_downloader.store.disk import identity, size_of_tree, storage_errors, storage_failure
from llmkube_downloader.store.entry import check_root, look, survey
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.lease import take, take_or_join, try_take
from llmkube_downloader.store.manifest import parse_manifest
from llmkube_downloader.store.publish import publish, refuse_foreign
from llmkube_downloader.store.refs import refer
from llmkube_downloader.store.removal import Doomed, being_fetched, in_use, remove_all
from llmkube_downloader.store.staging import Attempt, attempt
from llmkube_downloader.store.use import check_pod
from llmkube_downloader.store.volume import check_budget, check_format, check_space, prepare, unwritable, usage

if TYPE_CHECKING:
    from collections.abc import Callable

GIB = 1024**3


def error_of(call: Callable[[], object]) -> tuple[ExitCode, str, str]:
    """Return what a call fails with: its code, its cause and what to do."""
    with pytest.raises(DownloaderError) as failure:
        call()
    return failure.value.code, failure.value.cause, failure.value.action


@pytest.mark.parametrize(
    ("numbers", "code", "action"),
    [
        (
            [errno.ENOSPC, errno.EDQUOT],
            ExitCode.NO_SPACE,
            "Free space on the volume (llmkube-downloader remove) or enlarge the claim.",
        ),
        ([errno.EROFS], ExitCode.VOLUME, "Mount the volume writable, or fetch the entry from where it is writable."),
        (
            [errno.EACCES, errno.EPERM],
            ExitCode.VOLUME,
            "Give this user write access: set podSecurityContext.fsGroup.",
        ),
        (
            [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENAMETOOLONG, errno.EILSEQ],
            ExitCode.FILE_SYSTEM,
            "Use a volume whose file system can rename directories and hold these names.",
        ),
        ([errno.EIO, errno.ESTALE], ExitCode.VOLUME, "Check the health of the volume, then start again."),
    ],
)
def test_trouble_with_the_volume(numbers: list[int], code: ExitCode, action: str) -> None:
    for number in numbers:
        failure = storage_failure(OSError(number, "text"), "writing x")
        who = f" ({identity()})" if number in (errno.EACCES, errno.EPERM) else ""
        assert (failure.code, failure.cause, failure.action) == (code, f"writing x: {os.strerror(number)}{who}", action)


def test_trouble_without_a_number_is_told_as_it_is() -> None:
    assert storage_failure(OSError("3 bytes are missing"), "copying x").cause == "copying x: 3 bytes are missing"


def test_who_this_is_to_a_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getgroups", list)
    assert identity() == f"uid {os.geteuid()}, gid {os.getegid()}, groups none"
    monkeypatch.setattr(os, "getgroups", lambda: [3, 4])
    assert identity() == f"uid {os.geteuid()}, gid {os.getegid()}, groups 3,4"


def test_what_was_being_done_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    identity, opened, staged = content("a/model.gguf"), Attempt(layout.staging(KEY) / "1"), stage(layout, {})
    missing = Layout(layout.root / "new")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", failing(errno.EIO))
        for name in ("mkdir", "scandir", "statvfs", "walk"):
            patched.setattr(os, name, failing(errno.EIO))
        calls: list[Callable[[], object]] = [
            lambda: refer(layout, KEY, KEY),
            lambda: look(layout, KEY),
            lambda: usage(layout.root),
            lambda: check_format(layout),
            lambda: opened.open(identity),
            lambda: take(layout, KEY, 0, print),
            lambda: take_or_join(layout, KEY, 0, print),
            lambda: remove_all(layout, [Doomed(KEY, (KEY,))], force=True),
            lambda: attempt(layout, KEY, Heartbeat(idle)).__enter__(),
            lambda: publish(layout, staged, manifest_of({})),
            lambda: prepare(missing),
            lambda: survey(layout),
            lambda: check_budget(layout.root, 0, 0),
            lambda: opened.keep_only([]),
            lambda: opened.allocated(),
        ]
        doing = [error_of(call)[1].removesuffix(f": {os.strerror(errno.EIO)}") for call in calls]
    assert doing == [
        f"referring to {KEY} in {layout.refs(KEY)}",
        f"reading {layout.entry(KEY)}",
        f"asking {layout.root} for its free space",
        f"reading {layout.format}",
        f"creating a/model.gguf in {opened.files}",
        f"taking the build lease of {KEY} in {layout.leases(KEY)}",
        f"taking the build lease of {KEY} in {layout.leases(KEY)}",
        f"removing from {layout.root}",
        f"preparing {layout.staging(KEY)}",
        f"publishing {layout.entry(KEY)}",
        f"preparing {missing.root}",
        f"reading {layout.root}",
        f"measuring {layout.root}",
        f"sorting {opened.directory}",
        f"measuring {opened.files}",
    ]


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert error_of(lambda: check_root(Layout(tmp_path / "x"))) == (
        ExitCode.NOT_FOUND,
        f"there is no directory {tmp_path / 'x'}",
        "Give the directory of the cache with --root.",
    )


def test_a_volume_of_another_format(layout: Layout) -> None:
    layout.format.write_text('{"formatVersion": 2}')
    assert error_of(lambda: check_format(layout)) == (
        ExitCode.USAGE,
        f"{layout.root} has format 2, this version of llmkube-downloader knows 1",
        "Use the newer llmkube-downloader image that wrote this volume.",
    )
    for damaged in ("{", "[]", "{}", '{"formatVersion": null}'):
        layout.format.write_text(damaged)
        assert error_of(lambda: check_format(layout)) == (
            ExitCode.VOLUME,
            f"{layout.format} is damaged",
            "Remove this file; the next fetch writes it anew.",
        )


def test_a_manifest_of_another_format() -> None:
    assert error_of(lambda: parse_manifest(b'{"formatVersion": 2}')) == (
        ExitCode.USAGE,
        "the manifest has format 2, this version of llmkube-downloader knows 1",
        "Use the newer llmkube-downloader image that wrote this volume.",
    )


def test_a_volume_that_is_too_small(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(total=3 * GIB, free=GIB))
    check_space(layout.root, GIB - 1024**2)
    assert error_of(lambda: check_space(layout.root, GIB - 1024**2 + 1)) == (
        ExitCode.NO_SPACE,
        f"{layout.root} has 1.0 GiB free of 3.0 GiB, needed are 1023.0 MiB",
        "Free space (llmkube-downloader list, then remove) or enlarge the claim.",
    )


def test_a_cache_that_would_become_too_large(layout: Layout) -> None:
    build(layout, {"a": bytes(3 * 1024**2)})
    taken = size_of_tree(layout.root)
    check_budget(layout.root, 1024**2, taken + 1024**2)
    assert error_of(lambda: check_budget(layout.root, 1024**2, taken + 1024**2 - 1)) == (
        ExitCode.NO_SPACE,
        f"{layout.root} may take 4.0 MiB and takes 3.0 MiB, needed are 1.0 MiB more",
        "Free space (llmkube-downloader list, then remove or prune) or raise --budget.",
    )


@pytest.mark.parametrize(("mode", "gid", "group"), [(0o775, 77, 77), (0o755, 77, 0), (0o775, 0, 0)])
def test_a_root_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, gid: int, group: int
) -> None:
    tmp_path.chmod(mode)
    status = os.stat_result((*tmp_path.stat()[:4], 11, gid, *tmp_path.stat()[6:]))
    monkeypatch.setattr(type(tmp_path), "stat", lambda *_, **__: status)
    monkeypatch.setattr(type(tmp_path), "exists", lambda path, **__: path == tmp_path)
    monkeypatch.setattr(os, "getegid", lambda: 5)
    failure = unwritable(PermissionError(errno.EACCES, "text"), tmp_path / "a" / "b")
    assert (failure.code, failure.cause, failure.action) == (
        ExitCode.VOLUME,
        (
            f"{tmp_path / 'a' / 'b'} can not be written by {identity()}: {tmp_path} belongs to 11:{gid} "
            f"with mode {mode:04o}"
        ),
        (
            f"Set podSecurityContext.fsGroup: {group or 5}. Where the storage driver ignores fsGroup, let the export "
            "or the mount options grant that group write access."
        ),
    )


def test_waiting_that_took_too_long(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    now, told, waited = [100.0], list[str](), list[object]()
    monkeypatch.setattr(lease, "monotonic", lambda: now[0])
    monkeypatch.setattr(lease, "sleep", lambda seconds: now.append(now.pop() + seconds))
    mine = try_take(layout, KEY)
    assert mine
    mine.beat(1, 3)
    host = f"{os.uname().nodename} (33 % done)"
    for wait in (take, take_or_join):
        told.clear()
        waited.append(wait)
        assert error_of(lambda: wait(layout, KEY, 21, told.append)) == (  # noqa: B023 - it is called at once
            ExitCode.DELETED_OR_LOCK_TIMEOUT,
            f"gave up after 21s of waiting for {host}, which fetches {KEY}",
            "Start again later, or allow more time with --lock-wait.",
        )
        assert now == [100.0 + 21 * len(waited)]
        assert told == [f"{host} fetches the same; waiting since {seconds}s" for seconds in (0, 10, 20)]
    mine.beat(0, None)
    assert lease.holder_of(layout, KEY) == os.uname().nodename
    mine.withdraw()
    assert lease.holder_of(layout, KEY) is None
    layout.leases(KEY).joinpath("build").touch()
    assert lease.holder_of(layout, KEY) == "another process"


def test_a_key_that_is_used_or_fetched(layout: Layout) -> None:
    advice = (
        "Stop these pods and name those that are gone with --gone-pods (else a lease counts for 7 days), lift the pin "
        "with `unpin`, or remove it all the same with --force."
    )
    five = [f"pod {number}" for number in range(5)]
    for users, words in ((five, "; ".join(five)), ([*five, "a", "b"], "; ".join(five) + "; and 2 more")):
        failure = in_use(KEY, users)
        assert (failure.code, failure.cause, failure.action) == (ExitCode.POLICY, f"{KEY} is in use: {words}", advice)
    assert error_of(lambda: remove_all(layout, [Doomed(KEY, (KEY, "x"), is_due=lambda: False)], force=True)) == (
        ExitCode.POLICY,
        f"{KEY}, x is what pods are to start from again",
        "Nothing has to be done.",
    )
    failure = being_fetched(KEY, "web-0")
    assert (failure.code, failure.cause, failure.action) == (
        ExitCode.POLICY,
        f"{KEY} is being fetched by web-0",
        "Wait for it to end, or remove it all the same with --force: the fetch then fails.",
    )


def test_a_volume_that_was_too_slow_to_remove_from(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    build(layout)
    now = iter([0.0, 30.1])
    monkeypatch.setattr(removal, "monotonic", lambda: next(now))
    assert error_of(lambda: remove_all(layout, [Doomed(KEY, (KEY,))], force=False)) == (
        ExitCode.VOLUME,
        f"{layout.root} answered so slowly that {KEY} may be in use again",
        "Try again when the volume is healthy.",
    )
    now = iter([0.0, 30.0])
    assert remove_all(layout, [Doomed(KEY, (KEY,))], force=False) == 0
    assert not layout.entry(KEY).exists()


def test_names_that_are_taken_or_gone(layout: Layout) -> None:
    entry = layout.entry(KEY)
    entry.mkdir()
    (entry / "of-others").touch()
    assert error_of(lambda: publish(layout, stage(layout, {}), manifest_of({}))) == (
        ExitCode.POLICY,
        f"{entry} holds files that llmkube-downloader did not write",
        f"Move the directory away, or remove it: llmkube-downloader remove --root {layout.root} {KEY} --force",
    )
    _, cause, _ = error_of(lambda: refuse_foreign(layout, look(layout, KEY), "another size"))
    assert cause == f"{entry} holds files that llmkube-downloader did not write: another size"
    gone = Attempt(layout.staging(KEY) / "gone")
    assert error_of(lambda: gone.open(content("a"))) == (
        ExitCode.DELETED_OR_LOCK_TIMEOUT,
        f"{gone.files} was removed meanwhile",
        "Fetch the model again if it is still wanted.",
    )
    there = Attempt(layout.staging(KEY) / "there")
    there.directory.mkdir(parents=True)
    there.prepare()
    there.open(content("a")).close()
    (there.files / "A").hardlink_to(there.files / "a")
    assert error_of(lambda: there.open(content("A"))) == (
        ExitCode.FILE_SYSTEM,
        "the file system does not tell A from another file of the same model",
        "Use a volume with case-sensitive names, or exclude one of the files.",
    )


@pytest.mark.parametrize("pod", ["../x", "", "a/b", ".a", "a" * 129, "a\n"])
def test_what_is_no_uid(pod: str) -> None:
    assert error_of(lambda: check_pod(pod)) == (
        ExitCode.USAGE,
        f"{pod!r} is no UID of a pod",
        "Set LLMKUBE_POD_UID from the field metadata.uid of the pod.",
    )


def test_what_is_a_uid() -> None:
    for pod in ("a", "0", "A" * 128, "a-b_c.d"):
        check_pod(pod)


def test_what_is_no_trouble_is_let_through() -> None:
    def fail() -> None:
        with storage_errors("writing x"):
            raise KeyError("y")

    with pytest.raises(KeyError):
        fail()
