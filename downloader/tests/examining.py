"""What the doctor found, for its tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
from repository import CONTRACT

if TYPE_CHECKING:
    from command_line import Done

SCHEMA: dict[str, Any] = json.loads((CONTRACT / "report.schema.json").read_text())
ROOTFS = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw"


def findings(done: Done, level: str) -> dict[str, dict[str, Any]]:
    """Return the findings of a level by what was looked at."""
    jsonschema.validate(done.json, {**SCHEMA, "oneOf": [{"$ref": "#/$defs/doctor"}]})
    return {finding["check"]: finding for finding in done.json["findings"] if finding["level"] == level}
