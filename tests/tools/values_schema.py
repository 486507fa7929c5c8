"""Generate what the chart says about its values: values.schema.json and the tables of README.md, from values.yaml.

A key is described by the comment right above it: prose behind ``# --``, and ``# @schema {...}`` with JSON Schema
keywords, in YAML flow style, that the default value can not tell; a long one goes on in further ``# @schema`` lines.
What is like another value says so with the keyword ``$like`` and that value's path (``$like: model``); ``properties``
beside it are those that a map has besides.

Usage: values_schema.py VALUES            print the schema
       values_schema.py VALUES --write    write the schema and the tables beside VALUES
       values_schema.py VALUES --check    exit 1 when what is beside VALUES is not what would be written
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
LIKE = "$like"
BEGIN = "<!-- values: generated from values.yaml by `make docs` -->"
END = "<!-- end of values -->"


class ValuesError(Exception):
    """values.yaml breaks a rule of this file; the text says where and which."""


@dataclass(frozen=True)
class Key:
    """One key of values.yaml.

    - path: dotted path from the root.
    - default: the value in values.yaml, with all that is below it.
    - keywords: JSON Schema keywords of the ``@schema`` line.
    """

    path: str
    description: str
    default: Any
    keywords: dict[str, Any]
    children: list[Key] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    def leaves(self) -> list[Key]:
        """Return the keys below this one that have no keys below them; this one when it has none."""
        return [leaf for child in self.children for leaf in child.leaves()] or [self]


def read_keys(values: Path) -> list[Key]:
    """Read the top-level keys of a values file.

    Raises ValuesError: a key has no description, or its annotation can not be read.
    """
    text = values.read_text(encoding="utf-8")
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        raise ValuesError(f"{values}: is no map of values")
    return _keys_of(node, yaml.safe_load(text), text.splitlines(), "")


def _keys_of(node: yaml.MappingNode, values: dict[str, Any], lines: list[str], prefix: str) -> list[Key]:
    keys = []
    for name_node, value_node in node.value:
        path = f"{prefix}{name_node.value}"
        default = values[name_node.value]
        description, keywords = _comment_above(lines, name_node.start_mark.line, path)
        children = _keys_of(value_node, default, lines, f"{path}.") if isinstance(value_node, yaml.MappingNode) else []
        keys.append(Key(path, description, default, keywords, children))
    return keys


def _comment_above(lines: list[str], line: int, path: str) -> tuple[str, dict[str, Any]]:
    block: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        block.insert(0, lines[line].strip().removeprefix("#").strip())
    starts = [index for index, text in enumerate(block) if text.startswith("--")]
    if not starts:
        raise ValuesError(f"values.yaml: {path} has no description: write one above it, behind '# --'")
    own = block[starts[-1] :]
    prose = " ".join(text for text in own if not text.startswith("@schema"))
    annotations = [text.removeprefix("@schema") for text in own if text.startswith("@schema")]
    return prose.removeprefix("--").strip(), _keywords(annotations, path)


def _keywords(annotations: list[str], path: str) -> dict[str, Any]:
    try:
        read = yaml.safe_load(" ".join(annotations) or "{}")
    except yaml.YAMLError as error:
        raise ValuesError(f"values.yaml: the @schema line of {path} is no YAML: {error}") from error
    if not isinstance(read, dict):
        raise ValuesError(f"values.yaml: {path} needs one @schema line with a map: # @schema {{type: string}}")
    return read


def schema(keys: list[Key]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a values file with these top-level keys."""
    properties = {key.name: _property(key) for key in keys}
    properties = {name: _alike(part, properties) for name, part in properties.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the llmkube chart",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _property(key: Key) -> dict[str, Any]:
    result: dict[str, Any] = {"description": key.description}
    if key.default is not None:
        result["type"] = TYPES[type(key.default)]
    elif "type" not in key.keywords:
        raise ValuesError(
            f"values.yaml: {key.path} is null, so its type needs a line: # @schema {{type: [string, 'null']}}"
        )
    if key.children:
        result["additionalProperties"] = False
        result["properties"] = {child.name: _property(child) for child in key.children}
    else:
        result["default"] = key.default
    return {**result, **key.keywords}


def _alike(part: Any, properties: dict[str, Any]) -> Any:
    """Return a part of a schema in which everything that is like another value is described as that one.

    JSON Schema itself can not add keys to a map that has no others, so a map gets those of the other one one by one.
    """
    if isinstance(part, list):
        return [_alike(item, properties) for item in part]
    if not isinstance(part, dict):
        return part
    result = {name: _alike(item, properties) for name, item in part.items() if name != LIKE}
    if LIKE not in part:
        return result
    place, found = "#", {"properties": properties}
    for name in part[LIKE].split("."):
        if name not in found.get("properties", {}):
            raise ValuesError(f"values.yaml: {LIKE}: {part[LIKE]} names no value: correct the name")
        place, found = f"{place}/properties/{name}", found["properties"][name]
    if "properties" not in result:
        return {"$ref": place, **result}
    own = {name: {"$ref": f"{place}/properties/{name}"} for name in found.get("properties", {})}
    return {"type": "object", "additionalProperties": False, **result, "properties": {**own, **result["properties"]}}


def tables(keys: list[Key]) -> str:
    """Return the values as Markdown: one table for the scalars of the root, one for each map of the root."""
    plain = [key for key in keys if not key.children]
    parts = [_table(plain)]
    parts += [f"### {key.name}\n\n{key.description}\n\n{_table(key.leaves())}" for key in keys if key.children]
    return "\n\n".join(parts)


def _table(keys: list[Key]) -> str:
    rows = [f"| `{key.path}` | {_shown(key.default)} | {key.description.replace('|', chr(92) + '|')} |" for key in keys]
    return "\n".join(["| Value | Default | Meaning |", "|---|---|---|", *rows])


def _shown(default: Any) -> str:
    return "unset" if default is None else f"`{json.dumps(default)}`"


def generated(values: Path) -> dict[Path, str]:
    """Return the files that follow from a values file, with their contents.

    Raises ValuesError: the values file breaks a rule, or README.md has no place for the tables.
    """
    keys = read_keys(values)
    readme = values.with_name("README.md")
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValuesError(f"{readme}: has no place for the values: add the lines {BEGIN!r} and {END!r}")
    return {
        values.with_name("values.schema.json"): json.dumps(schema(keys), indent=2) + "\n",
        readme: f"{before}{BEGIN}\n\n{tables(keys)}\n\n{END}{after}",
    }


def stale(values: Path) -> list[Path]:
    """Return the files beside a values file that are not what would be generated now."""
    return [
        path
        for path, content in generated(values).items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Schema and README tables of the chart, from its values.yaml.")
    parser.add_argument("values", type=Path, help="the chart's values.yaml")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="write the files beside it")
    action.add_argument("--check", action="store_true", help="fail when they are not up to date")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            return _report(stale(options.values))
        if options.write:
            for path, content in generated(options.values).items():
                path.write_text(content, encoding="utf-8")
        else:
            print(json.dumps(schema(read_keys(options.values)), indent=2))
    except ValuesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _report(paths: list[Path]) -> int:
    for path in paths:
        print(f"{path} is not what values.yaml says: run `make docs`", file=sys.stderr)
    return 1 if paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
