from __future__ import annotations

import documents
import releases

from llmkube_plugin.cli import cli


def test_the_page_names_every_verb_and_option() -> None:
    page = (releases.REPOSITORY / "docs" / "plugin.md").read_text()

    commands = dict(documents.commands(cli))
    assert "cache-list" in commands
    for name, command in commands.items():
        assert f"helm llmkube {name.replace('-', ' ', 1)}" in page
        for parameter in command.params:
            if parameter.param_type_name == "option":
                names = (*parameter.opts, *parameter.secondary_opts)
                assert any(f"`{name}" in page or f"[{name}" in page or f" {name}" in page for name in names), names
