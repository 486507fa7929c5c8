"""`python -m toolchain [SET or TOOL]...` builds tools; `--bin DIR` also links their binaries into a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from toolchain.build import BuildError, ensure
from toolchain.catalog import SETS, TOOLS, members


def main() -> None:
    """Builds what was named and prints one line a binary: its name and path."""
    parser = argparse.ArgumentParser(prog="toolchain", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=[*SETS, *TOOLS], help="a set or a tool")
    parser.add_argument("--bin", type=Path, help="folder that gets a link for each binary")
    arguments = parser.parse_args()
    names = [tool for name in arguments.names for tool in members(name)]
    try:
        found = ensure(names)
    except BuildError as error:
        sys.exit(f"error: {error}")
    for name, path in sorted(found.items()):
        print(name, path)
        if arguments.bin:
            arguments.bin.mkdir(parents=True, exist_ok=True)
            link = arguments.bin / name
            link.unlink(missing_ok=True)
            link.symlink_to(path)


if __name__ == "__main__":
    main()
