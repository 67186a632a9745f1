"""Words of the workflow language, and the codes with which a project's files are refused."""

import ast
from collections.abc import Iterator
from pathlib import Path

import agentplat_analysis

import agentplat.language
import agentplat.plugins.project
from agentplat.language.syntax import FILTERS, TESTS

from .tables import code, table

_REPORTING = {"add", "refuse", "refuse_key", "_refuse", "Diagnostic", "diagnosed"}
_MEANINGS = {
    "alias": "An alias; a document says everything where it is used.",
    "anchor": "An anchor, as above.",
    "control_character": "A character that no text file should have.",
    "cycle": "Steps that wait for each other by `needs`.",
    "duplicate_key": "The same key twice in one map.",
    "duplicate_step": "Two steps of one block with one name.",
    "endless_recursion": "A workflow that calls itself in every task; over others: said by `workflows check`.",
    "expression": "An expression that cannot be read, or that stands where none is evaluated.",
    "invalid_cron": "Not a cron expression of five fields.",
    "invalid_default": "A `default` that its own schema refuses.",
    "invalid_duration": "Not a duration such as `30s` or `1h30m`.",
    "invalid_input": "An input that its agent, tool or workflow does not take; said with agentplat-analysis.",
    "invalid_name": "Not a name: lower-case letters, digits and underscores, with a letter first.",
    "invalid_option": "An option that does not fit what its strategy takes.",
    "invalid_schema": "Not JSON Schema, or not one of an object.",
    "invalid_time": "Not a time such as 2026-03-01T07:00:00Z.",
    "key_not_text": "A key that is a number, a list or a map.",
    "last_good": "A note: the file is at fault, and its last good version stays in use.",
    "misplaced_key": "A key that belongs to another kind of step.",
    "missing_body": "A step that names nothing to do.",
    "missing_key": "An entry without a key that it needs.",
    "missing_name": "A workflow, a wait or a nested block without a name.",
    "missing_option": "An option that the strategy needs.",
    "no_steps": "A block without steps.",
    "not_readable": "The file cannot be read.",
    "not_supported": "A part of JSON Schema that is not followed.",
    "not_usable": "A Python file or an offer that cannot be used; the text says why.",
    "not_utf8": "The file is not UTF-8.",
    "number": "A number that cannot be kept exactly.",
    "out_of_range": "A number or duration outside of its bounds.",
    "reserved_name": "A name in a form that every answer has already.",
    "several_documents": "More than one YAML document in a file.",
    "tag": "A custom tag.",
    "text": "A text that cannot be kept.",
    "too_large": "More than 256 KiB, 32 levels or 5,000 nodes.",
    "two_keys": "Two keys of which only one can be meant.",
    "unknown_agent": "An agent that is not installed.",
    "unknown_backoff": "Not `exponential`, `linear` or `constant`.",
    "unknown_catch_up": "Not `skip`, `last` or `all`.",
    "unknown_class": "A class that cannot be imported, or is no agent or tool.",
    "unknown_convergence_check": "A check that is not installed.",
    "unknown_failure": "Not a code of a failure, nor a group of them.",
    "unknown_filter": "A filter that expressions do not have.",
    "unknown_join": "Not `all`, `settled`, `any` or `{n_of: 2}`.",
    "unknown_key": "A key that does not exist here.",
    "unknown_on_timeout": "Not `reject`, `approve` or `fail`.",
    "unknown_strategy": "A strategy that is not installed.",
    "unknown_option": "An option that the strategy does not take.",
    "unknown_step": "An expression, or `needs`, names a step that the block does not have.",
    "unknown_test": "A test that expressions do not have.",
    "unknown_timezone": "A timezone that does not exist.",
    "unknown_tool": "A tool that nobody has.",
    "unknown_model": "A model whose provider is not installed.",
    "unknown_type": "A type that the short form of `input` does not have.",
    "unknown_value": "An expression names a value that is not in scope.",
    "unreachable_catch": "A clause of `catch` that earlier ones leave nothing to; said with agentplat-analysis.",
    "unreachable_step": "A step that can never start, since what it needs comes after it.",
    "unknown_workflow": "A workflow that is not installed.",
    "unsafe_retry": "A retry of a tool that acts at most once; said with agentplat-analysis.",
    "wrong_body": "A step with two things to do, or a wait with none.",
    "wrong_type": "A text where a map is expected, and the like.",
    "yaml_syntax": "Not YAML.",
}


def filters() -> str:
    """The filters and tests that expressions know."""
    return f"- filters: {_listed(FILTERS)}\n- tests, after `is`: {_listed(TESTS)}"


def _listed(words: frozenset[str]) -> str:
    return ", ".join(map(code, sorted(words)))


def diagnostics() -> str:
    """Every code of a diagnostic."""
    without_words = set(_codes()) - set(_MEANINGS)
    assert not without_words, f"say what these codes mean, in {__file__}: {without_words}"
    return table(("code", "meaning"), [(code(name), _MEANINGS[name]) for name in sorted(_MEANINGS)])


def _codes() -> Iterator[str]:
    for package in (agentplat.language, agentplat.plugins.project, agentplat_analysis):
        for file in sorted(Path(next(iter(package.__path__))).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args:
                    yield from _reported(node)


def _reported(call: ast.Call) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    if name in _REPORTING:
        yield from (text for text in texts[:1] if isinstance(text, str) and text.isidentifier())
    elif name == "known":
        yield from (f"unknown_{text}" for text in texts[:1] if isinstance(text, str))
