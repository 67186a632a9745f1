"""Calling code that agentplat did not write, so that its failure becomes a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def attempt(
    call: Callable[[], T], *, let_through: type[BaseException] | tuple[type[BaseException], ...] = ()
) -> tuple[T | None, str | None]:
    """What `call` returned and None, or None and the reason why it failed.

    `SystemExit` counts as a failure: a module that calls `sys.exit` must not end the process that imports it.
    """
    try:
        return call(), None
    except let_through:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything
        return None, described(error)


def described(error: BaseException) -> str:
    """The error's type and text on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
