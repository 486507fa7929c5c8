"""What ``hashlib`` and ``json`` do, without the milliseconds that importing them takes.

For the way of a warm start, which handles small things and has no time. The modules that those two are built upon are
used where they are what they have been since Python 3.10, and the two themselves where they are not.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from typing import Any, NoReturn


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    try:
        module = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    except ImportError:
        import hashlib as module
    return str(module.sha256(data).hexdigest())


def loads(text: str) -> Any:
    """Return the value of a JSON text without fractions.

    Raises ValueError: when it is something else.
    """
    try:
        from _json import make_scanner

        # Any object with these attributes will do as an argument, whatever its type is said to be.
        value, end = make_scanner(_Whole)(text, 0)  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError):
        import json

        return json.loads(text, parse_float=_Whole.parse_float, parse_constant=_Whole.parse_constant)
    except StopIteration as error:
        raise ValueError("there is no JSON") from error
    if text[end:].strip():
        raise ValueError("there is more than one JSON text")
    return value


def dumps(value: Any) -> str:
    """Return a value as JSON in ASCII on one line, without white space."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, True)
        return "".join(encode(value, 0))
    except (ImportError, TypeError):
        import json

        return json.dumps(value, separators=(",", ":"))


class _Whole:
    """How JSON is read: strictly, and without fractions."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_int = int

    @staticmethod
    def parse_float(text: str) -> NoReturn:
        """Refuse a fraction."""
        raise ValueError(f"{text} is no whole number")

    parse_constant = parse_float


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"JSON has nothing for {type(value)}")
