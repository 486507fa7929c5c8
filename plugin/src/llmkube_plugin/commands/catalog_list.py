"""`helm llmkube catalog list`: the models that are known by an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import catalog, options, render, units
from llmkube_plugin.output import Column

if TYPE_CHECKING:
    from llmkube_plugin.catalog import Model
    from llmkube_plugin.output import Output


@click.command("list")
@click.argument("words", nargs=-1, metavar="[TEXT]...")
@options.output_options
def catalog_list(words: tuple[str, ...], output: Output) -> None:
    """List the models that `cache preload` takes by an id, and whose size the chart knows.

    With TEXT only those that mention it, in their id, source, license or purpose. It asks no network.
    """
    found = [model for model in catalog.models() if model.mentions(words)]
    if not output.for_people:
        document = {"schema": render.SCHEMA, "models": [model.document() for model in found]}
        output.document(document, [model.id for model in found])
        return
    output.rows(_columns(), found)
    if not found:
        output.note(f"No model mentions {' and '.join(words)}. Any other model can be given by its source.")


def _columns() -> list[Column[Model]]:
    return [
        Column("ID", lambda model: model.id),
        Column("SIZE", lambda model: units.size(model.size)),
        Column("LICENSE", lambda model: model.license),
        Column("FOR", lambda model: model.purpose),
        Column("SOURCE", lambda model: model.source, wide=True),
    ]
