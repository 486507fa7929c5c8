"""`helm llmkube catalog show`: one model of the catalog, and how it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import catalog, options, render, units

if TYPE_CHECKING:
    from llmkube_plugin.catalog import Model
    from llmkube_plugin.output import Output


@click.command("show")
@click.argument("name", metavar="CATALOG-ID")
@options.output_options
def catalog_show(name: str, output: Output) -> None:
    """Show one model of the catalog, and how it is downloaded and served."""
    model = catalog.get(name)
    if not output.for_people:
        output.document({"schema": render.SCHEMA, "model": model.document()}, [model.id])
        return
    output.text(
        f"id:       {model.id}\n"
        f"source:   {model.source}\n"
        f"size:     {units.size(model.size)} ({model.size} bytes)\n"
        f"license:  {model.license}\n"
        f"for:      {model.purpose}"
    )
    output.note(
        f"\nDownload it:  helm llmkube cache preload {model.id}\n"
        f"Serve it:     helm install {_release_name(model)} CHART --set model.source={model.source}"
    )


def _release_name(model: Model) -> str:
    """Return the id as the name of a release, which may have no dots."""
    return model.id.replace(".", "-")
