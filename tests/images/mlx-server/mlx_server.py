#!/usr/bin/env python3
"""A server of Hugging Face folders on the CPU that takes the arguments of `vllm serve` and speaks its API.

MLX's server does the work: it needs neither a GPU nor torch. Where it differs from vLLM it is made alike: it listens
when the model is loaded, it knows the model by the name given, and it ends when told to, also as PID 1.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def parse(arguments: list[str]) -> argparse.Namespace:
    """Understand `serve MODEL [--host H] [--port P] [--served-model-name N]`; ignore other flags with a warning."""
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model", help="folder with config.json, tokenizer and safetensors")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--served-model-name", help="default: the model as given")
    options, ignored = parser.parse_known_args(arguments)
    if ignored:
        print("warning: ignored arguments:", *ignored, file=sys.stderr, flush=True)
    if not (Path(options.model) / "config.json").is_file():
        sys.exit(f"error: model {options.model!r} is no folder with a config.json")
    return options


def mlx_command(options: argparse.Namespace) -> list[str]:
    """The command line of MLX's server."""
    return ["mlx_lm.server", "--model", options.model, "--host", options.host, "--port", str(options.port)]


def serve(options: argparse.Namespace) -> None:
    """Load the model and serve it until a signal; an exception when it can not be loaded."""
    from mlx_lm import server

    name = options.served_model_name or options.model

    class Provider(server.ModelProvider):  # type: ignore[misc]
        """Knows the model by its name, and has it from the start."""

        def __init__(self, arguments: Any) -> None:
            super().__init__(arguments)
            self._model_map[name] = options.model
            self.load_default()

    def list_models(handler: Any) -> None:
        document = {"object": "list", "data": [{"id": name, "object": "model", "created": handler.created}]}
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(json.dumps(document).encode())

    server.ModelProvider = Provider
    server.APIHandler.handle_models_request = list_models
    sys.argv = mlx_command(options)
    server.main()


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))  # PID 1 has no default action
    serve(parse(sys.argv[1:]))
