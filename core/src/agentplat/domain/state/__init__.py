"""The state of a task: what its journal adds up to. `evolve` is the only way to change it."""

from agentplat.domain.state.evolving import evolve
from agentplat.domain.state.values import BlockState, Execution, Phase, State, replace

__all__ = ["BlockState", "Execution", "Phase", "State", "evolve", "replace"]
