"""agentplat: durable AI-agent workflows. This module has the names that a plugin author needs, and nothing else.

Names are imported at first use, so that a plugin's light module costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentplat.contracts.agent import Agent, AgentContext, AgentSpec
    from agentplat.contracts.approvals import Answer, ApprovalView
    from agentplat.contracts.interface import (
        Accepted,
        Client,
        CostSummary,
        Description,
        InterfaceSpec,
        JournalView,
        Rerun,
        Reuse,
        StepView,
        Submission,
        TaskChange,
        TaskFilter,
        TaskView,
        WorkflowStateView,
    )
    from agentplat.contracts.limits import Limit, LimitRow
    from agentplat.contracts.model import (
        Message,
        ModelProvider,
        ModelProviderSpec,
        ModelReply,
        ModelRequest,
        Passage,
        ToolDescription,
        ToolRequest,
    )
    from agentplat.contracts.schedules import Backfilled, Schedule, ScheduleClient, ScheduleFault, ScheduleView
    from agentplat.contracts.specs import (
        AnalysisSpec,
        CheckSpec,
        CommandSpec,
        MigrationSpec,
        StrategySpec,
        Subject,
        WorkflowSpec,
    )
    from agentplat.contracts.tool import Effect, Tool, ToolContext, ToolSpec
    from agentplat.contracts.versions import Diagnostic, WorkflowFile, WorkflowVersion
    from agentplat.contracts.why import Reason, Why
    from agentplat.domain.errors import (
        AgentplatError,
        ConflictError,
        IllegalTransition,
        InputRejected,
        NotAllowed,
        NotFound,
        NotInstalled,
        StepError,
        UnavailableError,
        UnknownName,
        UsageError,
        VersionConflict,
        WorkflowInvalid,
    )
    from agentplat.domain.failure import Failure, FailureCode
    from agentplat.domain.json import JsonObject, JsonValue
    from agentplat.domain.strategy import BlockView, Decision, Expand, Fail, Finish, Settled, Start, Strategy, Wait, Way
    from agentplat.domain.task import TaskState
    from agentplat.domain.usage import Usage
    from agentplat.plugins.marker import hookimpl

_HOME = {
    "agentplat.contracts.approvals": ("Answer", "ApprovalView"),
    "agentplat.contracts.agent": ("Agent", "AgentContext", "AgentSpec"),
    "agentplat.contracts.specs": (
        "AnalysisSpec",
        "CheckSpec",
        "CommandSpec",
        "MigrationSpec",
        "StrategySpec",
        "Subject",
        "WorkflowSpec",
    ),
    "agentplat.contracts.interface": (
        "Accepted",
        "Client",
        "CostSummary",
        "Description",
        "InterfaceSpec",
        "JournalView",
        "Rerun",
        "Reuse",
        "StepView",
        "Submission",
        "TaskChange",
        "TaskFilter",
        "TaskView",
        "WorkflowStateView",
    ),
    "agentplat.contracts.limits": ("Limit", "LimitRow"),
    "agentplat.contracts.model": (
        "Message",
        "ModelProvider",
        "ModelProviderSpec",
        "ModelReply",
        "ModelRequest",
        "Passage",
        "ToolDescription",
        "ToolRequest",
    ),
    "agentplat.contracts.schedules": ("Backfilled", "Schedule", "ScheduleClient", "ScheduleFault", "ScheduleView"),
    "agentplat.contracts.versions": ("Diagnostic", "WorkflowFile", "WorkflowVersion"),
    "agentplat.contracts.why": ("Reason", "Why"),
    "agentplat.contracts.tool": ("Effect", "Tool", "ToolContext", "ToolSpec"),
    "agentplat.domain.errors": (
        "AgentplatError",
        "ConflictError",
        "IllegalTransition",
        "InputRejected",
        "NotAllowed",
        "NotFound",
        "NotInstalled",
        "StepError",
        "UnavailableError",
        "UnknownName",
        "UsageError",
        "VersionConflict",
        "WorkflowInvalid",
    ),
    "agentplat.domain.failure": ("Failure", "FailureCode"),
    "agentplat.domain.json": ("JsonObject", "JsonValue"),
    "agentplat.domain.strategy": (
        "BlockView",
        "Decision",
        "Expand",
        "Fail",
        "Finish",
        "Settled",
        "Start",
        "Strategy",
        "Wait",
        "Way",
    ),
    "agentplat.domain.task": ("TaskState",),
    "agentplat.domain.usage": ("Usage",),
    "agentplat.plugins.marker": ("hookimpl",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Accepted",
    "Agent",
    "AgentContext",
    "AgentSpec",
    "AgentplatError",
    "AnalysisSpec",
    "Answer",
    "ApprovalView",
    "Backfilled",
    "BlockView",
    "CheckSpec",
    "Client",
    "CommandSpec",
    "ConflictError",
    "CostSummary",
    "Decision",
    "Description",
    "Diagnostic",
    "Effect",
    "Expand",
    "Fail",
    "Failure",
    "FailureCode",
    "Finish",
    "IllegalTransition",
    "InputRejected",
    "InterfaceSpec",
    "JournalView",
    "JsonObject",
    "JsonValue",
    "Limit",
    "LimitRow",
    "Message",
    "MigrationSpec",
    "ModelProvider",
    "ModelProviderSpec",
    "ModelReply",
    "ModelRequest",
    "NotAllowed",
    "NotFound",
    "NotInstalled",
    "Passage",
    "Reason",
    "Rerun",
    "Reuse",
    "Schedule",
    "ScheduleClient",
    "ScheduleFault",
    "ScheduleView",
    "Settled",
    "Start",
    "StepError",
    "StepView",
    "Strategy",
    "StrategySpec",
    "Subject",
    "Submission",
    "TaskChange",
    "TaskFilter",
    "TaskState",
    "TaskView",
    "Tool",
    "ToolContext",
    "ToolDescription",
    "ToolRequest",
    "ToolSpec",
    "UnavailableError",
    "UnknownName",
    "Usage",
    "UsageError",
    "VersionConflict",
    "Wait",
    "Way",
    "Why",
    "WorkflowFile",
    "WorkflowInvalid",
    "WorkflowSpec",
    "WorkflowStateView",
    "WorkflowVersion",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module 'agentplat' has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE[name]), name)
    globals()[name] = value
    return value
