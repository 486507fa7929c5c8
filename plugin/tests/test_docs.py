from __future__ import annotations

import releases

from llmkube_plugin.cli import cache


def test_the_page_names_every_verb_and_option() -> None:
    page = (releases.REPOSITORY / "docs" / "plugin.md").read_text()

    assert cache.commands
    for verb, command in cache.commands.items():
        assert f"helm llmkube cache {verb}" in page
        for parameter in command.params:
            if parameter.param_type_name == "option":
                names = (*parameter.opts, *parameter.secondary_opts)
                assert any(f"`{name}" in page or f"[{name}" in page or f" {name}" in page for name in names), names
