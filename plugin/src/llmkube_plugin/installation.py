"""Where the files lie that the plugin uses and that are not its own modules.

A clone, a package of `make plugin-package` and what Helm makes of either have the same folders, so that one path is
right in all of them.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "llmkube"
CATALOG = CHART / "catalog.yaml"  # models by their ids, the chart's own file
DOWNLOADER = ROOT / "downloader" / "src"
