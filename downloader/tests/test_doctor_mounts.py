"""The doctor on file systems of all kinds."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import failing
from examining import ROOTFS, findings

from llmkube_downloader.store import mounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Done, Run


class TestFileSystem:
    @pytest.fixture
    def mounted(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Let the kernel's table of mounts hold these lines besides the machine's own one."""

        def mount(*lines: str) -> None:
            table = tmp_path / "mountinfo"
            table.write_text("\n".join([ROOTFS, *(line.replace("POINT", str(root)) for line in lines)]) + "\n")
            monkeypatch.setattr(mounts, "_TABLE", table)

        return mount

    @pytest.mark.parametrize(
        "kind",
        [
            *("fuse mountpoint-s3", "fuse.mount-s3 s3", "fuse.s3fs s3fs", "fuse.gcsfuse bucket", "fuse blobfuse2"),
            *("fuse.blobfuse2 blobfuse2", "fuse.rclone remote:", "fuse.goofys bucket", "fuse.geesefs bucket"),
        ],
    )
    def test_a_mounted_bucket_is_unsuitable(
        self, examine: Callable[[], Done], mounted: Callable[..., None], kind: str
    ) -> None:
        mounted(f"30 22 0:40 / POINT rw,nosuid shared:7 - {kind} rw,user_id=0")
        done = examine()
        assert done.code == 19
        assert "object store" in findings(done, "problem")["file system"]["what"]

    def test_a_read_only_bucket_can_be_read(self, examine: Callable[[], Done], mounted: Callable[..., None]) -> None:
        mounted("30 22 0:40 / POINT ro,nosuid - fuse mountpoint-s3 rw")
        done = examine()
        assert done.code == 0
        assert findings(done, "warning").keys() == {"file system", "access"}

    @pytest.mark.parametrize(
        ("kind", "level", "word"),
        [
            ("ext4 /dev/sda", "ok", "ext4"),
            ("nfs4 server:/export", "ok", "over the network"),
            ("cifs //server/share", "ok", "over the network"),
            ("ceph mon:/", "ok", "over the network"),
            ("fuse.juicefs JuiceFS:x", "ok", "over the network"),
            ("fuse something", "ok", "fuse"),
            ("tmpfs tmpfs", "warning", "memory"),
            ("overlay overlay", "warning", "container"),
            ("vfat /dev/sdb", "problem", "4 GiB"),
        ],
    )
    def test_other_kinds_are_told_apart(
        self, examine: Callable[[], Done], mounted: Callable[..., None], kind: str, level: str, word: str
    ) -> None:
        mounted(f"30 22 0:40 / POINT rw - {kind} rw")
        assert word in findings(examine(), level)["file system"]["what"]

    def test_the_mount_that_holds_the_directory_counts(
        self, examine: Callable[[], Done], mounted: Callable[..., None], root: Path
    ) -> None:
        mounted(
            "29 22 0:39 / POINT rw - fuse.gcsfuse covered rw",
            "30 29 0:40 / POINT rw - xfs /dev/sda rw",
            "31 30 0:41 / POINT/below rw - fuse.gcsfuse below rw",
            "broken line",
        )
        done = examine()
        assert (done.json["fileSystem"], done.json["mountPoint"]) == ("xfs", str(root))

    def test_a_name_that_begins_alike_does_not_count(
        self, examine: Callable[[], Done], mounted: Callable[..., None], root: Path
    ) -> None:
        mounted(f"30 22 0:40 / {str(root)[:-1]} rw - fuse.gcsfuse bucket rw")
        assert examine().json["fileSystem"] == "ext4"

    def test_a_mount_point_with_a_space_is_found(self, run: Run, mounted: Callable[..., None], tmp_path: Path) -> None:
        (tmp_path / "my models").mkdir()
        mounted(f"30 22 0:40 / {tmp_path}/my\\040models rw - nfs4 server:/export rw")
        done = run("doctor", "--root", tmp_path / "my models", "-o", "json")
        assert done.json["mountPoint"] == str(tmp_path / "my models")

    def test_a_kernel_that_says_nothing_is_no_problem(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mounts, "_TABLE", Path("/nonexistent"))
        done = examine()
        assert done.code == 0
        assert done.json["fileSystem"] is None

    def test_a_read_only_mount_is_a_warning(self, examine: Callable[[], Done], mounted: Callable[..., None]) -> None:
        mounted("30 22 0:40 / POINT ro - ext4 /dev/sda rw")
        done = examine()
        assert done.code == 0
        assert "read-only" in findings(done, "warning")["access"]["what"]
        assert "capabilities" not in findings(done, "ok")

    def test_a_volume_that_became_read_only_is_seen_by_trying(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "mkdir", failing(errno.EROFS))
        done = examine()
        assert done.code == 0
        assert "read-only" in findings(done, "warning")["access"]["what"]
