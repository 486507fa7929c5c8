"""Rules that keep the templates readable, and the same under Helm, Argo CD and Flux."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chart.rendering import CHART

TEMPLATES = sorted(path for path in (CHART / "templates").rglob("*") if path.is_file())
HELPERS = [path for path in TEMPLATES if path.suffix == ".tpl"]
MANIFESTS = [path for path in TEMPLATES if path.suffix == ".yaml"]
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
RUNTIMES = set(SCHEMA["properties"]["runtime"]["properties"]["name"]["enum"])
COMMENT = re.compile(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", re.DOTALL)

# What the one refuses and the other takes from the values has no kind that the file could name.
WITHOUT_KIND = {"requirements.yaml", "extra-objects.yaml"}
IMPURE = {
    "the cluster": r"\blookup\b|\.Capabilities\.APIVersions",
    "chance": r"\b(rand\w+|uuidv4|genCA\w*|genSelfSigned\w*|genSignedCert\w*|genPrivateKey|htpasswd|bcrypt)\b",
    "time": r"\b(now|date|dateInZone|ago|unixEpoch)\b",
    "install or upgrade": r"\.Release\.(IsInstall|IsUpgrade|Revision)",
    "the order of a map": r"\b(keys|values)\s+[.$]",
    "a hook": r'helm\.sh/hook(?!" "test")',
}


def _code(path: Path) -> str:
    return COMMENT.sub("", path.read_text("utf-8"))


@pytest.mark.parametrize("pattern", IMPURE.values(), ids=IMPURE.keys())
def test_no_template_depends_on(pattern: str) -> None:
    found = [(path.name, match.group()) for path in TEMPLATES for match in re.finditer(pattern, _code(path))]
    assert found == []


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.relative_to(CHART).as_posix())
def test_a_template_file_makes_one_kind_of_object(path: Path) -> None:
    kinds = re.findall(r"^kind: ", path.read_text("utf-8"), re.MULTILINE)
    assert len(kinds) == (0 if path.name in WITHOUT_KIND else 1)


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.name)
def test_a_helper_file_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.name)
def test_a_helper_is_named_after_chart_and_file_and_says_what_it_must_be_given(path: Path) -> None:
    text = path.read_text("utf-8")
    area = path.stem.removeprefix("_")
    defines = re.findall(r'\{\{-? define "([^"]+)"', text)
    assert defines
    assert [name for name in defines if not re.match(rf"llmkube\.{area}\.", name)] == []
    described = re.findall(r'Given [^{}]*(?:\{[^{}]*\}[^{}]*)*\*/\}\}\n\{\{- define "([^"]+)"', text)
    assert described == defines


def test_every_helper_is_used() -> None:
    everything = "\n".join(path.read_text("utf-8") for path in TEMPLATES)
    used = set(re.findall(r'include "([^"]+)"', everything))
    used |= set(re.findall(r'include "llmkube\.once\.text" \(dict "root" \. "of" "([^"]+)"', everything))
    # A runtime's helpers are found by its name: (printf "llmkube.runtime-%s.args" .Values.runtime.name).
    for name in re.findall(r'printf "llmkube\.runtime-%s\.(\w+)"', everything):
        used |= {f"llmkube.runtime-{runtime}.{name}" for runtime in RUNTIMES}
    assert set(re.findall(r'define "([^"]+)"', everything)) - used == set()


def test_every_runtime_has_its_helpers_in_a_file_of_its_own() -> None:
    assert {path.stem.removeprefix("_runtime-") for path in HELPERS if path.stem.startswith("_runtime-")} == RUNTIMES
