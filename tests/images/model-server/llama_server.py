"""llama.cpp's own HTTP server, from the wheel `xllamacpp`, behind the flags of `llama-server` that the chart sets.

Other flags of `llama-server` are accepted and ignored with a warning. The process may be PID 1 and writes no file.
"""

import argparse
import ctypes
import os
import signal
import sys
from typing import Any

# argparse would take `-ngl` for `-n gl`, so it gets to know long options only.
_SHORT_FORMS = {"-m": "--model", "-a": "--alias", "-c": "--ctx-size", "-np": "--parallel", "-t": "--threads"}
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Understand the command line; exit with a message when the model is not readable."""
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False, add_help=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--ctx-size", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--threads", type=int, default=-1)
    parser.add_argument("--metrics", action="store_true")
    options, ignored = parser.parse_known_args([_SHORT_FORMS.get(argument, argument) for argument in arguments])
    if ignored:
        print("warning: ignored arguments:", *ignored, file=sys.stderr, flush=True)
    if not os.access(options.model, os.R_OK):
        sys.exit(f"error: model {options.model!r} is not readable")
    return options


def die_at_once_when_told() -> None:
    """Let a signal end the process in C, with its number as exit code, whatever Python and llama.cpp are doing.

    As PID 1 the process has no default action for signals, and a handler in Python would wait for the interpreter lock,
    which loading keeps for seconds. Ending the server in good order would wait for open requests for ever.
    """
    libc = ctypes.CDLL(None)
    for number in _STOP_SIGNALS:
        libc.signal(number, ctypes.cast(libc._exit, ctypes.c_void_p))


def load(options: argparse.Namespace) -> Any:
    """Load the model and serve it in threads of llama.cpp; RuntimeError when it can not be loaded."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.model
    parameters.model_alias = {options.alias} if options.alias else set()
    parameters.hostnames, parameters.port = [options.host], options.port
    parameters.n_ctx, parameters.n_parallel = options.ctx_size, options.parallel
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
    parameters.endpoint_metrics = options.metrics
    return xllamacpp.Server(parameters)


if __name__ == "__main__":
    command = parse(sys.argv[1:])
    die_at_once_when_told()
    server = load(command)
    # On standard output: on standard error it would run into a line that a thread of llama.cpp is writing.
    print("listening on", server.listening_address, flush=True)
    while True:
        signal.pause()
