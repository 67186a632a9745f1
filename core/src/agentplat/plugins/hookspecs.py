"""All hooks, in one file: what a plugin may offer, and what it may observe.

A plugin is a light module, named by an entry point of the group `agentplat`. It says `API_LEVEL = 1` and holds plain
functions, marked with `agentplat.hookimpl`, that have the names and any of the arguments of those below. A hook is
never `async def`: what waits lives in the objects that a spec names by path.

Only hooks that agentplat calls are here. Authenticators and guards (around model and tool calls) are part of the
design and arrive together with their first caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentplat.plugins.marker import hookspec

if TYPE_CHECKING:
    from agentplat.contracts.agent import AgentSpec
    from agentplat.contracts.interface import InterfaceSpec, StepView, TaskChange
    from agentplat.contracts.model import ModelProviderSpec
    from agentplat.contracts.specs import (
        AnalysisSpec,
        CheckSpec,
        CommandSpec,
        MigrationSpec,
        StrategySpec,
        WorkflowSpec,
    )
    from agentplat.contracts.tool import ToolSpec

API_LEVEL = 1
"""The level of these hooks. It grows when a hook is added or changed; a plugin declares the one it was written for."""


# --- Offers: called once per process, collected into frozen registries -------------------------------------


@hookspec
def agentplat_agents() -> Iterable[AgentSpec]:
    """Offer agents.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy: a spec names its class by path. Names are unique over all
               plugins.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    plugins/agent-summarizer/src/agentplat_agent_summarizer/plugin.py
    """
    raise NotImplementedError  # a spec is never called; this keeps the type checker honest


@hookspec
def agentplat_tools() -> Iterable[ToolSpec]:
    """Offer tools.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy. The spec's effect is that of its class. Names are unique over
               all plugins.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    plugins/tool-calculator/src/agentplat_tool_calculator/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_strategies() -> Iterable[StrategySpec]:
    """Offer coordination strategies; a block names one as its `strategy` or `coordination_type`.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy. The class is pure: the same view gives the same decision.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    plugins/strategy-basic/src/agentplat_strategy_basic/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_model_providers() -> Iterable[ModelProviderSpec]:
    """Offer ways to reach models; `provider:model` names one, and the configured one of highest rank is the default.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once, import nothing heavy and connect to nothing: the provider is made at first use.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    plugins/llm-offline/src/agentplat_llm_offline/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_interfaces() -> Iterable[InterfaceSpec]:
    """Offer interfaces: ASGI applications that are mounted under a prefix of the one server.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy. Names and prefixes are unique over all plugins.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    plugins/interface-rest/src/agentplat_interface_rest/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_workflows() -> Iterable[WorkflowSpec]:
    """Offer workflow files that ship with a distribution.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once, without reading the files; each is an absolute path of a file that exists. Names are
               unique over all plugins.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load. A fault inside a file costs
               that workflow only.
    Since      1
    Example    workflows/src/agentplat_workflows/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_convergence_checks() -> Iterable[CheckSpec]:
    """Offer convergence checks; a block names one as its `convergence_check`.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy. A check is pure, and gives False for an output that it does not
               understand.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    plugins/strategy-basic/src/agentplat_strategy_basic/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_analyses() -> Iterable[AnalysisSpec]:
    """Offer analyses of workflows: what can be said about one besides what the compiler says.

    Called     once per process, in every process that loads plugins, before anything is served or claimed.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy: the target is imported when its analysis is asked for. Names are
               unique over all plugins.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    analysis/src/agentplat_analysis/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_commands() -> Iterable[CommandSpec]:
    """Offer commands of `agentplat`.

    Called     once per process, in every process that loads plugins; for `agentplat --help` too.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy: the target is imported when its command is called. Names are
               unique over all plugins.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    migrations/src/agentplat_migrations/plugin.py
    """
    raise NotImplementedError


@hookspec
def agentplat_migrations() -> Iterable[MigrationSpec]:
    """Offer the migrations of the tables that a distribution owns.

    Called     once per process, in every process that loads plugins, before the database is opened.
    Returns    any number of specs; an empty iterable is fine, None is not.
    Must       return at once and import nothing heavy. Names are unique over all plugins.
    On error   the plugin is rejected as a whole, with the reason; the other plugins load.
    Since      1
    Example    migrations/src/agentplat_migrations/plugin.py
    """
    raise NotImplementedError


# --- Observers: called after the commit, one plugin at a time ----------------------------------------------


@hookspec
def agentplat_task_changed(change: TaskChange) -> None:
    """See a task after it changed.

    Called     after each commit that changed the state of a task, in the process that made it, on its event loop.
    Returns    nothing; what is returned is dropped.
    Must       return at once: the loop waits. It is a hint, lost in a crash; who needs every change reads the journal.
    On error   logged and counted with the plugin's name; the other observers are called and the task goes on.
    Since      1
    Example    core/tests/plugins/observer.py
    """
    raise NotImplementedError


@hookspec
def agentplat_step_changed(step: StepView) -> None:
    """See an execution of a step after it started or settled.

    Called     after each commit that started or settled an execution, in the worker that made it, on its event loop.
    Returns    nothing; what is returned is dropped.
    Must       return at once: the loop waits. It is a hint, lost in a crash; who needs every change reads the journal.
    On error   logged and counted with the plugin's name; the other observers are called and the task goes on.
    Since      1
    Example    core/tests/plugins/observer.py
    """
    raise NotImplementedError


@hookspec
def agentplat_process_started(role: str) -> None:
    """See that a process is up.

    Called     once per process, when it is wired and about to serve or to claim; `role` is `api` or `worker`.
    Returns    nothing; what is returned is dropped.
    Must       return at once. There is no counterpart at the end: a process may be killed at any moment.
    On error   logged and counted with the plugin's name; the process goes on.
    Since      1
    Example    core/tests/plugins/observer.py
    """
    raise NotImplementedError
