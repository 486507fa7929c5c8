"""Asks the argument parser of llama.cpp's server whether it takes arguments, and what it makes of them.

Prints what it understood as JSON; exits with 1 when it refuses the arguments. The parser is the one in the library of
xllamacpp, which offers no way to call it. It is called by its name there, with the memory of its own object for
parameters, which begins right behind what Python puts before every object. Run it in a process of its own.

Usage: llamacpp_parser.py ARGUMENT...
"""

from __future__ import annotations

import ctypes
import json
import sys

import xllamacpp
from xllamacpp import xllamacpp as library

# bool common_params_parse(int, char **, common_params &, llama_example, void (*)(int, char **))
_PARSE = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"
_SERVER = 12  # of the programs that share the parser, the one whose arguments are meant


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    parse = ctypes.CDLL(library.__file__)[_PARSE]
    parse.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    parse.restype = ctypes.c_bool
    texts = [text.encode() for text in ("llama-server", *arguments)]
    vector = (ctypes.c_char_p * (len(texts) + 1))(*texts, None)
    params = xllamacpp.CommonParams()
    if not parse(len(texts), ctypes.addressof(vector), id(params) + object.__basicsize__, _SERVER, None):
        return 1
    print(json.dumps(_understood(params)))
    return 0


def _understood(params: xllamacpp.CommonParams) -> dict[str, object]:
    return {
        "model": params.model.path,
        "context": params.n_ctx,
        "parallel": params.n_parallel,
        "port": params.port,
        "embedding": params.embedding,
        "keys": list(params.api_keys),
        "adapters": [adapter.path for adapter in params.lora_adapters],
        "drafts": [kind.name.rpartition("TYPE_")[2] for kind in params.speculative.types],
        "loading": params.load_mode.name.rpartition("MODE_")[2],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
