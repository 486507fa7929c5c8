"""What the plugin takes for granted about the other parts is what they promise."""

from __future__ import annotations

from typing import Any

import releases
import yaml

from llmkube_plugin import contract

CONTRACT = releases.REPOSITORY / "tests" / "contract"


def load(name: str) -> Any:
    return yaml.safe_load((CONTRACT / name).read_text())


def test_exit_codes_have_the_names_of_the_downloader() -> None:
    codes = load("exit-codes.yaml")

    assert {entry["code"]: entry["name"] for entry in codes} == contract.EXIT_NAMES
    final = tuple(entry["code"] for entry in codes if not entry["retry"] and entry["code"] != 0)
    assert final == contract.FINAL_EXIT_CODES
    assert contract.EXIT_NAMES[contract.EXIT_INTEGRITY] == "integrity"


def test_labels_annotations_and_names_are_those_of_the_contract() -> None:
    agreed = load("labels.yaml")

    assert agreed["labels"] == {
        "release": contract.LABEL_RELEASE,
        "component": contract.LABEL_COMPONENT,
        "key": contract.LABEL_KEY,
    }
    assert agreed["annotations"] == {
        "source": contract.ANNOTATION_SOURCE,
        "revision": contract.ANNOTATION_REVISION,
        "claim": contract.ANNOTATION_CLAIM,
        "mode": contract.ANNOTATION_MODE,
        "entries": contract.ANNOTATION_ENTRIES,
        "origin": contract.ANNOTATION_MADE_BY,
    }
    assert agreed["containers"] == {"fetch": contract.CONTAINER_FETCH, "maintenance": contract.CONTAINER_MAINTENANCE}
    assert agreed["variables"] == {
        "podUID": contract.VARIABLE_POD_UID,
        "link": contract.VARIABLE_LINK,
        "credentials": contract.VARIABLE_CREDENTIALS,
    }
    assert agreed["volumes"] == {
        "credentials": contract.VOLUME_CREDENTIALS,
        "upstream": contract.VOLUME_UPSTREAM,
        "entries": contract.VOLUME_ENTRIES,
    }
    components = [
        contract.COMPONENT_CACHE,
        contract.COMPONENT_PRELOAD,
        contract.COMPONENT_SERVER,
        contract.COMPONENT_MAINTENANCE,
        contract.COMPONENT_ARTIFACTS,
    ]
    assert agreed["components"] == components
