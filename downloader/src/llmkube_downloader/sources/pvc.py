"""Claims that are mounted beside the cache: what is there already is copied and hashed, not downloaded."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.file import plan_of

if TYPE_CHECKING:
    from llmkube_downloader.key import Source
    from llmkube_downloader.sources.interface import Plan

# The directory below which every claim is mounted under its name.
_VARIABLE = "LLMKUBE_PVC_DIR"
_DIRECTORY = "/pvc"
# What Kubernetes accepts as the name of a claim.
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class PvcOrigin:
    """Copies a file, or a directory of files, from a mounted claim."""

    def resolve(self, source: Source) -> Plan:
        """List what is there. Others may write to the claim, so no link may lead out of it."""
        claim, _, path = source.location.partition("/")
        if not _CLAIM.fullmatch(claim) or ".." in path.split("/"):
            raise DownloaderError(
                ExitCode.USAGE,
                f"{source.display} names no path on a claim",
                "Write pvc://<claim>/<path>, without .. in the path.",
            )
        mount = Path(os.environ.get(_VARIABLE) or _DIRECTORY) / claim
        if not mount.is_dir():
            raise DownloaderError(
                ExitCode.NOT_FOUND,
                f"the claim {claim} of {source.display} is not mounted: there is no directory {mount}",
                f"Mount the claim read-only at {mount}, or name the directory of the mounted claims with {_VARIABLE}.",
            )
        try:
            return plan_of(source, mount / path, within=mount)
        except DownloaderError as error:
            raise DownloaderError(error.code, f"claim {claim}, path /{path}: {error.cause}", error.action) from error
