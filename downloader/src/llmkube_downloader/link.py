"""A link to an entry, for programs that are told a path before anybody knows which content of a source they get.

No ``os``: it is used where a warm start is answered, which imports next to nothing.
"""

from __future__ import annotations

from posix import rename, symlink, unlink


def link_entry(path: str, entry: str) -> None:
    """Make a path a symbolic link to an entry, in one step when it is a link already.

    Raises OSError: nothing can be made there, or it is a directory.
    """
    new = f"{path}.new"
    try:  # noqa: SIM105 - contextlib takes longer to import than all of this
        unlink(new)
    except FileNotFoundError:
        pass
    symlink(entry, new)
    rename(new, path)
