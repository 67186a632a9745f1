"""What the doctor checks: every predicate with its words."""

from agentplat_doctor.predicates import PREDICATES
from agentplat_doctor.report import Level

from .tables import code, table


def errors() -> str:
    """The predicates of which each looks after a promise."""
    return _predicates("error")


def warnings() -> str:
    """The predicates that are about operation."""
    return _predicates("warning")


def _predicates(level: Level) -> str:
    rows = [(code(p.code), p.wrong, p.meaning, p.next) for p in PREDICATES.values() if p.level == level]
    return table(("code", "what is wrong", "what it means", "what to do next"), rows)
