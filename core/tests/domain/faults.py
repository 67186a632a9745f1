"""Deliberate faults, one change of the source each. The laws are good for something only if they catch these."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path

from agentplat_testkit.simulation.world import Core

from agentplat.domain import interpreter, state

from .workflows import Kinds

SOURCES = {
    package.__name__ if file.stem == "__init__" else f"{package.__name__}.{file.stem}": file.read_text()
    for package in (state, interpreter)
    for file in sorted(Path(str(package.__file__)).parent.glob("*.py"))
}
"""The text of every module that decides or folds, by its name."""


@dataclass(frozen=True)
class Fault:
    what: str
    old: str
    new: str
    kinds: Kinds = "any"  # of workflows, in which it shows

    def patch(self, source: str) -> str:
        return source.replace(self.old, self.new)


FAULTS = (
    # Outcomes and late reports
    Fault(
        "a report of an older attempt counts",
        "return expected and execution.attempt == event.attempt",
        "return expected",
        "crowds",
    ),
    Fault(
        "a failure that is reported twice counts twice",
        "else phase.is_awaited",
        "else phase.is_open",
        "crowds",
    ),
    Fault(
        "an outcome after the outcome counts",
        "phase.is_open if isinstance(event, StepCancelled) else phase.is_awaited",
        "True",
    ),
    Fault(
        "what a failed attempt used is forgotten",
        'news["usage"] = execution.usage + event.usage',
        'news["usage"] = execution.usage + event.usage if isinstance(event, StepSucceeded) else execution.usage',
    ),
    Fault(
        "usage is that of the last attempt",
        'news["usage"] = execution.usage + event.usage',
        'news["usage"] = event.usage',
    ),
    Fault(
        "a body that cancels itself is only gone",
        "case StepCancelled() if execution.phase is Phase.RUNNING or",
        "case StepCancelled() if",
        "crowds",
    ),
    Fault(
        "a cancelling body cannot win the race",
        'self.has_body = word in ("running", "cancelling")',
        'self.has_body = word == "running"',
    ),
    # Attempts, tries and crashes
    Fault("a crash leaves bodies running", "TaskClaimed: _interrupt,", "TaskClaimed: lambda state, event, at: {},"),
    Fault("an attempt starts twice", "attempt=execution.attempt + 1,\n", "attempt=execution.attempt,\n"),
    Fault("a crash is another try", "try_number=execution.try_number,\n", "try_number=execution.try_number + 1,\n"),
    Fault(
        "a retry does not wait for its timer", "case Phase.BACKING_OFF if execution.fired:", "case Phase.BACKING_OFF:"
    ),
    Fault(
        "the timer of the last try fires the next one",
        '{**waiting, "updated_at": at, "fired": False}',
        '{**waiting, "updated_at": at, "fired": True}',
    ),
    Fault(
        "the delay counts from the start",
        '{**waiting, "updated_at": at, "fired": False}',
        '{**waiting, "fired": False}',
    ),
    Fault(
        "a retry is no other try",
        "try_number=execution.try_number + 1, least",
        "try_number=execution.try_number, least",
    ),
    Fault(
        "tries are counted from the attempt",
        "delay_after(step.retry, execution.try_number, execution.failure)",
        "delay_after(step.retry, execution.attempt, execution.failure)",
        "crowds",
    ),
    Fault("nothing is tried again", "    if most is None:\n        return None\n", "    return None\n"),
    Fault(
        "waits are tried again",
        " or not isinstance(step.body, AgentCall | ToolCall | WorkflowCall):\n        return None",
        ":\n        return None",
    ),
    Fault("what was refused is tried again", " or execution.attempt == 0:", ":"),
    Fault("a retry forgets its input", "        input=execution.input,\n", "        input=None,\n"),
    Fault(
        "a step is known by its latest id",
        '"input": event.input,\n                "failure"',
        '"input": event.input, "id": event.execution_id, "failure"',
    ),
    # Signals and timers
    Fault(
        "a signal before its wait is lost",
        'return {"signals": (*state.signals, event)}',
        "return {}",
        "waits",
    ),
    Fault(
        "an early signal answers every wait",
        '"signals": (*state.signals[:index], *state.signals[index + 1 :])}',
        '"signals": state.signals}',
        "waits",
    ),
    Fault(
        "the last signal is taken first",
        "enumerate(state.signals):",
        "reversed(list(enumerate(state.signals))):",
        "waits",
    ),
    Fault("one signal answers twice", "if waits and not execution.answered and not", "if waits and not", "waits"),
    Fault(
        "a late signal undoes the timeout",
        "not execution.answered and not execution.fired:",
        "not execution.answered:",
        "waits",
    ),
    Fault("a late timeout undoes the signal", "return {} if execution.answered else", "return", "waits"),
    Fault("a timer fires where there is none", " and execution.has_timer:\n", ":\n", "waits"),
    # Failing, stopping, cancelling
    Fault(
        "the last reason to stop wins",
        '{"stop": state.stop or event}',
        '{"stop": event}',
    ),
    Fault(
        "a block fails by its first step that failed, not by the first failure",
        "for path in block.failed if not sees_failures(node, rules) else ():",
        "for path in sorted(block.failed if not sees_failures(node, rules) else (), key=block.children.index):",
        "crowds",
    ),
    Fault(
        "a failure keeps the place of an earlier one",
        'news["failed"] = tuple([earlier for earlier in parent.failed if earlier != path])',
        "pass",
        "crowds",
    ),
    Fault(
        "a nested block lives on when its surroundings fail",
        "if (around.failed or around.fired) and _failure_of(state, around, rules) is not None:",
        "if False:",
    ),
    Fault("a nested block lives on when its surroundings stop", "if around.phase is Phase.CANCELLING:", "if False:"),
    Fault(
        "a failed block leaves its siblings running",
        "    if block.open:\n        yield from _cancel(state, block)\n    elif failure",
        "    if failure",
    ),
    Fault(
        "waits are forgotten by a cancel",
        "yield SettleStep(path=path, attempt=execution.attempt, cancelled=True)",
        "pass",
    ),
    Fault("only the first open step is cancelled", "for path in block.open:", "for path in list(block.open)[:1]:"),
    Fault("a step is settled while its body still runs", " or execution.phase is Phase.CANCELLING or", " or"),
    Fault(
        "a cancelled task fails",
        "elif failure is None or (state.stop is not None and not _is_of_an_end(block.path)):",
        "elif failure is None:",
    ),
    Fault(
        "a cancel does not reach the blocks",
        "    if state.stop is not None and not _is_of_an_end(path):\n",
        "    if False:\n",
    ),
    Fault(
        "what was cancelled before its start begins",
        "        if state.stop is not None:\n            return (_fin",
        "        if False:\n            return (_fin",
    ),
    Fault(
        "a deadline cancels",
        'return FinishTask(status="error", failure=failure)',
        'return FinishTask(status="cancelled", failure=failure)',
    ),
    Fault(
        "a stopping block is not closed by its failures",
        "if (block.failed or block.fired) and not closing else None",
        "if block.failed or block.fired else None",
    ),
    Fault("a stopping block tries again", "if not closing and (again := ", "if (again := "),
    # Starting and asking
    Fault(
        "a step starts beside a block that stops",
        "    return ending or refused or commands\n",
        "    return commands\n",
    ),
    Fault(
        "steps start beside one that is refused",
        "    return ending or refused or commands\n",
        "    return ending or commands\n",
    ),
    Fault("every execution is the first one", "counts[name] = counts.get(name, 0) + 1", "counts[name] = 1"),
    Fault(
        "a false condition does not matter",
        "if step.when is not None and not rules",
        "if step.when is None and not rules",
    ),
    Fault(
        "what is skipped does not settle",
        "if after is Phase.SUCCEEDED or after is Phase.SKIPPED:",
        "if after is Phase.SUCCEEDED:",
    ),
    Fault(
        "the document's input is ignored",
        "rules.evaluate(step.input, scope)\n        return StartStep(",
        "given\n        return StartStep(",
    ),
    Fault(
        "an expression sees the first execution of a step",
        "{**parent.latest, step: latest}",
        "{step: latest, **parent.latest}",
    ),
    Fault("a strategy is asked too early", "if not block.open or _is_eager(block, node, rules):", "if True:"),
    Fault(
        "an eager strategy is asked too late",
        "if not block.open or _is_eager(block, node, rules):",
        "if not block.open:",
    ),
    Fault(
        "what is through does not stop the rest",
        "if block.open and isinstance(decision, Finish | Fail):",
        "if False:",
    ),
    Fault(
        "a block finishes while it is open",
        "        yield StopBlock(path=block.path)\n        return\n",
        "        pass\n",
    ),
    # Failures that are seen, and plans
    Fault(
        "a failure that is seen fails the block all the same",
        "block.failed if not sees_failures(node, rules) else ():",
        "block.failed:",
        "crowds",
    ),
    Fault("a failure is shown and stays", 'news = {"failed": left, "given_up"', 'news = {"given_up"', "crowds"),
    Fault("a nested block that failed is not seen", "return (GiveUp(path=path),) if", "return () if", "crowds"),
    Fault(
        "what could be tried again is given up",
        "yield retry_of(state, execution) or GiveUp(path=path)",
        "yield GiveUp(path=path)",
        "crowds",
    ),
    Fault(
        "a failure is seen as a success", '**settled(parent, child, "failed")', '**settled(parent, child, "succeeded")'
    ),
    Fault(
        "a failure that is seen says no more why", "output=child.output, failure=child.failure)", "output=child.output)"
    ),
    Fault(
        "a plan takes the place of the steps",
        '{"node": node.with_steps(steps)',
        '{"node": replace(node, {"steps": steps})',
    ),
    Fault("plans are not counted", '"expansions": block.expansions + 1', '"expansions": 0'),
    # Items
    Fault(
        "one item too many at a time", "begun + foreach.max_parallel - len", "begun + 1 + foreach.max_parallel - len"
    ),
    Fault(
        "outputs are in the order in which items end",
        "[child.output for child in _children(state, block)]",
        "[result.output for result in block.results]",
    ),
    Fault(
        "an item sees the one before",
        '"item": items[index], "index": index}',
        '"item": items[index - 1], "index": index}',
    ),
    Fault(
        "an item of a nested block is that of its place",
        "around.input[number - 1], number - 1",
        "around.input[0], number - 1",
    ),
    Fault(
        "one item of two is enough",
        "foreach.join if isinstance(foreach.join, int) else total",
        "1 if isinstance(foreach.join, int) else total",
    ),
    Fault("failures of items are not counted", '"given_up": parent.given_up + 1, ', ""),
    Fault(
        "the last item is left out", "until = min(len(items), begun", "until = min(len(items) - (len(items) > 2), begun"
    ),
    # Failures that are caught, and ends
    Fault(
        "the last clause takes a failure",
        "enumerate(node.catch, start=1):",
        "reversed(list(enumerate(node.catch, start=1))):",
        "ends",
    ),
    Fault(
        "a clause takes every failure", "            if clause.takes(by.failure):\n", "            if True:\n", "ends"
    ),
    Fault(
        "what was caught fails all the same",
        "yield end(state, block, node, FinishBlock(path=block.path, output=handler.output))",
        "yield end(state, block, node, FailBlock(path=block.path, failure=block.failure))",
        "ends",
    ),
    Fault(
        "a catch goes on in a stopped task",
        "    if stops:\n        return (end_uncaught",
        "    if False:\n        return (end_uncaught",
        "ends",
    ),
    Fault(
        "a caught block fails by what failed before",
        '"clause": event.clause, "failed": ()}',
        '"clause": event.clause}',
        "ends",
    ),
    Fault(
        "`finally` is left out after a failure",
        "if node.final is None and not undoes:",
        "if (node.final is None or isinstance(by, FailBlock)) and not undoes:",
        "ends",
    ),
    Fault(
        "`finally` runs before all is undone",
        "if undoes and undone < len(state.undoable):",
        "if undoes and undone < len(state.undoable) and (node.final is None or final in state.blocks):",
        "ends",
    ),
    Fault(
        "the first is undone first", "path = state.undoable[-number]\n", "path = state.undoable[number - 1]\n", "ends"
    ),
    Fault(
        "a step that failed is undone, too",
        '"blocks": _told(state.blocks, before, execution)}\n    if after is Phase.SUCCEEDED and',
        '"blocks": _told(state.blocks, before, execution)}\n    if not after.is_open and',
        "ends",
    ),
    Fault(
        "what is done is undone when all is well",
        'block.path == ROOT and block.ending != "succeeded" and not block.fired',
        "block.path == ROOT and not block.fired",
        "ends",
    ),
    Fault(
        "an end is not limited after a cancel",
        "if block.phase is Phase.ENDING and stops and block.delay is None:",
        "if False:",
        "ends",
    ),
    Fault("an end goes on beyond its limit", "return around.fired  # a cancel", "return False  # a cancel", "ends"),
    Fault(
        "a `finally` that fails is no matter",
        "elif final in state.blocks and (failure",
        "elif False and (failure",
        "ends",
    ),
    Fault(
        "the workflow itself has no time limit",
        "input=state.input, delay=node.timeout, revision",
        "input=state.input, revision",
    ),
    Fault("a block that is late goes on", "return timed_out(node) if block.fired else None", "return None"),
    # Approvals
    Fault(
        "the second answer counts",
        "    if execution.answered or execution.fired:\n        return {}\n    output",
        "    output",
        "waits",
    ),
    Fault("an answer says nothing but yes or no", '{**event.answers, "approved"', '{"approved"', "waits"),
    Fault(
        "nobody's answer is a yes",
        '"approved": body.on_timeout == "approve"',
        '"approved": body.on_timeout == "reject"',
        "waits",
    ),
    Fault("what is told is not kept", '"output": event.payload, ', "", "waits"),
    # Children
    Fault(
        "a claim runs a child again",
        "if execution.phase.has_body else execution",
        "if execution.phase.has_body or execution.phase.has_child else execution",
        "children",
    ),
    Fault(
        "a child holds its parent's worker",
        'self.has_body = word in ("running", "cancelling")',
        'self.has_body = word in ("running", "cancelling", "dispatched")',
        "children",
    ),
    Fault("the end of a child is not heard", " or self.has_child or word", " or word", "children"),
    Fault(
        "a child is not told to end",
        "if execution.phase is Phase.RUNNING or execution.phase is Phase.DISPATCHED:\n            yield CancelStep",
        "if execution.phase is Phase.RUNNING:\n            yield CancelStep",
        "children",
    ),
    Fault(
        "a child that was told to end is told again, or left behind",
        " or execution.phase is Phase.RECALLED:",
        ":",
        "children",
    ),
    Fault(
        "a child that ended itself is only gone",
        " or execution.phase is Phase.DISPATCHED:\n            # Nothing stops here",
        ":\n            # Nothing stops here",
        "children",
    ),
    Fault(
        "a step with a queue runs where its task does",
        "        return next_child(step, execution)\n",
        "        pass\n",
        "children",
    ),
    Fault(
        "a step with a queue begins where its task does",
        "if step.dispatch is None and isinstance(body, Call):",
        "if isinstance(body, Call):",
        "children",
    ),
    Fault(
        "a later child has no key",
        "_input(execution.input), execution.concurrency_key)",
        "_input(execution.input), None)",
        "children",
    ),
    Fault(
        "a child's attempts are not counted",
        "attempt=execution.attempt + 1, try",
        "attempt=execution.attempt, try",
        "children",
    ),
    Fault(
        "a child gets any input",
        '    raise _unfit(f"it runs',
        '    return value\n    raise _unfit(f"it runs',
        "children",
    ),
    Fault("children are not limited", "else concurrency.limit,", "else None,", "children"),
    Fault(
        "a child has the time of a step",
        "body.timeout if isinstance(body, WorkflowCall) else step.timeout",
        "step.timeout",
        "children",
    ),
    Fault(
        "a child begins beside a block that stops",
        "    | DispatchChild\n    | StartWait",
        "    | StartWait",
        "children",
    ),
    Fault(
        "a failed child is not tried again",
        "AgentCall | ToolCall | WorkflowCall):\n        return None",
        "AgentCall | ToolCall):\n        return None",
        "children",
    ),
    Fault(
        "the parent knows its first child only",
        '        "child": event.execution_id,\n',
        '        "child": fresh.id,\n',
        "children",
    ),
    # The end
    Fault("a finished task goes on", "    if state.finished is not None:\n        return ()\n", ""),
    Fault("a finished task changes", "{} if state.finished is not None else _EVOLVE", "_EVOLVE"),
    Fault(
        "late events have no number",
        'news["seq"] = state.seq + 1',
        'news["seq"] = state.seq + bool(news)',
    ),
    Fault("a failed root is done", "    if root.phase is Phase.FAILED:\n", "    if False:\n"),
    Fault(
        "a broken output template raises",
        "        except StepError as error:\n            return FinishTask(",
        "        except ZeroDivisionError as error:\n            return FinishTask(",
    ),
)


@contextmanager
def faulty(fault: Fault) -> Iterator[Core]:
    """A copy of the two packages, loaded beside the real ones, with the fault in it."""
    assert sum(source.count(fault.old) for source in SOURCES.values()) == 1, f"has to be there once: {fault.old!r}"
    finder = _Copies({_renamed(name): _renamed(fault.patch(source)) for name, source in SOURCES.items()})
    sys.meta_path.insert(0, finder)
    try:
        own_state, own_interpreter = import_module("faulty_state"), import_module("faulty_interpreter")
        assert own_interpreter.decide is not interpreter.decide
        yield Core(lambda workflow: own_state.State(workflow=workflow), own_state.evolve, own_interpreter.decide)
    finally:
        sys.meta_path.remove(finder)
        for name in finder.sources:
            sys.modules.pop(name, None)


def _renamed(text: str) -> str:
    return text.replace("agentplat.domain.state", "faulty_state").replace(
        "agentplat.domain.interpreter", "faulty_interpreter"
    )


class _Copies(MetaPathFinder, InspectLoader):
    """Imports modules from texts."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname not in self.sources:
            return None
        return ModuleSpec(fullname, self, is_package=self.is_package(fullname))

    def get_source(self, fullname: str) -> str:
        return self.sources[fullname]

    def is_package(self, fullname: str) -> bool:
        return "." not in fullname
