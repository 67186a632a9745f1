"""What an examination says: for each predicate how often it does not hold, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentplat.store.address import Dialect

Level: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """Something that has to hold. `code` is stable; the texts are for people, and are about what does not hold."""

    code: str
    level: Level  # error: a promise is broken; warning: operation is at risk
    wrong: str
    meaning: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A predicate, and where it does not hold: nowhere, when `count` is 0."""

    predicate: Predicate
    count: int
    examples: Sequence[str] = ()  # a few ids of what was counted, mostly of tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One finding for each predicate that was asked, in the order of the documentation."""

    dialect: Dialect
    tasks: int
    seconds: float
    findings: Sequence[Finding]

    @property
    def errors(self) -> Sequence[Finding]:
        """The promises that are broken; empty for a healthy database."""
        return self._broken("error")

    @property
    def warnings(self) -> Sequence[Finding]:
        """What operation should look at."""
        return self._broken("warning")

    def _broken(self, level: Level) -> Sequence[Finding]:
        return [finding for finding in self.findings if finding.count and finding.predicate.level == level]
