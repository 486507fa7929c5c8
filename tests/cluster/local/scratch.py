"""Folders of this machine as a mount namespace may write to them without leaving anything on the disk.

Container runtimes, the kubelet and image builders keep some things at fixed paths, whatever they are told. In a mount
namespace of their own those folders are covered by overlays whose writes go to memory and end with the namespace.
"""

from __future__ import annotations

_COVERED = ("/var/lib", "/var/log", "/opt")


def script(kept: str, inside: str) -> str:
    """Shell lines, for root in a mount namespace: cover the folders, but keep `kept` writable for real as `inside`.

    `inside` is a path below /run. The order matters: `kept` may lie in a folder that is covered.
    """
    return f"""set -eu
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p {inside}
mount --bind {kept} {inside}
for folder in {" ".join(_COVERED)}; do
  changes=/run/changes$folder
  mkdir -p "$changes/upper" "$changes/work"
  mount -t overlay -o "lowerdir=$folder,upperdir=$changes/upper,workdir=$changes/work" overlay "$folder"
done
"""
