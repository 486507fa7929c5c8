"""What the plugin finds around itself."""

from __future__ import annotations

import subprocess
import tarfile
from typing import TYPE_CHECKING

import releases
import yaml

from llmkube_plugin import installation
from tools import plugin_package

if TYPE_CHECKING:
    from pathlib import Path


def test_a_clone_has_the_catalog_and_the_downloader_where_they_are_looked_for() -> None:
    assert (installation.DOWNLOADER / "llmkube_downloader" / "__main__.py").is_file()
    assert yaml.safe_load(installation.CATALOG.read_text())


def test_a_package_has_the_whole_chart_which_renders_the_same(tmp_path: Path) -> None:
    plugin_package.pack(tmp_path / "llmkube.tgz", tmp_path)
    with tarfile.open(tmp_path / "llmkube.tgz") as tar:
        tar.extractall(tmp_path, filter="data")
    packed = tmp_path / "llmkube" / installation.CHART.relative_to(installation.ROOT)

    rendered = [
        subprocess.run(
            [releases.helm(), "template", "web", str(chart), "--set", f"model.source={releases.TINY},model.size=1Gi"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for chart in (installation.CHART, packed)
    ]

    assert rendered[0] == rendered[1]
