"""Packs the plugin with all that it needs into one archive, which Helm installs without any network.

    python tests/tools/plugin_package.py [--into FOLDER] [--python 3.11]... [--platform linux-amd64]...

The archive holds the same folders as a clone, in a folder of the plugin's name, because Helm 4 looks for plugin.yaml
there in a local archive; and a second plugin.yaml at its root, because Helm 3 looks there in one it has downloaded.
Wheels are those whose hashes plugin/requirements.txt has. The same files give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from packaging.markers import Marker

ROOT = Path(__file__).parent.parent.parent
NAME = "llmkube"
ENTRANCE = ("plugin.yaml", "plugin.complete", "completion.yaml")
CONTENT = (*ENTRANCE, "LICENSE", "plugin/bin", "plugin/src", "plugin/requirements.txt", "downloader/src")
# The chart, as those need it who install it: `cache create` does.
CHART = tuple(
    f"charts/llmkube/{part}"
    for part in ("Chart.yaml", "catalog.yaml", "files", "templates", "values.schema.json", "values.yaml")
)
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# What a wheel may be tagged with: the oldest systems first, and macOS 11 as the oldest on either processor.
PLATFORMS = {
    f"linux-{ours}": [f"manylinux{version}_{theirs}" for version in ("1", "2010", "2014", "_2_17", "_2_24", "_2_28")]
    for ours, theirs in (("amd64", "x86_64"), ("arm64", "aarch64"))
} | {
    "macos-amd64": [f"macosx_{version}_x86_64" for version in ("10_9", "10_12", "10_13", "11_0")],
    "macos-arm64": ["macosx_11_0_arm64", "macosx_11_0_universal2", "macosx_10_9_universal2"],
}
_PIN = r"^(?P<pin>[A-Za-z0-9._-]+==\S+)(?: ; (?P<marker>[^\\]+?))? (?P<hashes>\\\n(?: +--hash=\S+(?: \\)?\n)+)"


def this_platform() -> str:
    """Returns the name of the platform that runs this."""
    system = "macos" if sys.platform == "darwin" else "linux"
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[os.uname().machine]
    return f"{system}-{machine}"


def wheels(into: Path, pythons: list[str], platforms: list[str]) -> None:
    """Downloads the wheels for each Python on each platform, and pip's."""
    _download(into, (ROOT / "requirements" / "plugin-package.txt").read_text(), "3.10", [])
    lock = (ROOT / "plugin" / "requirements.txt").read_text()
    for platform in platforms:
        for python in pythons:
            _download(into, "".join(_pins(lock, python, platform, into)), python, PLATFORMS[platform])


def _pins(lock: str, python: str, platform: str, into: Path) -> Iterator[str]:
    """Yields the pins of a lock that count on a platform, but for those whose wheel for all of them is there."""
    system, _, machine = platform.partition("-")
    environment = {
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": {"linux": "linux", "macos": "darwin"}[system],
        "platform_machine": {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}[machine],
    }
    for found in re.finditer(_PIN, lock, re.MULTILINE):
        pin, marker = found["pin"], found["marker"]
        everywhere = f"{pin.replace('-', '_').replace('==', '-')}-*-none-any.whl"
        if (not marker or Marker(marker).evaluate(environment)) and not any(into.glob(everywhere)):
            yield f"{pin} {found['hashes']}"


def _download(into: Path, requirements: str, python: str, tags: list[str]) -> None:
    line = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    line += ["--only-binary", ":all:", "--require-hashes", "--dest", str(into), "--python-version", python]
    line += [word for tag in tags for word in ("--platform", tag)]
    with TemporaryDirectory() as folder:
        lock = Path(folder) / "requirements.txt"
        lock.write_text(requirements)
        subprocess.run([*line, "-r", str(lock)], check=True)


def _files() -> Iterator[tuple[str, Path]]:
    """Yields the path of each file in the package, below the plugin's folder, and the file."""
    for name in (*CONTENT, *CHART):
        path = ROOT / name
        for file in [path] if path.is_file() else path.rglob("*"):
            inner = file.relative_to(ROOT)
            if file.is_file() and "__pycache__" not in inner.parts and ".egg-info" not in str(inner):
                yield f"{NAME}/{inner.as_posix()}", file


def _entrance(name: str) -> bytes:
    """Returns a file for the root of the archive, from where all the others are one folder deeper."""
    text = (ROOT / name).read_text()
    return (
        text.replace("$HELM_PLUGIN_DIR/plugin/", f"$HELM_PLUGIN_DIR/{NAME}/plugin/")
        .replace("${0%/*}/plugin/", f"${{0%/*}}/{NAME}/plugin/")
        .encode()
    )


def pack(archive: Path, wheel_folder: Path) -> None:
    """Writes the archive: folders before what is in them, everything in order, and no time, user or group."""
    found = {name: (path.read_bytes(), path.stat().st_mode & 0o100) for name, path in _files()}
    found |= {f"{NAME}/plugin/wheels/{path.name}": (path.read_bytes(), 0) for path in wheel_folder.iterdir()}
    found |= {name: (_entrance(name), (ROOT / name).stat().st_mode & 0o100) for name in ENTRANCE}
    folders = {str(parent) for name in found for parent in Path(name).parents} - {"."}
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for name in sorted([*found, *folders]):
            content, executable = found.get(name, (b"", 1))
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if executable else 0o644
            info.size = len(content)
            info.type = tarfile.DIRTYPE if name in folders else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(content))


def main() -> None:
    """Packs, and prints the path and the size of the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder of the archive")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only for this Python; may be repeated")
    parser.add_argument("--platform", action="append", choices=[*PLATFORMS], help="only for this; may be repeated")
    arguments = parser.parse_args()
    version = yaml.safe_load((ROOT / "plugin.yaml").read_text())["version"]
    archive = arguments.into / f"{NAME}-{version}.tgz"
    arguments.into.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        wheels(Path(folder), arguments.python or [*PYTHONS], arguments.platform or [*PLATFORMS])
        pack(archive, Path(folder))
    print(f"{archive}: {archive.stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
