"""Codes of errors and failures."""

import inspect
from collections.abc import Iterator

from agentplat_interface_rest.problems import _STATUS

from agentplat.domain import errors as tree
from agentplat.domain.errors import AgentplatError
from agentplat.domain.failure import FailureCode

from .tables import code, table

_FAILURES = {
    FailureCode.RATE_LIMITED: "A service asked to be called less often. Its `Retry-After` is obeyed.",
    FailureCode.TIMEOUT: "A call, a step or the whole task took longer than it may.",
    FailureCode.UNAVAILABLE: "A service could not be reached, or broke off.",
    FailureCode.INVALID_OUTPUT: "What a model, tool or agent gave does not fit, is too large, or cannot be kept.",
    FailureCode.INVALID_INPUT: "What a step was given does not fit, or an expression cannot be evaluated.",
    FailureCode.REFUSED: "A service or a model declined: no key, a wrong key, a content filter, a missing feature.",
    FailureCode.TOOL_FAILED: "A tool raised something that is no StepError.",
    FailureCode.AGENT_FAILED: "An agent or strategy raised something that is no StepError, or a person ended it.",
    FailureCode.CANCELLED: "The task was cancelled.",
    FailureCode.IN_DOUBT: "An `at_most_once` call was begun and nobody knows how it ended. A person has to look.",
    FailureCode.POISONED: "The task brought down its worker three times while it ran alone.",
    FailureCode.BUDGET: "Reserved for budgets, which are not built yet.",
}


def failures() -> str:
    """Every failure code of a step or task."""
    rows = [(code(c.value), "yes" if c.usually_retryable else "no", _FAILURES[c]) for c in FailureCode]
    return table(("code", "tried again by default", "meaning"), rows)


def error_tree() -> str:
    """The tree of errors, as it is drawn in the code."""
    drawing = (inspect.getdoc(tree) or "").partition("\n\n")[2]
    return f"```text\n{drawing.strip()}\n```"


def errors() -> str:
    """Code, class and HTTP status of every error."""
    return table(("`error_code`", "class", "HTTP"), _rows())


def _rows() -> Iterator[tuple[str, str, str]]:
    for kind in vars(tree).values():
        if inspect.isclass(kind) and issubclass(kind, AgentplatError) and kind.__module__ == tree.__name__:
            status = next((str(status) for base, status in _STATUS if issubclass(kind, base)), "500")
            yield code(kind.code), code(kind.__name__), status
