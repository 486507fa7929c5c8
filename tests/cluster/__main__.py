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
from toolchain.build import BuildError
from toolchain.catalog import CLUSTER, SETS, TOOLS, members


def main() -> None:
    """Dispatches to the command; a failure is one message, not a traceback."""
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("command", choices=["prepare", "up", "down", "sweep", "status", "shell"])
    parser.add_argument("name", nargs="?", default="dev")
    parser.add_argument("--nodes", type=int, default=1, choices=range(1, MAX_NODES + 1), help="with `up`, local only")
    parser.add_argument("--tools", choices=[*SETS, *TOOLS], help="with `prepare`: a set or a tool to build too")
    arguments = parser.parse_args()
    commands = {"down": _down, "sweep": _sweep, "status": _status, "shell": _shell}
    try:
        if arguments.command == "up":
            _up(arguments.name, arguments.nodes)
        elif arguments.command == "prepare":
            _prepare(arguments.tools)
        else:
            commands[arguments.command](arguments.name)
    except (BuildError, RuntimeError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: what was made so far is removed")


def _prepare(tools: str | None) -> None:
    local = choice() == "local"
    wanted = members(tools) if tools else ()
    # All in one run: what is compiled is not kept from one to the next, and tools have much of it in common.
    provider.tools_folder((*wanted, *(CLUSTER if local else ())))
    if local:
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
