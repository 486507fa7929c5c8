"""Which mount holds a path: what is seen there, whatever lies beneath it, and whatever number its files have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llmkube_downloader.store import mounts
from llmkube_downloader.store.mounts import file_system_type, mount_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the kernel's table of mounts hold these lines."""

    def mount(*lines: str) -> None:
        table = tmp_path / "mountinfo"
        table.write_text("\n".join([*lines, ""]))
        monkeypatch.setattr(mounts, "_TABLE", table)

    return mount


ROOT = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def test_the_files_of_a_subvolume_have_another_number_than_its_mount(
    tmp_path: Path, mounted: Callable[..., None]
) -> None:
    assert tmp_path.stat().st_dev != 40
    mounted(ROOT, f"30 22 0:40 /models {tmp_path} rw shared:7 - btrfs /dev/vdb rw,subvol=/models")
    assert file_system_type(tmp_path / "entry" / "model.gguf") == "btrfs"


def test_another_mount_of_the_same_number_does_not_count(tmp_path: Path, mounted: Callable[..., None]) -> None:
    device = tmp_path.stat().st_dev
    number = f"{device >> 8 & 0xFFF}:{device & 0xFF}"
    mounted(f"30 22 {number} / /elsewhere rw - nfs4 server:/ rw", ROOT)
    assert file_system_type(tmp_path) == "ext4"


def test_a_mount_that_was_covered_holds_nothing(tmp_path: Path, mounted: Callable[..., None]) -> None:
    (tmp_path / "below").mkdir()
    mounted(
        ROOT,
        f"30 22 0:40 / {tmp_path}/below rw - ext4 /dev/vdb rw",
        f"31 22 0:41 / {tmp_path} rw - nfs4 server:/ rw",
    )
    assert file_system_type(tmp_path / "below") == "nfs4"


def test_names_that_are_no_text_hide_no_mount(
    tmp_path: Path, mounted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(ROOT)
    table = mounts._TABLE
    table.write_bytes(b"30 22 0:40 / /m\xff rw - nfs4 server:/ rw\n" + table.read_bytes())
    assert file_system_type(tmp_path) == "ext4"


def test_of_two_mounts_at_one_place_the_upper_one_counts(tmp_path: Path, mounted: Callable[..., None]) -> None:
    mounted(ROOT, f"31 30 0:41 / {tmp_path} rw - nfs4 server:/ rw", f"30 22 0:40 / {tmp_path} rw - ext4 /dev/vdb rw")
    assert file_system_type(tmp_path) == "nfs4"


def test_the_way_begins_where_the_kernel_says(tmp_path: Path, mounted: Callable[..., None]) -> None:
    mounted(f"30 1 0:40 / {tmp_path} rw - xfs /dev/vdb rw", "1 1 0:2 / / rw - rootfs rootfs rw")
    assert file_system_type(tmp_path) == "xfs"
    # In a changed root, the mount that holds it is not shown.
    mounted(f"30 22 0:40 / {tmp_path} rw - xfs /dev/vdb rw")
    assert file_system_type(tmp_path) == "xfs"
    assert file_system_type(tmp_path.parent) == ""


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path, mounted: Callable[..., None]) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "link").symlink_to("volume")
    mounted(ROOT, f"30 22 0:40 / {tmp_path}/volume rw - xfs /dev/vdb rw")
    assert file_system_type(tmp_path / "link") == "xfs"


def test_the_kernel_of_this_machine_is_understood() -> None:
    assert file_system_type(Path("/proc/self")) == "proc"
    mount = mount_of(Path("/"))
    assert mount
    assert mount.point == "/"


def test_where_the_kernel_says_nothing_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_TABLE", Path("/nonexistent"))
    assert mount_of(Path("/")) is None
    assert file_system_type(Path("/")) == ""


def test_a_mount_point_may_have_white_space_in_its_name(tmp_path: Path, mounted: Callable[..., None]) -> None:
    point = tmp_path / "our models"
    point.mkdir()
    mounted(ROOT, f"30 22 0:40 / {tmp_path}/our\\040models rw - fuse.gcsfuse our - bucket rw")
    assert mount_of(point) == mounts.Mount("30", "22", str(point), "gcsfuse", "our", read_only=False)


@pytest.mark.parametrize(
    ("options", "of_the_file_system", "read_only"),
    [
        ("rw,relatime", "rw,errors=ro", False),
        ("rw,nosuid,ro", "rw", True),
        ("ro", "rw", True),
        ("rw", "rw,ro", True),
        ("ro", "ro", True),
    ],
)
def test_a_mount_is_read_only_when_it_or_its_file_system_is(
    tmp_path: Path, mounted: Callable[..., None], options: str, of_the_file_system: str, read_only: bool
) -> None:
    mounted(ROOT, f"30 22 0:40 / {tmp_path} {options} - nfs4 server:/models {of_the_file_system}")
    mount = mount_of(tmp_path)
    assert mount is not None
    assert (mount.device, mount.read_only) == ("server:/models", read_only)


@pytest.mark.parametrize("line", ["30 22 0:40 / / rw", "30 22 0:40 / - nfs4 server:/ rw", "30 22 0:40 / / rw - nfs4"])
def test_a_line_that_lacks_something_is_no_mount(tmp_path: Path, mounted: Callable[..., None], line: str) -> None:
    mounted(line, ROOT)
    assert file_system_type(tmp_path) == "ext4"
