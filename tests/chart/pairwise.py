"""Few combinations of many parameters' options in which every two options meet, the same ones in every run.

Written here because the library that is common for it (allpairspy) stops at the first combination that brings nothing
new, which with excluded combinations leaves pairs out.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

Choice = tuple[str, str]  # a parameter and one of its options
Row = dict[str, str]  # an option for each parameter
Rule = Mapping[str, Sequence[str]]  # options that must not all meet: of each parameter one of these


class Builder:
    """Builds rows one after the other, each around the pair that has met most rarely.

    - parameters: the options of each.
    - never: what must not meet.
    """

    def __init__(self, parameters: Mapping[str, Sequence[str]], never: Sequence[Rule] = ()) -> None:
        self.parameters = parameters
        self.rules: dict[Choice, list[Rule]] = {}
        for rule in never:
            for choice in _choices(rule):
                self.rules.setdefault(choice, []).append(rule)
        self.met: Counter[frozenset[Choice]] = Counter()
        self.impossible: set[frozenset[Choice]] = set()
        self.rows: list[Row] = []
        self.pairs = self._pairs()

    def rows_until(self, times: int) -> list[Row]:
        """Return rows in which every two options that may meet do so, at least so many times."""
        for number in range(1, times + 1):
            for pair in self.pairs:
                while self.met[pair] < number and pair not in self.impossible:
                    self._build(pair)
        return self.rows

    def _pairs(self) -> list[frozenset[Choice]]:
        pairs = [
            frozenset(((one, mine), (other, theirs)))
            for one, other in itertools.combinations(self.parameters, 2)
            for mine in self.parameters[one]
            for theirs in self.parameters[other]
        ]
        return sorted(pairs, key=lambda pair: _shuffled(*sorted(pair)))

    def _build(self, pair: frozenset[Choice]) -> None:
        order = sorted(self.parameters, key=lambda name: _shuffled(len(self.rows), name))
        row = self._completed({}, dict(sorted(pair)), order)
        if row is None:
            self.impossible.add(pair)
            return
        self.met.update(frozenset(two) for two in itertools.combinations(row.items(), 2))
        self.rows.append({name: row[name] for name in self.parameters})

    def _completed(self, row: Row, more: Row, order: list[str]) -> Row | None:
        """Return the row with more options, and with one for every other parameter; None if there is no such row.

        - order: in which parameters get their options.
        """
        for choice in more.items():
            row = {**row, choice[0]: choice[1]}
            if not self._may(row, choice):
                return None
        left = [name for name in order if name not in row]
        # Looking ahead finds a parameter that has nothing left before all others are tried in vain.
        open_to = {name: [each for each in self.parameters[name] if self._may(row, (name, each))] for name in left}
        if not all(open_to.values()):
            return None
        if not left:
            return row
        for option in sorted(open_to[left[0]], key=lambda each: self._worth(row, (left[0], each))):
            whole = self._completed(row, {left[0]: option}, left)
            if whole is not None:
                return whole
        return None

    def _may(self, row: Row, choice: Choice) -> bool:
        """Whether the choice breaks no rule together with the row."""
        rules = self.rules.get(choice)
        if not rules:
            return True
        other = {**row, choice[0]: choice[1]}
        return not any(_broken(rule, other) for rule in rules)

    def _worth(self, row: Row, choice: Choice) -> tuple[int, str]:
        """What sorts first brings the most pairs that have met the least."""
        gain = sum(1000 ** max(0, 9 - self.met[frozenset((choice, other))]) for other in row.items())
        return -gain, _shuffled(len(self.rows), *choice)


def _choices(rule: Rule) -> list[Choice]:
    return [(name, option) for name, options in rule.items() for option in options]


def _broken(rule: Rule, row: Row) -> bool:
    return all(row.get(name) in options for name, options in rule.items())


def _shuffled(*parts: object) -> str:
    """A key to sort by that is the same in every run, and looks like chance."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
