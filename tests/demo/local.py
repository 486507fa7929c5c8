"""The first part: the cache verbs on a plain directory, without a cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from demo import say, state
from models.gguf import write_gguf

MODEL_MIB = 100
REPOSITORY = "demo/random-llama"
FILE = "random-llama-f16.gguf"
SOURCE = f"hf://{REPOSITORY}/{FILE}"


def show(hub: dict[str, str]) -> None:
    """Preloads, lists and verifies in a directory, then fetches again."""
    cache = state.folder() / "models"
    environment = os.environ | {
        "HF_ENDPOINT": hub["endpoint"],
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    verbs = [["preload", SOURCE], ["list"], ["verify"]]
    with say.step("The cache on a plain directory: no cluster needed"):
        for verb in verbs:
            say.run(["helm-llmkube", "cache", *verb, "--dir", str(cache)], environment)
        say.line("\n   Once more: what is there is not fetched again.")
        say.run(["helm-llmkube", "cache", "preload", SOURCE, "--dir", str(cache)], environment)


def make_model() -> None:
    """Puts a valid GGUF model with random weights where the stand-in hub serves it."""
    target = state.folder() / "hub" / REPOSITORY / "main" / FILE
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        say.line(
            f"   generating a GGUF model with random weights, {MODEL_MIB} MiB: it answers in real words without sense"
        )
        write_gguf(target, mib=MODEL_MIB, seed=0)
