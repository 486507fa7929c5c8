"""`python -m preflight python|cluster|gitops|tests|bench`: ready for that purpose, or one line that says what to do."""

from __future__ import annotations

import argparse
import sys

from cluster.choice import choice
from preflight import checks
from toolchain.build import cache_root


def main() -> None:
    """Runs the checks of one purpose, cheapest first."""
    parser = argparse.ArgumentParser(prog="preflight", description=__doc__)
    parser.add_argument("purpose", choices=checks.PURPOSES)
    purpose = parser.parse_args().purpose
    try:
        checks.check_python()
        if purpose == "cluster" and choice() != "local":
            return  # kind and a user's own cluster need nothing of this machine that their own tools do not say
        if purpose == "cluster":
            checks.check_root()
            checks.check_memory()
            checks.check_disk(cache_root())
        checks.install(checks.missing(purpose))
    except (checks.PreflightError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
