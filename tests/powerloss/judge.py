"""What is wrong with a cache that is found after a power cut."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faults.tree import entries, leftovers, problem_of
from powerloss.story import was_damaged

if TYPE_CHECKING:
    from collections.abc import Collection

    from powerloss.stage import Done, Stage
    from powerloss.story import Moment

_OK, _DAMAGED = 0, 13
_STAGING, _QUARANTINE = ".llmkube/staging", ".llmkube/quarantine"
# What attempts to build or to remove an entry work in.
_OF_ATTEMPTS = re.compile(r"\.llmkube/(staging/[0-9a-f]{16}/|leases/[0-9a-f]{16}/build|trash/|quarantine/)")


class Judge:
    """Judges by reading the cache itself, and then by what the command line says of it and does with it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._key = stage.key()

    def problems(self, moment: Moment) -> list[str]:
        """Return what is wrong with the cache, and with it after the next fetch."""
        found, wrong = self._look(moment)
        wrong += [f"{model} is gone" for model in sorted(moment.must - found.keys())]
        wrong += self._misjudged(moment, found.values())
        return wrong + self._wrong_after_fetch(moment)

    def _look(self, moment: Moment) -> tuple[dict[str, Path], list[str]]:
        """Return the models that are there, whole, and what is wrong with all else that has the name of an entry."""
        found, wrong = {}, []
        for entry in entries(self._stage.root):
            problems = {name: self._problem(entry, name) for name in sorted(moment.phase.may)}
            whole = [name for name, problem in problems.items() if not problem]
            found.update(dict.fromkeys(whole, entry))
            if not whole and not (moment.phase.damaged and was_damaged(entry)):
                wrong += [f"not {name}: {problem}" for name, problem in problems.items()]
        return found, wrong

    def _problem(self, entry: Path, model: str) -> str:
        if entry.name.partition("-")[0] != self._key:
            return f"{entry.name} has another key"
        return problem_of(entry, self._stage.models[model].files)

    def _misjudged(self, moment: Moment, whole: Collection[Path]) -> list[str]:
        """Return what the command line takes for something else than we do."""
        listed, verified = self._stage.run("list", "-o", "json"), self._stage.run("verify", "-o", "json")
        if listed.code != _OK or verified.code not in (_OK, _DAMAGED):
            return [f"list: {listed}", f"verify: {verified}"]
        wrong = [
            each for each in _entries(listed) if each["state"] != self._expected(Path(each["entry"]), moment, whole)
        ]
        wrong += [each for each in _entries(verified) if (Path(each["entry"]) in whole) == bool(each["problems"])]
        return [f"misjudged: {each}" for each in wrong]

    def _expected(self, path: Path, moment: Moment, whole: Collection[Path]) -> str:
        """Return which state a directory has to be listed with."""
        place = path.parent.relative_to(self._stage.root).as_posix()
        if place == _STAGING:
            return "partial"
        if place == _QUARANTINE:
            return "damaged" if moment.phase.quarantine else "absent"
        return "complete" if path in whole else "damaged"

    def _wrong_after_fetch(self, moment: Moment) -> list[str]:
        model = moment.phase.model
        fetched = self._stage.fetch(model, *moment.phase.flags, "-o", "json")
        if fetched.code != _OK:
            return [f"the next fetch ended with {fetched}"]
        report = json.loads(fetched.output.splitlines()[-1])
        found, wrong = self._look(moment)
        if str(found.get(model)) != report["entry"]:
            wrong.append(f"the next fetch names {report['entry']}, {model} is {found.get(model)}")
        return wrong + [f"the next fetch left {path}" for path in self._leftovers(moment)]

    def _leftovers(self, moment: Moment) -> list[str]:
        left = [path for path in leftovers(self._stage.root) if _OF_ATTEMPTS.match(path)]
        return [path for path in left if not (moment.phase.quarantine and path.startswith(_QUARANTINE))]


def _entries(done: Done) -> list[dict[str, Any]]:
    return list(json.loads(done.output)["entries"])
