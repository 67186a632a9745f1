"""The table of settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from agentplat.runtime.settings import Price, Settings

from .tables import code, table

_OPEN_TABLES = {"agents": "[agents.<name>]", "tools": "[tools.<name>]", "prices": '[prices."provider:model"]'}


def settings() -> str:
    """Every setting with its key, its variable, its type and its default."""
    return table(("key in `agentplat.toml`", "variable", "values", "default", "meaning"), _rows(Settings, ()))


def _rows(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        path = (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _rows(field.annotation, path)
        elif not above and name in _OPEN_TABLES:
            yield code(_OPEN_TABLES[name]), "", _inside(name), "", field.description or ""
        else:
            key = "" if name == "project" else code(".".join(path))
            variable = code("AGENTPLAT_" + "__".join(path).upper())
            yield key, variable, _values(field), _default(field), field.description or ""


def _inside(name: str) -> str:
    if name != "prices":
        return "keys of its own"
    return "; ".join(f"{code(key)}: {field.description}" for key, field in Price.model_fields.items())


def _values(field: FieldInfo) -> str:
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
    if get_origin(field.annotation) is Literal:
        return ", ".join(code(value) for value in get_args(field.annotation))
    if any(kind is SecretStr for kind in kinds):
        return "secret text, 16 characters or more"
    if any(get_origin(kind) is tuple for kind in (*kinds, field.annotation)):
        return "list of names"
    kind: Any = kinds[0]
    words = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", Path: "folder"}
    return " ".join([words[kind], *_bounds(field)])


def _bounds(field: FieldInfo) -> list[str]:
    told = {"ge": "at least", "gt": "above", "le": "at most"}
    found = [
        (words, getattr(bound, name))
        for bound in field.metadata
        for name, words in told.items()
        if hasattr(bound, name)
    ]
    return [", ".join(f"{words} {value:,.12g}" for words, value in found)] if found else []


def _default(field: FieldInfo) -> str:
    value = field.default
    if value in (None, ()) or field.default_factory is not None:
        return ""
    return code(str(value).lower() if isinstance(value, bool) else value)
