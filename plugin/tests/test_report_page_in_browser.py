"""The page of `helm llmkube report` as people see it: in a browser, light and dark, on a phone, in print."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import fleet
import pytest
from chromium import Browser
from click.testing import CliRunner

from llmkube_plugin import facts, page, space
from llmkube_plugin.cli import cli
from llmkube_plugin.history import Fetch
from llmkube_plugin.model import Cache, Entry, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 5, 12, tzinfo=timezone.utc)
SHADES = ("light", "dark")
WIDTHS = (360, 768, 1280)

# What is wider than the window, and what reaches beyond its right edge without being cut off on purpose.
OVERFLOW = """(() => {
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  const beyond = [...document.body.querySelectorAll('*')].filter(e => !e.closest('.quiet, thead, svg'))
    .filter(e => e.getBoundingClientRect().right > window.innerWidth + 0.5).map(e => e.outerHTML.slice(0, 200));
  return {wide, beyond};
})()"""

# Texts that are hard to read: less than 4.5 between their colour and what lies behind them, as WCAG 2 counts it.
FAINT = """(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = parse(c).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (parse(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
  const faint = [];
  for (const e of document.body.querySelectorAll('*')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('svg')) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push([e.outerHTML.slice(0, 120), (a + 0.05) / (b + 0.05)]);
  }
  return faint;
})()"""

# The share of a bar that each of its parts takes on the screen, with the bytes it stands for.
BARS = """[...document.querySelectorAll('svg.bar')].map(bar => [...bar.querySelectorAll('rect')].map(part => [
  Number(part.dataset.bytes), part.getBoundingClientRect().width / bar.getBoundingClientRect().width]))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write pages of nothing, of a team's namespace, and of a thousand entries."""
    folder = tmp_path_factory.mktemp("pages")
    contents = {"none": (), "team": _team(), "crowd": _crowd()}
    for name, holdings in contents.items():
        found = facts.Facts(NOW, holdings, "https://cluster.example.com:6443", "models", scanned=True)
        (folder / f"{name}.html").write_text(page.render_page(found))
    return {name: folder / f"{name}.html" for name in contents}


def _team() -> tuple[facts.Holding, ...]:
    """Return caches in all states, with everything that a page can show, some of it written by an enemy."""
    failure = Failure(14, "no-space", f"9 GiB needed, 2 free {fleet.HOSTILE}", "Grow the claim.", NOW, "web-1")
    base = Entry("models", "chat", "aa" * 8, "complete", ("chat",), "hf://org/chat-8b", bytes=40 << 30, observed=NOW)
    entries = [
        replace(base, users=("chat-1", fleet.HOSTILE), revision="0123456789abcdef0123456789abcdef01234567"),
        replace(base, key="bb" * 8, source="hf://org/" + "a-name-without-an-end-" * 8, orphan=True, releases=()),
        replace(base, key="cc" * 8, state="damaged", bytes=3 << 30, problem="model.gguf is missing", pinned=True),
        replace(base, key="dd" * 8, state="partial", bytes=5 << 30, unfinished=5 << 30, source=""),
        replace(base, key="", state="foreign", bytes=1 << 30, source="", directory=fleet.HOSTILE),
        replace(base, key="ee" * 8, state="failed", bytes=None, failure=failure, source=fleet.HOSTILE),
    ]
    runs = [_run(hours, result) for hours, result in ((1, "running"), (30, "hit"), (40, "failed"), (70, "fetched"))]
    runs[2] = replace(runs[2], failure=failure)
    cache = Cache("models", "chat", "chat", "perModel", "Bound", 200 << 30, ("ReadWriteMany",), "fast-nvme")
    empty = Cache("models", "a-claim-with-a-name-that-is-as-long-as-names-of-claims-can-be-" + "x" * 180)
    return (
        facts.holding(cache, entries, space.Room(200 << 30, 90 << 30, NOW, scanned=True), runs),
        facts.holding(empty, [], None),
        facts.holding(Cache("models", "", mode="ephemeral"), [replace(base, claim="", users=("x",))], None),
    )


def _run(hours: float, result: str) -> Fetch:
    began = NOW - timedelta(hours=hours)
    return Fetch("models", "chat", "aa" * 8, "hf://org/chat-8b", f"pod-{hours}", result, began, 900.0, 4 << 30, 0)


def _crowd() -> tuple[facts.Holding, ...]:
    entries = [
        Entry("models", "crowd", f"{n:016x}", "complete", (f"release-{n}",), f"hf://org/model-{n}", bytes=n << 20)
        for n in range(1000)
    ]
    runs = [_run(n / 10 + 0.1, "fetched") for n in range(1000)]
    room = space.Room(1 << 40, 1 << 38, NOW, scanned=True)
    return (facts.holding(Cache("models", "crowd", phase="Bound", capacity=1 << 40), entries, room, runs),)


@pytest.mark.parametrize("name", ["none", "team", "crowd"])
def test_nothing_leaves_the_page_and_the_browser_has_nothing_to_complain_of(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    shown = browser.open(pages[name])

    assert [address for address in shown.requests if address != "data:,"] == [pages[name].as_uri()]
    assert shown.complaints == []
    assert shown.evaluate("document.scripts.length") == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_are_as_long_as_their_bytes(browser: Browser, pages: dict[str, Path], width: int) -> None:
    bars: list[list[tuple[int, float]]] = browser.open(pages["team"], width=width).evaluate(BARS)

    drawn = [bar for bar in bars if bar]
    assert len(drawn) == 2  # in the overview and with its cache
    for bar in drawn:
        whole = sum(bytes_ for bytes_, _ in bar)
        assert whole == 200 << 30
        assert [share for _, share in bar] == pytest.approx([bytes_ / whole for bytes_, _ in bar], abs=0.003)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["none", "team", "crowd"])
def test_nothing_reaches_beyond_the_window(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    assert browser.open(pages[name], width=width).evaluate(OVERFLOW) == {"wide": 0, "beyond": []}


@pytest.mark.parametrize("scheme", SHADES)
@pytest.mark.parametrize("width", [360, 1280])
def test_every_text_can_be_read_in_light_and_in_dark(
    browser: Browser, pages: dict[str, Path], scheme: str, width: int
) -> None:
    assert browser.open(pages["team"], width=width, scheme=scheme).evaluate(FAINT) == []


def test_the_dark_page_is_dark_and_the_printed_one_is_not(browser: Browser, pages: dict[str, Path]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"

    light, dark = (browser.open(pages["team"], scheme=scheme).evaluate(ground) for scheme in SHADES)
    printed = browser.open(pages["team"], scheme="dark", media="print").evaluate(ground)

    assert min(light) > 230
    assert max(dark) < 60
    assert printed == [255, 255, 255]


def test_what_an_enemy_wrote_is_read_as_it_was_written(browser: Browser, pages: dict[str, Path]) -> None:
    shown = browser.open(pages["team"])

    counted = shown.evaluate(f"document.body.textContent.split({fleet.HOSTILE!r}).length - 1")
    assert counted >= 5


@pytest.mark.parametrize("width", [360, 1280])
def test_tables_stay_tables_for_screen_readers(browser: Browser, pages: dict[str, Path], width: int) -> None:
    """On a phone the rows look like cards. Chromium keeps the table then; others do where it says what it is."""
    shown = browser.open(pages["team"], width=width)
    silent = shown.evaluate("document.querySelectorAll(':is(table, thead, tbody, tr, th, td):not([role])').length")
    roles = shown.roles()

    headings = shown.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => Number(e.tagName[1]))")
    assert silent == 0
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    assert roles.count("table") == 4  # overview, two caches with entries, downloads
    assert roles.count("row") == (4 + 2 + 6 + 1 + 3 if width > 700 else 2 + 6 + 1 + 3 + 4)
    assert roles.count("rowheader") == 2 + 6 + 1 + 3
    assert roles.count("columnheader") == 6 + 7 + 7 + 7


def test_a_thousand_entries_are_all_there_on_a_phone_and_on_paper(browser: Browser, pages: dict[str, Path]) -> None:
    shown = browser.open(pages["crowd"], width=360)

    heights = "[...document.querySelectorAll('.entries tbody tr')].filter(e => e.getBoundingClientRect().height > 20)"
    assert shown.evaluate(f"{heights}.length") == 1000
    printed = shown.pdf()
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") > 20


def test_marks_of_the_timeline_lie_where_their_times_are(browser: Browser, pages: dict[str, Path]) -> None:
    """Ago: 70, 40 and 30 hours, and one that runs, for an hour now; the axis reaches from the first until now."""
    ends = """[...document.querySelectorAll('.timeline .lane:not(.times) > svg')].map(lane => [...lane.querySelectorAll(
      'circle, .mark-hit line, .mark-failed > svg')].map(e => parseFloat(
      e.getAttribute('cx') || e.getAttribute('x1') || e.getAttribute('x'))))"""

    [lane] = browser.open(pages["team"]).evaluate(ends)

    expected = [1.5 + 97 * (70 - ago) / 70 for ago in (70 - 0.25, 40 - 0.25, 30 - 0.25, 0)]
    assert lane == pytest.approx(expected, abs=0.01)


def test_the_file_that_the_command_writes_is_that_page(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    root, path = tmp_path / "models", tmp_path / "report.html"
    root.mkdir()

    done = CliRunner().invoke(cli, ["report", "--dir", str(root), "-f", str(path)])
    shown = browser.open(path)

    assert done.exit_code == 0, done.output
    titles: Any = shown.evaluate("[document.title, document.querySelector('h2[id^=cache]').textContent]")
    assert titles == [f"Model caches in directory {root}", str(root)]
    assert shown.complaints == []
