"""Entries in the trash whose removal is not over, because somebody may have opened them meanwhile.

They are named ``condemned.<key>.<nonce>.<name>``: the nonce is that of the intent to remove them, the name that of the
entry below the root, or ``refs`` for the directory that says which generation is to be used. As long as they have such
a name, all their files are there. The remover puts them back or gives them up; when it dies, whoever comes by does.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from llmkube_downloader.store.disk import names_in, sync_directory
from llmkube_downloader.store.layout import nonce
from llmkube_downloader.store.use import CONDEMNED, is_live
from llmkube_downloader.store.user import INTENT
from llmkube_downloader.store.users import who_uses

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

REFS = "refs"
_NAME = re.compile(re.escape(CONDEMNED) + r"(?P<key>[0-9a-f]{16})\.(?P<intent>[0-9a-f]{32})\.(?P<name>.+)")


def is_condemned(name: str) -> bool:
    """Return whether a name in the trash belongs to a removal that is not over."""
    return _NAME.fullmatch(name) is not None


def condemn(layout: Layout, key: str, intent: str, name: str) -> None:
    """Move an entry, or the refs of its key, into the trash without giving it up; what is gone already is none's.

    Raises OSError: when it can not be moved.
    """
    layout.trash.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        _home(layout, key, name).rename(layout.trash / f"{CONDEMNED}{key}.{intent}.{name}")


def put_back(layout: Layout, key: str, intent: str) -> None:
    """Move what a removal condemned to where it came from. Where a new one has the name, it stays until nobody uses it.

    Raises OSError: when something can not be moved.
    """
    for directory, name in reversed(_of(layout, key, intent)):
        home = _home(layout, key, name)
        if home.name not in names_in(home.parent):
            with suppress(FileNotFoundError):
                directory.rename(home)
            sync_directory(home.parent)


def give_up(layout: Layout, key: str, intent: str) -> list[Path]:
    """Leave what a removal condemned to be unlinked by anybody, and return where it is now.

    Raises OSError: when something can not be moved.
    """
    found = _of(layout, key, intent)
    for parent in {_home(layout, key, name).parent for _, name in found}:
        # The name has to be gone for good before its files are: no power cut may bring it back without them.
        sync_directory(parent)
    given_up = []
    for directory, name in found:
        target = layout.trash / f"{name}.{nonce()}"
        with suppress(FileNotFoundError):
            directory.rename(target)
            given_up.append(target)
    return given_up


def finish_removals(layout: Layout) -> None:
    """Finish the removals whose remover died: what is used by now is put back, the rest given up.

    Raises OSError: when something can not be moved.
    """
    found = [match for name in names_in(layout.trash) if (match := _NAME.fullmatch(name))]
    for key, intent in sorted({(match["key"], match["intent"]) for match in found}):
        if is_live(layout.leases(key) / f"{INTENT}{intent}"):
            continue
        if who_uses(layout, key):
            put_back(layout, key, intent)
        else:
            give_up(layout, key, intent)


def _of(layout: Layout, key: str, intent: str) -> list[tuple[Path, str]]:
    """Return what a removal condemned, with the names it had."""
    found = [match for name in names_in(layout.trash) if (match := _NAME.fullmatch(name))]
    mine = [match for match in found if (match["key"], match["intent"]) == (key, intent)]
    # Who gives up in this order or puts back in the opposite one may die anywhere: the first generation never is there
    # without the refs that say that it is not the one to use.
    mine.sort(key=lambda match: (match["name"] != key, match["name"] != REFS))
    return [(layout.trash / match.string, match["name"]) for match in mine]


def _home(layout: Layout, key: str, name: str) -> Path:
    return layout.refs(key) if name == REFS else layout.root / name
