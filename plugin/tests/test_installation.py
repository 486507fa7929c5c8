"""What the plugin finds around itself."""

from __future__ import annotations

import yaml

from llmkube_plugin import installation


def test_a_clone_has_the_catalog_and_the_downloader_where_they_are_looked_for() -> None:
    assert (installation.DOWNLOADER / "llmkube_downloader" / "__main__.py").is_file()
    assert yaml.safe_load(installation.CATALOG.read_text())
