"""A strategy is asked of a block before anything has run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from agentplat.domain.strategy import BlockView
from agentplat.domain.workflow import Block

T = TypeVar("T")


def view_of(block: Block, revision: int) -> BlockView:
    """The block before anything has run."""
    return BlockView(
        steps=block.names,
        input=None,
        settled=(),
        max_iterations=block.max_iterations,
        options=block.options,
        needs=block.needed,
        step_options=block.told,
        revision=revision,
    )


def asked(ask: Callable[[], T]) -> T | None:
    """What the strategy says; None where an option is a template, of which it cannot know the value yet."""
    try:
        return ask()
    except Exception:  # noqa: BLE001 - foreign code
        return None
