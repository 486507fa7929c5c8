"""A Hugging Face hub with its CDN, served from a directory, that misbehaves on demand.

Real clients work against it unmodified: point `HF_ENDPOINT` at `FakeHub.endpoint`. See `README.md` beside this file.
"""

from fakehub.exchange import Request, Response
from fakehub.faults import Fault, FaultTable
from fakehub.hub import FakeHub
from fakehub.layout import write_repository
from fakehub.record import Record, RequestLog, fingerprint

__all__ = [
    "FakeHub",
    "Fault",
    "FaultTable",
    "Record",
    "Request",
    "RequestLog",
    "Response",
    "fingerprint",
    "write_repository",
]
