"""The models that are known by an id, from the chart's catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkube_plugin import installation
from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Model:
    """A model of the catalog. `size` is in bytes, `purpose` says in words what it is good for."""

    id: str
    source: str
    size: int
    license: str
    purpose: str

    def mentions(self, words: Iterable[str]) -> bool:
        """Return whether all words occur in what is said of the model, in upper or lower case."""
        text = " ".join((self.id, self.source, self.license, self.purpose)).lower()
        return all(word.lower() in text for word in words)

    def document(self) -> dict[str, Any]:
        """Return the model for a program."""
        return {
            "id": self.id,
            "source": self.source,
            "bytes": self.size,
            "license": self.license,
            "purpose": self.purpose,
        }


def models() -> list[Model]:
    """Return all models of the catalog, in its order.

    Raises PluginError when the plugin was installed without the catalog.
    """
    import yaml

    path = installation.CATALOG
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    except OSError as error:
        raise PluginError(
            f"the catalog {path} can not be read: {error.strerror}",
            "Install the plugin from a clone or a package of the repository, or name models by their source.",
        ) from error
    return [_model(item) for item in listed]


def _model(item: dict[str, Any]) -> Model:
    return Model(item["id"], item["source"], item["size"], item["license"], item["for"])


def find(name: str) -> Model | None:
    """Return the model with an id, None when there is none."""
    return next((model for model in models() if model.id == name), None)


def get(name: str) -> Model:
    """Return the model with an id. Raises PluginError that names the nearest ids."""
    known = models()
    for model in known:
        if model.id == name:
            return model
    raise PluginError(
        f"the catalog has no model {name!r}",
        f"{did_you_mean(name, [model.id for model in known])}See `helm llmkube catalog list`.",
    )


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a question that names what is spelled nearly so, with a space behind it; empty when nothing is."""
    import difflib

    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    near += [other for other in known if name.lower() in other and other not in near][: 3 - len(near)]
    return f"Did you mean {', '.join(near)}? " if near else ""
