"""The command line both generators share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run(program: str, target: str, write: Callable[..., Any]) -> None:
    """Write the model that the command line asks for; a usage error when it can not be written so small."""
    parser = argparse.ArgumentParser(prog=program, description=write.__doc__)
    parser.add_argument("out", metavar=target, type=Path)
    parser.add_argument("--mib", type=float, default=2, help="size in MiB (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other weights (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="number of layers (default: %(default)s)")
    parser.add_argument("--context", type=int, default=512, help="tokens of context (default: %(default)s)")
    options = parser.parse_args()
    try:
        write(options.out, mib=options.mib, seed=options.seed, layers=options.layers, context=options.context)
    except ValueError as error:
        parser.error(f"--mib {options.mib:g} is {error}")
    print(options.out)
