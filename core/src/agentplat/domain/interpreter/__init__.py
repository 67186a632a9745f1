"""The interpreter: what should happen next to a task, a function of its state alone."""

from agentplat.domain.interpreter.consulting import MAX_EXECUTIONS
from agentplat.domain.interpreter.deciding import as_object, decide
from agentplat.domain.interpreter.rules import ROOT, Rules

__all__ = ["MAX_EXECUTIONS", "ROOT", "Rules", "as_object", "decide"]
