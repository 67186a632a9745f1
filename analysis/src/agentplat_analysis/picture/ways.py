"""The ways of a block from step to step: as its strategy says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from agentplat.domain.strategy import BlockView, Strategy, Way
from agentplat.domain.workflow import SINGLE, Block
from agentplat_analysis.asking import asked, view_of

Strategies: TypeAlias = Callable[[str], Strategy]
"""The strategy of that name. Raises when it is not installed."""


def ways_of(block: Block, strategies: Strategies) -> Sequence[Way]:
    """By `needs` alone where the strategy is not installed, cannot tell, or tells of what is not there."""
    if block.strategy != SINGLE:
        said = asked(lambda: _said(block, strategies(block.strategy)))
        if said is not None:
            return said
    return Strategy().ways(view_of(block, 1))


def _said(block: Block, strategy: Strategy) -> Sequence[Way] | None:
    view: BlockView = view_of(block, strategy.revision)
    ways, ends = list(strategy.ways(view)), {*block.names, None}
    are_known = all(way.source in ends and way.target in ends for way in ways)
    is_whole = any(way.source is None for way in ways) and any(way.target is None for way in ways)
    return ways if are_known and is_whole else None
