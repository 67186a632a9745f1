"""Agents and tools from the project's Python files, imported under private names that follow their content."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from hashlib import sha256
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeAlias

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.plugins.foreign import described
from agentplat.plugins.offers import fault

ProjectSpec: TypeAlias = AgentSpec | ToolSpec


class SourceBroken(Exception):
    """A file cannot be used; the line is that of the project's own code, where it is known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


def specs_in(file: Path) -> list[tuple[ProjectSpec, int]]:
    """Specs of all agents and tools that the file defines, with the lines of their classes. SourceBroken otherwise.

    A class whose name begins with an underscore is a base for others and is passed over.
    """
    try:
        source = file.read_bytes()
        tree = ast.parse(source, str(file))
    except (OSError, SyntaxError, ValueError) as error:
        raise SourceBroken(described(error), getattr(error, "lineno", None)) from error
    lines = {node.name: node.lineno for node in tree.body if isinstance(node, ast.ClassDef)}
    module = _imported(file, source)
    return [
        (_spec(kind, module.__name__, lines.get(kind.__name__, 1)), lines.get(kind.__name__, 1))
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_")
        if issubclass(kind, Agent | Tool)
    ]


def described_by_class(kind: type[Agent[Any, Any] | Tool[Any, Any]], target: str, name: str) -> ProjectSpec:
    """The spec that a class gives by itself: the first line of its docstring, its tools or its effect."""
    description = (kind.__doc__ or "").strip().partition("\n")[0]
    replaces = getattr(kind, "replaces", False) is True
    if issubclass(kind, Agent):
        return AgentSpec(name=name, description=description, factory=target, tools=kind.tools, replaces=replaces)
    return ToolSpec(name=name, description=description, factory=target, effect=kind.effect, replaces=replaces)


def _spec(kind: type[Agent[Any, Any] | Tool[Any, Any]], module: str, line: int) -> ProjectSpec:
    name = getattr(kind, "name", None)
    if name is None:
        raise SourceBroken(f"class {kind.__name__} has no name", line)
    spec = described_by_class(kind, f"{module}:{kind.__name__}", name)
    wrong = fault(spec)
    if wrong is not None:
        raise SourceBroken(f"class {kind.__name__}: {wrong}", line)
    return spec


def _imported(file: Path, source: bytes) -> ModuleType:
    # The same content is the same module, so that its instances outlive a reload; other content never meets the old
    # one in `sys.modules`, nor a `.pyc` whose time stamp is too coarse.
    digest = sha256(str(file).encode() + b"\0" + source).hexdigest()[:16]
    name = f"agentplat_project_{re.sub(r'[^A-Za-z0-9_]', '_', file.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_loader(name, _Source(file, source), origin=str(file))
    assert spec is not None
    module = module_from_spec(spec)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        _Source(file, source).exec_module(module)
    except (Exception, SystemExit) as error:  # the project's code may raise anything
        del sys.modules[name]
        raise SourceBroken(described(error), _line_in(file, error)) from error
    return module


def _line_in(file: Path, error: BaseException) -> int | None:
    """The last line of the file that the error passed through."""
    line, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(file):
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


class _Source(InspectLoader):
    """Runs source that was read already, so that what is run is what was hashed."""

    def __init__(self, file: Path, source: bytes) -> None:
        self._file, self._source = file, source

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - the library's signature
        return self._source.decode("utf-8", errors="replace")

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - the library's signature
        return self.source_to_code(self._source, str(self._file))
