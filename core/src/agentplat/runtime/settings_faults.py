"""What is wrong with the settings, in words that name the place and the nearest known key, and never a value."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from agentplat.domain.errors import SettingsInvalid


def settings_invalid(
    error: ValidationError,
    model: type[BaseModel],
    file: Path,
    written: Mapping[str, object],
    flags: Mapping[str, object],
) -> SettingsInvalid:
    """One error for all faults."""
    faults = [
        _line(model, fault["loc"], fault["type"], fault["msg"], file, written, flags)
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return SettingsInvalid("The settings cannot be used:\n" + "\n".join(faults))


def _line(
    model: type[BaseModel],
    loc: tuple[int | str, ...],
    kind: str,
    message: str,
    file: Path,
    written: Mapping[str, object],
    flags: Mapping[str, object],
) -> str:
    keys = [str(key) for key in loc]
    match kind:
        case "extra_forbidden":
            known = _keys_beside(model, keys)
            nearest = get_close_matches(keys[-1], known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
            message = f"no setting has this name; {hint}"
        case "missing":
            message = f"{keys.pop()!r} is missing"
        case "value_error":
            message = message.removeprefix("Value error, ")
    return f"{_place(keys, file, written, flags)}: {message}"


def _place(keys: list[str], file: Path, written: Mapping[str, object], flags: Mapping[str, object]) -> str:
    if keys[0] in flags:
        return f"--{keys[0].replace('_', '-')}"
    found: object = written
    for key in keys:
        if isinstance(found, list | tuple):
            break
        if not isinstance(found, Mapping) or key not in found:
            return "AGENTPLAT_" + "__".join(keys).upper()
        found = found[key]
    return f"{file}: {'.'.join(keys)}"


def _keys_beside(model: type[BaseModel], keys: list[str]) -> list[str]:
    """The names that are known at the place of the last key."""
    for key in keys[:-1]:
        field = model.model_fields.get(key)
        if field is None:
            continue  # the free name of a table, as in `prices."provider:model"`
        candidates = (field.annotation, *get_args(field.annotation))
        model = next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return sorted(set(model.model_fields) - {"project"})
