"""Files that are parts of one: ``model-00002-of-00005.gguf`` and its like. Only names count here."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

# Writers pad with zeros or do not, and not always both numbers alike.
_SHARD = re.compile(
    r"(?P<stem>.*)-(?P<number>[0-9]{1,6})-of-(?P<total>[0-9]{1,6})(?P<suffix>\.(?:gguf|safetensors|bin))"
)
_SHOWN = 3


@dataclass(frozen=True)
class _Shard:
    """One of the parts of a file, by its name."""

    stem: str
    digits: str
    total: str
    suffix: str

    @property
    def number(self) -> int:
        return int(self.digits)

    @property
    def whole(self) -> str:
        """What all parts of the file have in common."""
        return f"{self.stem}-of-{self.total}{self.suffix}"

    def sibling(self, number: int) -> str:
        return f"{self.stem}-{number:0{len(self.digits)}}-of-{self.total}{self.suffix}"


def whole_name(path: str) -> str:
    """Return what all shards of a file have in common; the path itself where it is no shard."""
    shard = _parse(path)
    return shard.whole if shard else path


def is_first_shard(path: str) -> bool:
    """Return whether a file stands for all shards of a GGUF file; servers are given this one and find the others."""
    shard = _parse(path)
    return shard is not None and shard.suffix == ".gguf" and shard.number == 1


def with_shards(path: str, available: Iterable[str]) -> list[str]:
    """Return the files that a file stands for: the first shard of a GGUF file for all of them, any other for itself."""
    if not is_first_shard(path):
        return [path]
    return [other for other in available if whole_name(other) == whole_name(path)]


def all_shards(path: str) -> list[str]:
    """Return the paths of what a file stands for, where nobody lists what there is: as ``with_shards`` does."""
    shard = _parse(path)
    if shard is None or not is_first_shard(path):
        return [path]
    return [path, *(shard.sibling(number) for number in range(2, int(shard.total) + 1))]


def check_shards(chosen: Iterable[str], available: Iterable[str], place: str) -> None:
    """Refuse shards of a file that is not whole.

    - chosen: paths that may be shards.
    - available: all paths that there are.
    - place: where they are, for the message.

    Raises DownloaderError: NOT_FOUND, naming the first shards that are missing.
    """
    sets = _sets(available)
    for name in sorted({shard.whole for path in chosen if (shard := _parse(path))}):
        missing = _missing(sets[name])
        if missing:
            raise _incomplete(missing, place)


def _parse(path: str) -> _Shard | None:
    match = _SHARD.fullmatch(path)
    if match is None:
        return None
    return _Shard(match["stem"], match["number"], match["total"], match["suffix"])


def _sets(paths: Iterable[str]) -> dict[str, list[_Shard]]:
    """Map what shards have in common to all of them."""
    sets = defaultdict(list)
    for path in paths:
        shard = _parse(path)
        if shard:
            sets[shard.whole].append(shard)
    return sets


def _missing(shards: list[_Shard]) -> list[str]:
    """Return the names of the shards that a set lacks. Some writers count from zero, and some of these to the total."""
    numbers = {shard.number for shard in shards}
    first = 0 if 0 in numbers else 1
    expected = range(first, first + int(shards[0].total))
    return [shards[0].sibling(number) for number in expected if number not in numbers]


def _incomplete(missing: list[str], place: str) -> DownloaderError:
    names = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
    whole = _parse(missing[0])
    pattern = f"{whole.stem}-*" if whole else missing[0]
    return DownloaderError(
        ExitCode.NOT_FOUND,
        f"{place} lacks {names}, without which the other shards are of no use",
        f"Wait until all of them are there, or leave them out with --exclude '{pattern}'.",
    )
