"""What a user wants fetched, and how."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.key import Source


class VerifyOnStart(enum.Enum):
    """How much of an entry that is there is read again before it is used.

    - SIZE: nothing; its files have to have their sizes.
    - SAMPLE: some stretches of its files, other ones each time.
    - FULL: everything.
    """

    SIZE = "size"
    SAMPLE = "sample"
    FULL = "full"


class Refresh(enum.Enum):
    """When the origin is asked for a newer content of an entry that is there.

    - NEVER: never; the entry is used as it is.
    - ON_CHANGE: at every start, and what changed is fetched.
    - ALWAYS: at every start, and everything is fetched.
    """

    NEVER = "never"
    ON_CHANGE = "on-change"
    ALWAYS = "always"


@dataclass(frozen=True)
class Request:
    """A fetch as a user wants it.

    - source: from where.
    - root: the directory that holds the entries; absolute.
    - hashes: the expected SHA-256 of files by path; the empty path stands for the only file.
    - allow_http: hosts that plain http is allowed to; ``*`` for all.
    - lock_wait: seconds to wait for another one that fetches the same.
    - stall_timeout: seconds of silence after which a connection counts as broken.
    - expect_size: bytes of all files together as the user knows it; None when unknown.
    - connections: how many may receive at the same time.
    - limit_rate: bytes per second of all connections together; None for no cap.
    - refresh: when the origin is asked for a newer content.
    - verify_on_start: how much of an entry that is there is read again.
    - upstream: roots of other caches, which are asked before the origin, in this order.
    - mirrors: addresses of the same content, asked before the source itself, in this order.
    - commit: what the revision stood for when the entry was built, to build the same again; None to ask.
    - budget: bytes that everything below the root may take; None for no limit.
    """

    source: Source
    root: Path
    hashes: dict[str, str] = field(default_factory=dict)
    allow_http: frozenset[str] = frozenset()
    lock_wait: float = 12 * 3600.0
    stall_timeout: float = 60.0
    expect_size: int | None = None
    connections: int = 16
    limit_rate: int | None = None
    refresh: Refresh = Refresh.NEVER
    verify_on_start: VerifyOnStart = VerifyOnStart.SIZE
    upstream: tuple[Path, ...] = ()
    mirrors: tuple[str, ...] = ()
    budget: int | None = None
    commit: str | None = None

    @property
    def most(self) -> int | None:
        """Bytes that the files may have at most: 1 % more than expected."""
        return None if self.expect_size is None else self.expect_size + self.expect_size // 100
