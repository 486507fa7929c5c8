"""What the demo is going to do, said before it does anything; needs nothing but Python's standard library."""

from __future__ import annotations

import os
import sys

from cluster.choice import choice
from preflight import checks
from toolchain.build import cache_root, tool_dir
from toolchain.catalog import SETS, TOOLS

_ENVIRONMENT_SECONDS = 60
_IMAGES_SECONDS = 90
_SHOW_SECONDS = 60


def check_and_tell() -> None:
    """Checks the machine, then prints the steps with sizes and times; exits with one line when something is missing."""
    try:
        checks.check_python()
        chosen = choice()
        if chosen == "local":
            checks.check_memory()
            checks.check_disk(cache_root())
        checks.install(checks.missing("python"))
    except (checks.PreflightError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    _tell(chosen)


def _tell(chosen: str) -> None:
    tools = [TOOLS[name] for name in SETS["demo" if chosen == "local" else "demo-foreign"]]
    missing = [tool for tool in tools if not tool_dir(tool).is_dir()]
    minutes = max(1, round(sum(tool.seconds for tool in missing) / 60))
    packages = checks.missing("cluster") if chosen == "local" else []
    steps = [
        f"make a Python environment in .venv (100 MB to download, about {_ENVIRONMENT_SECONDS} s the first time)",
        "show the cache verbs on a directory, without a cluster (100 MB on disk, seconds)",
        *([f"install Debian packages: {' '.join(packages)}"] if packages else []),
        *(
            [f"build {len(missing)} tools from source (3 GB to download, about {minutes} min on 2 cores)"]
            if missing
            else []
        ),
        f"bring up a cluster ({chosen}) with its images (about {_IMAGES_SECONDS} s the first time, then 15 s)",
        *([f"push the images to {os.environ['REGISTRY']}"] if os.environ.get("REGISTRY") else []),
        f"install a model, chat, delete its pod, chat again (about {_SHOW_SECONDS} s)",
    ]
    print("The llmkube demo is going to")
    for number, step in enumerate(steps, 1):
        print(f"  {number}. {step}")
    print(f"Tools and images stay in {cache_root()} for the next time; `make demo-down` removes the rest.")
    model = os.environ.get("MODEL")
    print(f"The model is {model}." if model else "MODEL=hf://org/repo/file.gguf chooses a model of yours.")
    sys.stdout.flush()
