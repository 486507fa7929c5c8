"""The report as one page: HTML that needs nothing beside itself, no other file, no network, no script."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkube_plugin import facts, pods, space, timeline, units
from llmkube_plugin.model import ABSENT, COMPLETE, FAILED, FETCHING, FOREIGN, IN_PLACE, PENDING
from llmkube_plugin.text import printable

if TYPE_CHECKING:
    from datetime import datetime

    import jinja2

    from llmkube_plugin.facts import Facts, Holding
    from llmkube_plugin.kube import Object
    from llmkube_plugin.model import Entry
    from llmkube_plugin.space import Space

_STYLE = Path(__file__).parent / "templates" / "report" / "style.css"
NAMES_SHOWN = 12  # of the pods that use an entry; how many more there are is said


@dataclass(frozen=True)
class Segment:
    """A part of a cache's bar: its class, what it is called, its bytes, and where it lies, in percent of the bar."""

    kind: str
    label: str
    bytes: int
    start: float
    width: float


def render_page(found: Facts) -> str:
    """Return the page. Whatever was found in a cluster is text in it: it can neither add markup nor run."""
    style = _STYLE.read_text()
    template = _environment(found.made).get_template("report/page.html.j2")
    return template.render(
        facts=found,
        generator=facts.GENERATOR,
        style=style,
        policy=_policy(style),
        lanes=timeline.lanes(found),
        ticks=timeline.ticks(found),
        downloads=[fetch for fetch in found.fetches if fetch.result != "hit"],
        hits=sum(fetch.result == "hit" for fetch in found.fetches),
        names_shown=NAMES_SHOWN,
    )


def _policy(style: str) -> str:
    """Return a Content-Security-Policy that allows the page's own style and nothing else, whatever came into it."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _environment(made: datetime) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("llmkube_plugin"),
        autoescape=True,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "size": units.size,
        "percent": _percent,
        "duration": units.duration,
        "rate": lambda rate: f"{units.size(int(rate))}/s" if rate else "-",
        "age": lambda moment: units.age(moment, made),
        "timestamp": units.timestamp,
        "clock": lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "segments": segments,
        "reclaimable": space.reclaimable_bytes,
        "holder": space.holder,
        "kept_because": _kept_because,
        "tone": _tone,
        "waiting": _waiting,
    }
    return environment


def _finalized(value: Any) -> Any:
    """Take out what is no visible character, such as marks that turn the direction of writing around."""
    return printable(value) if type(value) is str else value


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0.0
    return "<1%" if 0 < share < 1 else f"{share:.0f}%"


def segments(holding: Holding) -> list[Segment]:
    """Return the parts of a cache's bar, in the order of their colours; what holds nothing is left out."""
    held = holding.space
    parts = [
        ("in-use", "in use", held.in_use),
        ("unused", "not used", held.unused),
        ("orphans", "orphans", held.orphans),
        ("partial", "partial", held.partial),
        ("trash", "trash", held.trash),
        ("other", _other(held), held.other or 0),
        ("free", "free", held.room.free if held.room else 0),
    ]
    if held.room is None and holding.cache.capacity:
        parts.append(("unknown", "not known", max(0, holding.cache.capacity - held.known)))
    whole = sum(bytes_ for _, _, bytes_ in parts)
    found: list[Segment] = []
    start = 0.0
    for kind, label, bytes_ in parts:
        if bytes_:
            found.append(Segment(kind, label, bytes_, start, 100 * bytes_ / whole))
            start += found[-1].width
    return found


def _other(held: Space) -> str:
    """Name what is on the file system beside; only a scan tells orphans from others' files."""
    return "other files" if held.room and held.room.scanned else "orphans, other files"


def _kept_because(entry: Entry) -> str:
    """Say why clearing an entry would free nothing."""
    if entry.state in (ABSENT, PENDING, IN_PLACE):
        return "not here"
    if not entry.claim:
        return "goes with its pod"
    reasons = {
        FETCHING: "being downloaded",
        FOREIGN: "not written by llmkube",
    }
    if entry.state in reasons:
        return reasons[entry.state]
    return "in use" if space.is_used(entry) else "pinned" if entry.pinned else "size not known"


def _tone(state: str) -> str:
    """Return which colour goes with a state; the state itself always stands beside it."""
    if state == COMPLETE:
        return "good"
    if state in (FAILED, "damaged", ABSENT):
        return "bad"
    return "busy" if state == FETCHING else "plain"


def _waiting(holding: Holding) -> list[tuple[str, str]]:
    """Return the pods that mount a cache and can not run, each with the reason."""
    mounted: tuple[Object, ...] = holding.cache.mounted_by
    return [(pods.name(pod), reason) for pod in mounted if (reason := pods.why_waiting(pod))]
