"""Do files make up a whole model? Their names tell, and the index that names shards."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.http import file_name
from llmkube_downloader.sources.selection import checked_path
from llmkube_downloader.sources.shards import check_shards, is_first_shard
from llmkube_downloader.store.layout import STATES_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkube_downloader.key import Source

WEIGHTS = (".gguf", ".safetensors")
_INDEX = ".safetensors.index.json"
_LARGEST_INDEX = 256 * 1024 * 1024
# How downloaders call what they have not finished.
_UNFINISHED = (".tmp", ".part", ".partial", ".incomplete", ".download", ".crdownload", ".aria2", ".filepart")
_SHOWN = 3


def files_below(place: Path, within: Path | None) -> dict[str, Path]:
    """Map the paths of the files below a directory to where their bytes lie.

    - within: the directory that links may lead to; None when there may be no links.

    What an NFS client keeps open, and what an adoption that was cut off wrote, is left out.

    Raises DownloaderError: POLICY for other links, and for what is neither file nor directory.
    Raises OSError: when something can not be read.
    """
    found = {}
    for directory, folders, names in os.walk(place, onerror=_raise):
        for name in sorted([*names, *(folder for folder in folders if (Path(directory) / folder).is_symlink())]):
            path = Path(directory) / name
            relative = path.relative_to(place).as_posix()
            if not name.startswith(".nfs") and relative != STATES_NAME:
                found[relative] = real_file(path, within)
    return found


def real_file(path: Path, within: Path | None) -> Path:
    """Return where the bytes of a file lie.

    - within: the directory that a link may lead to; None when it may be no link.

    Raises DownloaderError: POLICY for other links, and for what is neither file nor directory.
    """
    real = path
    if path.is_symlink():
        real = path.resolve()
        if within is None or not real.is_relative_to(within.resolve()):
            what = "is a link" if within is None else f"is a link that leads out of {within}"
            raise DownloaderError(ExitCode.POLICY, f"{path} {what}", "Put the file itself in its place.")
        if not real.exists():
            raise _not_whole(f"{path} leads to {real}, which is gone")
    if not stat.S_ISREG(real.stat().st_mode):
        raise DownloaderError(ExitCode.POLICY, f"{path} is no file", "Remove it, or move it away.")
    return real


def check_model(files: Mapping[str, Path], place: Path, source: Source | None) -> None:
    """Refuse files that are not a whole model, as far as that can be told without their origin.

    - files: by their paths at the source, where they lie.
    - place: what messages call them.
    - source: what they are of; None when that is not known. What a user selected of it needs not be whole.

    Raises DownloaderError: INTEGRITY or NOT_FOUND, naming what is missing; POLICY for names that can not be stored.
    Raises OSError: when an index can not be read.
    """
    for name in files:
        checked_path(name)
        if name.lower().endswith(_UNFINISHED):
            raise _not_whole(f"{place} holds {name}, which a download left unfinished")
    single = single_name(source) if source else None
    if single is not None and is_first_shard(single):
        check_shards(files, files, str(place))
    elif single is None and not (source and is_selection(source)):
        _check_repository(files, place)


def is_selection(source: Source) -> bool:
    """Return whether a user said which files of a source are wanted."""
    return bool(source.files or source.include or source.exclude)


def _check_repository(files: Mapping[str, Path], place: Path) -> None:
    if not any(name.lower().endswith(WEIGHTS) for name in files):
        raise _not_whole(f"{place} holds no safetensors or GGUF weights")
    check_shards(files, files, str(place))
    for name, path in files.items():
        if name.endswith(_INDEX):
            _check_index(name, path, files, place)


def single_name(source: Source) -> str | None:
    """Return the path of the one file that a source is, as its origin calls it; None when it is a repository."""
    if source.include or source.exclude or len(source.files) > 1:
        return None
    if source.files:
        return source.files[0]
    if source.scheme in ("https", "http"):
        return file_name(source.url)
    path = PurePosixPath(source.location)
    return path.name if path.suffix.lower() in WEIGHTS else None


def _check_index(name: str, path: Path, files: Mapping[str, Path], place: Path) -> None:
    """Refuse an index that names shards which are not there."""
    try:
        with path.open("rb") as file:
            shards = set(json.loads(file.read(_LARGEST_INDEX))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _not_whole(f"{path} is no index of shards") from error
    folder = PurePosixPath(name).parent
    missing = sorted(str(shard) for shard in shards if str(folder / str(shard)) not in files)
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise _not_whole(f"{place} lacks {', '.join(missing[:_SHOWN])}{more}, which {name} names")


def _not_whole(cause: str) -> DownloaderError:
    return DownloaderError(
        ExitCode.INTEGRITY, cause, "Finish the download with the tool that began it, or fetch the source instead."
    )


def _raise(error: OSError) -> None:
    raise error
