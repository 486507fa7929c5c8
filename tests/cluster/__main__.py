"""`python -m cluster prepare|up|down|sweep|status|shell [NAME]`: a cluster to work with, kept until `down`.

`prepare` builds what a cluster needs, so that a later `up` takes seconds. `sweep` removes what killed runs left.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from cluster import provider
from cluster.choice import choice
from cluster.local import bringup
from cluster.local.layout import MAX_NODES, existing, locked
from images.build import NODE_IMAGES, build
from toolchain.catalog import CLUSTER


def main() -> None:
    """Dispatches to the command; a failure is one message, not a traceback."""
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("command", choices=["prepare", "up", "down", "sweep", "status", "shell"])
    parser.add_argument("name", nargs="?", default="dev")
    parser.add_argument("--nodes", type=int, default=1, choices=range(1, MAX_NODES + 1), help="with `up`, local only")
    arguments = parser.parse_args()
    commands = {"prepare": _prepare, "down": _down, "sweep": _sweep, "status": _status, "shell": _shell}
    try:
        if arguments.command == "up":
            _up(arguments.name, arguments.nodes)
        else:
            commands[arguments.command](arguments.name)
    except (RuntimeError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: what was made so far is removed")


def _prepare(_: str) -> None:
    if choice() == "local":
        provider.tools_folder(CLUSTER)
        build(NODE_IMAGES)


def _up(name: str, nodes: int) -> None:
    started = time.monotonic()
    cluster = provider.up(name, nodes=nodes)
    print(f"cluster {name} is up after {time.monotonic() - started:.1f} s")
    if cluster.kubeconfig:
        print(f"  export KUBECONFIG={cluster.kubeconfig}")
    else:
        print(f"  kubectl --context {cluster.context} ...")


def _down(name: str) -> None:
    provider.down(name)
    _sweep(name)
    print(f"cluster {name} is gone")


def _sweep(_: str) -> None:
    if choice() == "local":
        with locked():
            for abandoned in bringup.sweep():
                print(f"cluster {abandoned} was abandoned: removed")


def _status(_: str) -> None:
    tools = provider.tools_folder(CLUSTER)
    names = existing()
    for name in names:
        running = bringup.find(name, tools)
        print(f"{name}: {'up, KUBECONFIG=' + str(running.kubeconfig) if running else 'abandoned; `make cluster-down`'}")
    if not names:
        print("no local cluster; `make cluster-up` makes one")


def _shell(name: str) -> None:
    cluster = provider.up(name)
    tools = provider.tools_folder(["helm", *CLUSTER])
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    if cluster.kubeconfig:
        environment["KUBECONFIG"] = str(cluster.kubeconfig)
    shell = environment.get("SHELL", "/bin/sh")
    os.execvpe(shell, [shell], environment)  # noqa: S606 - the person asked for a shell


if __name__ == "__main__":
    main()
