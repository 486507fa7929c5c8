"""What a row of the table of faults is, and how documentation shows the table."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from fault_places import MODEL

from llmkube_downloader.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# When a fault happens, in the order of a fetch. Three of them are at a byte of the model.
PHASES = ("resolve", "connect", "headers", "first byte", "middle", "last byte", "verify", "publish", "volume")
OFFSETS = {"first byte": 0, "middle": len(MODEL) // 2 + 1, "last byte": len(MODEL) - 1}
BODY = tuple(OFFSETS)
WEB = ("http", "https", "hf")
TLS = ("https", "hf")
SOURCES = (*WEB, "file")

BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"


@dataclass(frozen=True)
class Fault:
    """One row: a fault in some phases, with some sources.

    - what: the fault in words.
    - arrange: makes it happen at a place, in a phase.
    - code: what the fetch ends with.
    - says: what the cause of the failure has to hold; ``{asked}`` and so on stand for what the place is called.
    - requests: how many all servers get together, at most.
    - flags: given to the fetch.
    - twice: bytes that may be received more than once where the fault is outlived.
    - body: what the entry then holds.
    - recovers: whether the next fetch succeeds once the fault is over.
    """

    what: str
    phases: tuple[str, ...]
    sources: tuple[str, ...]
    arrange: Callable[..., None]
    code: ExitCode
    says: str = ""
    requests: int = 0
    flags: tuple[str, ...] = ()
    twice: int = 0
    body: bytes = MODEL
    recovers: bool = True


@dataclass(frozen=True)
class Cell:
    """One fault in one phase with one source."""

    fault: Fault
    phase: str
    source: str

    @property
    def name(self) -> str:
        """What the test is called."""
        return f"{self.fault.what}-{self.phase}-{self.source}".replace(" ", "_")


def cells(faults: Iterable[Fault]) -> list[Cell]:
    """Return the cells of all rows."""
    return [Cell(fault, phase, source) for fault in faults for phase in fault.phases for source in fault.sources]


def table(faults: Iterable[Fault]) -> str:
    """Return the table in Markdown; rows that differ in nothing but the fault are one line."""
    lines = ["| when | what | sources | exit code | requests | the cause names |", "|---|---|---|---|---|---|"]
    in_order = sorted(faults, key=lambda fault: PHASES.index(fault.phases[0]))
    for (phases, sources, code, requests, says), rows in groupby(in_order, _outcome):
        what = ", ".join(fault.what for fault in rows)
        lines.append(f"| {phases} | {what} | {sources} | {code} | {requests} | {says} |")
    return "\n".join(lines) + "\n"


def documented(document: str, faults: Iterable[Fault]) -> str:
    """Return a document with the table between its two marks."""
    before, _, rest = document.partition(BEGIN)
    return before + BEGIN + table(faults) + END + rest.partition(END)[2]


def _outcome(fault: Fault) -> tuple[str, str, str, int, str]:
    """Return what the table says of a fault besides its name."""
    code = f"{fault.code.value} {fault.code.label}" if fault.code else "0, the model is right"
    says = fault.says.replace("{", "*").replace("}", "*") or "-"
    return ", ".join(fault.phases), ", ".join(fault.sources), code, fault.requests, says
