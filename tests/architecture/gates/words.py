"""One word per thing: names that we define are checked against the glossary of the architecture page."""

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .tree import Source, sources

GLOSSARY = {
    "job": "task",
    "jobs": "task",
    "queued": "pending",
    "completed": "done",
    "pipeline": "workflow",
    "flow": "workflow",
    "dag": "workflow",
    "stage": "step",
    "activity": "step",
    "orchestrator": "strategy",
    "bot": "agent",
    "skill": "agent",
    "action": "tool or command",
    "lock": "lease",
    "locks": "lease",
    "acquire": "claim",
    "trail": "journal",
    "callback": "signal",
    "suspend": "park",
    "graceful": "drain",
    "shutdown": "drain",
    "reaper": "sweeper",
    "janitor": "sweeper",
    "account": "user or tenant",
    "extension": "plugin",
    "manager": "the thing that it does",
    "helper": "the thing that it does",
    "helpers": "the thing that it does",
    "util": "the thing that it does",
    "utils": "the thing that it does",
    "data": "what the data are",
    "info": "what is told",
}
NOUNS = {"run", "runs"}  # a verb at the front is welcome: run_body; as a thing it is a task or an attempt
MAKES_NOUN = {"id", "ids", "state", "status", "number", "count", "name"}  # run_id
TOO_VAGUE = {"process", "handle"}  # as the whole name of a function
# Glossary words that mean something else beside their forbidden sense, and so cannot be told by name alone:
# message (of a model, of an error), topic (input of research_assessment), backend (a database), log (ctx.log),
# trace (trace_id is a wire name), plugin (forbidden for a tool only).

FIXED = {
    # (end of the path, name): why it cannot be another
    ("contracts/agent.py", "info"): "the level's name in every logging library",
    ("contracts/store.py", "action"): "the audit's word for what somebody did",
    ("isolation/body.py", "info"): "as in contracts/agent.py",
    ("store/tables.py", "action"): "as above",
    ("agentplat_testkit/fakes.py", "info"): "as in contracts/agent.py",
    ("agentplat_tool_web_search/results.py", "handle_data"): "html.parser calls it",
    ("agentplat_tool_web_search/results.py", "data"): "html.parser names it",
    ("plugins/host.py", "manager"): "pluggy's word for what it keeps hooks in",
    ("plugins/discovery.py", "manager"): "stevedore's word for what it finds entry points with",
}


@dataclass(frozen=True)
class Name:
    kind: str  # module, class, function, argument, attribute, state, table
    text: str
    where: str
    path: Path


def parts(name: str) -> list[str]:
    """`parkedTaskID_2` is parked, task, id, 2."""
    return re.findall(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+|\d+", name.strip("_"))


def defined_names(source: Source) -> Iterator[Name]:
    yield Name("module", source.path.stem, f"{source.path}:1", source.path)
    for node in ast.walk(source.tree):
        for kind, text, at in (*_defined_by(node), *_assigned_in(node)):
            yield Name(kind, text, source.where(at), source.path)


def _defined_by(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    match node:
        case ast.ClassDef(name=name):
            yield "class", name, node
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield "function", name, node
        case ast.arg(arg=name):
            yield "argument", name, node
        case ast.Call(func=ast.Name(id="Table" | "Column" | "Index"), args=[ast.Constant(value=str(name)), *_]):
            yield "table", name, node
        case _:
            pass


def _assigned_in(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    """Attributes: what is assigned in the body of a class or a module, and what is assigned to `x.y`."""
    match node:
        case ast.ClassDef() | ast.Module():
            kind = "state" if isinstance(node, ast.ClassDef) and _names_states(node) else "attribute"
            names = (target for statement in node.body for target in _targets(statement))
            yield from ((kind, name.id, name) for name in names if isinstance(name, ast.Name))
        case ast.stmt():
            yield from (("attribute", to.attr, to) for to in _targets(node) if isinstance(to, ast.Attribute))
        case _:
            pass


def _names_states(node: ast.ClassDef) -> bool:
    is_enum = any("Enum" in ast.unparse(base) for base in node.bases)
    return is_enum and not {"State", "Status"}.isdisjoint(parts(node.name))


def _targets(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Assign(targets=targets):
            return targets
        case ast.AnnAssign(target=target):
            return [target]
        case _:
            return []


def objection(name: Name) -> str | None:
    """What is wrong with a name; None when nothing is."""
    words = [part.lower() for part in parts(name.text)]
    for word in words:
        if word in GLOSSARY:
            return f"say {GLOSSARY[word]}"
    is_verb = name.kind == "function" or (name.kind == "module" and "cli" in name.path.parts)
    if not is_verb and _is_noun_run(words):
        return "say task or attempt"
    if name.kind == "function" and name.text in TOO_VAGUE:
        return "say what it does"
    if name.kind == "class" and words[:1] == ["base"]:
        return "say what it is"
    if name.kind == "state" and "failed" in words:
        return "say error"
    return None


def _is_noun_run(words: list[str]) -> bool:
    is_last = words[-1:] and words[-1] in NOUNS
    return bool(is_last) or any(word in NOUNS and after in MAKES_NOUN for word, after in itertools.pairwise(words))


def wrong_words(root: Path, fixed: dict[tuple[str, str], str] = FIXED) -> list[str]:
    """Names that are not in the glossary's words, and exemptions that nothing uses any more."""
    found = []
    used = set()
    for source in sources(root):
        for name in defined_names(source):
            reason = objection(name)
            exempt = next((key for key in fixed if name.text == key[1] and str(name.path).endswith(key[0])), None)
            if reason and exempt:
                used.add(exempt)
            elif reason:
                found.append(f"{name.where}: {name.kind} {name.text}: {reason}")
    return found + [
        f"exemption {path}: {text} is not used any more" for path, text in fixed if (path, text) not in used
    ]
