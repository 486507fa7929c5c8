"""What is explored: who takes part, what may go wrong, and which mistake is made on purpose."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Role(enum.Enum):
    """What a process does, again and again.

    - JOB: fetches, without a pod that would use the entry.
    - POD: says that it uses the entry, fetches it when it is missing, opens it.
    - READER: does the same, but never fetches.
    - REMOVER: removes the entry, and what else there is of its key.
    """

    JOB = "job"
    POD = "pod"
    READER = "reader"
    REMOVER = "remover"


class Mistake(enum.Enum):
    """A step that is left out or done in another way. Each has to be found."""

    UNLOCKED = "the build lease keeps nobody from building"
    SHARED_FILE = "all attempts write into one directory, as `curl -o model.tmp && mv` does"
    SILENCE_IS_DEATH = (
        "an attempt whose owner was silent for long is gone on with in place, without proof that it is dead"
    )
    RECORD_MOVES = "a dead attempt is renamed together with the record of its owner, which is replaced afterwards"
    SALVAGED_BY_NAME = (
        "of a silent attempt the file is opened after its journal was read, whatever has its name by then"
    )
    REPLACING = "publishing replaces what is under the name"
    WINNER_UNSEEN = "what another one published first is taken without a look at it"
    MOVED_UNSEEN = "what was moved aside as damaged is not looked at again once it was moved"
    LOOK_THEN_LEASE = "a starter looks at the entry before it says that it uses it"
    CHECK_THEN_ACT = "a remover looks for users once, and writes no intent"
    NO_INTENT = "a remover looks for users twice, but writes no intent"
    ONE_LOOK = "a remover does not look for users again after the entry is out of sight"
    REMEMBERED_AGE = "a remover believes the age of a use lease that it remembers"
    SWEPT_UNSEEN = "a remover unlinks an old use lease without seeing that it was renewed meanwhile"
    HASTY_TRASH = "whoever empties the trash unlinks what a removal that is not over has moved there"
    FORGOTTEN_TRASH = "whoever empties the trash leaves alone what removers that died have moved there"


@dataclass(frozen=True)
class Rules:
    """One exploration.

    - roles: who takes part, by the number of the process.
    - mistake: what is done wrong on purpose.
    - begins: what is under the entry's name at first: ``nothing``, ``damaged`` or ``whole``.
    - room: how many directories the volume has room for.
    - crashes: every process may die at every step, any number of times. All may start again.
    - frozen: every process may stand still for more than a minute at every step, so that it is taken for dead, and then
      go on. That includes that no lock works: who waits for nobody behaves like one for whom all others are frozen.
    - stale: looking up a name may miss what another client created, until the client changes the directory itself.
    - changes: the origin gets another content once, at any time.
    - locks: the build lease is taken, and excludes others as long as its holder lives.
    - fine: giving a directory up and unlinking its files are two moments, which makes more states.
    """

    roles: tuple[Role, ...]
    mistake: Mistake | None = None
    begins: tuple[str, ...] = ("nothing",)
    room: int = 3
    crashes: bool = True
    frozen: bool = True
    stale: bool = True
    changes: bool = False
    locks: bool = False
    fine: bool = True

    @property
    def remover(self) -> int | None:
        """The number of the remover."""
        return self.roles.index(Role.REMOVER) if Role.REMOVER in self.roles else None

    @property
    def alike(self) -> bool:
        """Whether the first two processes do the same."""
        return len(self.roles) > 1 and self.roles[0] is self.roles[1]

    def makes(self, *mistakes: Mistake) -> bool:
        """Whether one of these mistakes is made."""
        return self.mistake in mistakes
