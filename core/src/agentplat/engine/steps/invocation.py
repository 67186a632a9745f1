"""How an agent or a tool is run: types found, input validated, output made JSON, foreign failures made typed."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from agentplat.contracts.agent import Agent
from agentplat.contracts.tool import Tool
from agentplat.domain.errors import StepError
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.json import JsonObject, JsonValue, unstorable, writer
from agentplat.engine.steps.threads import InThread

MAX_OUTPUT_BYTES = 1024 * 1024
_MAX_TEXT = 500
_MAX_MESSAGE = 2000
_MAX_FAULTS = 20

Capability: TypeAlias = Agent[Any, Any] | Tool[Any, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes into a capability and what comes out of it."""

    input: TypeAdapter[Any]
    output: TypeAdapter[Any]


def types_of(cls: type) -> tuple[Any, Any]:
    """The input and output types of an Agent or Tool class. Raises TypeError when it does not name both."""
    base = Agent if issubclass(cls, Agent) else Tool
    arguments = _arguments(cls, base)
    if arguments is None or len(arguments) != 2 or any(map(_is_open, arguments)):
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__} does not say what goes in and what comes out. "
            f"Derive it from {base.__name__}[Input, Output]."
        )
    return arguments[0], arguments[1]


def _is_open(argument: Any) -> bool:
    generic = not isinstance(argument, type) and bool(getattr(argument, "__parameters__", ()))
    return generic or isinstance(argument, TypeVar)


def _arguments(cls: type, base: type) -> tuple[Any, ...] | None:
    for original in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = get_origin(original) or original
        if origin is base:
            return get_args(original) or None
        if isinstance(origin, type) and issubclass(origin, base):
            inherited = _arguments(origin, base)
            given = dict(zip(getattr(origin, "__parameters__", ()), get_args(original), strict=False))
            return inherited and tuple(_filled_in(argument, given) for argument in inherited)
    return None


def _filled_in(argument: Any, given: Mapping[Any, Any]) -> Any:
    if isinstance(argument, TypeVar):
        return given.get(argument, argument)
    variables = getattr(argument, "__parameters__", ())
    return argument[tuple(given.get(variable, variable) for variable in variables)] if variables else argument


@lru_cache(maxsize=1024)
def _signature_of_class(cls: type) -> Signature:
    takes, gives = types_of(cls)
    return Signature(TypeAdapter(takes), TypeAdapter(gives))


def signature_of(capability: Capability) -> Signature:
    """The capability's types, ready to validate. Raises TypeError for a class that does not name them."""
    own = getattr(capability, "signature", None)  # configuration made it: its types are its own
    if isinstance(own, Signature):
        return own
    cls: type = type(capability)
    return _signature_of_class(cls)


def input_schema(capability: Capability) -> dict[str, Any]:
    """JSON Schema of what the capability takes."""
    return signature_of(capability).input.json_schema()


def output_schema(capability: Capability) -> dict[str, Any]:
    """JSON Schema of what the capability gives."""
    return signature_of(capability).output.json_schema(mode="serialization")


async def invoke(
    capability: Capability,
    raw_input: JsonValue,
    ctx: object,
    *,
    name: str | None = None,
    in_thread: InThread = asyncio.to_thread,
) -> JsonValue:
    """The capability's output as JSON. Every failure is a StepError; a cancel goes through.

    Keys of the input that begin with `_` are the platform's own and are left out. `name` is the registered name, which
    an entry may have chosen.
    """
    is_agent = isinstance(capability, Agent)
    code = FailureCode.AGENT_FAILED if is_agent else FailureCode.TOOL_FAILED
    what = f"{'agent' if is_agent else 'tool'} {name or capability.name!r}"
    try:
        signature = signature_of(capability)
        value = _validated(signature.input, raw_input, what)
        result = await _execute(capability, value, ctx, in_thread)
    except StepError:
        raise
    except asyncio.CancelledError:
        if _being_cancelled():
            raise
        # It awaited something that was cancelled by itself; that is its own failure, nobody cancelled the step.
        raise StepError(code, f"The {what} failed: something that it waited for was cancelled.") from None
    # Foreign code may raise anything, and an agent that calls `exit()` must not end the worker.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        raise _typed(error, code, what) from None
    return _as_json(signature.output, result, what)


async def _execute(capability: Capability, value: Any, ctx: Any, in_thread: InThread) -> Any:
    cls: Any = type(capability)
    if is_async(cls):
        return await capability.execute(value, ctx)
    result: Any = await in_thread(capability.execute, value, ctx)
    return await result if inspect.isawaitable(result) else result


@lru_cache(maxsize=1024)
def is_async(cls: Any) -> bool:
    """Whether the `execute` of that class needs no thread."""
    return inspect.iscoroutinefunction(cls.execute)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _typed(error: BaseException, code: FailureCode, what: str) -> StepError:
    leaf = _first_leaf(error)
    if isinstance(leaf, StepError):
        return leaf
    return StepError(code, f"The {what} failed: {described(leaf)}", details={"type": type(leaf).__name__})


def _first_leaf(error: BaseException) -> BaseException:
    """What a task group's member raised is worth more than the wrapping."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def described(error: BaseException) -> str:
    """The type and the text of a foreign exception, short and fit to be kept."""
    if isinstance(error, ValidationError):
        return f"ValidationError: {listed(faults_of(error))}"
    try:
        text = str(error)
    except (Exception, SystemExit):  # noqa: BLE001 - the text of a foreign exception is foreign code
        text = ""
    return f"{type(error).__name__}: {storable_text(text)}" if text else type(error).__name__


def storable_text(text: str, limit: int = _MAX_TEXT) -> str:
    """`text`, shortened, with U+FFFD in place of the characters that a database cannot hold."""
    kept = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join("\ufffd" if char == "\x00" or "\ud800" <= char <= "\udfff" else char for char in kept)


def keepable(failure: Failure) -> Failure:
    """The failure as it can be stored, whatever foreign code put into it."""
    given: object = failure.details
    details: JsonObject = given if isinstance(given, Mapping) and unstorable(given) is None else {}
    if (size := _size(_plain_text(details))) > MAX_OUTPUT_BYTES:
        details = {"left_out": f"{size:,} bytes as JSON; {MAX_OUTPUT_BYTES:,} are allowed"}
    return replace(failure, message=storable_text(failure.message, _MAX_MESSAGE), details=details)


def _validated(adapter: TypeAdapter[Any], raw_input: JsonValue, what: str) -> Any:
    given = public(raw_input)
    wrong = unstorable(given)
    if wrong is not None:
        raise misfit(FailureCode.INVALID_INPUT, f"The input of the {what}", [wrong])
    try:
        # Through text, so that what the capability gets is JSON by JSON's rules, and a copy that it may change.
        return adapter.validator.validate_json(json_text(given))
    except ValidationError as error:
        raise misfit(FailureCode.INVALID_INPUT, f"The input of the {what}", faults_of(error, given)) from None


def input_faults(capability: Capability, raw_input: JsonValue) -> list[tuple[str, str]]:
    """Pairs of JSON pointer and reason for what the capability would refuse; empty when that cannot be told."""
    given = public(raw_input)
    try:
        signature_of(capability).input.validate_json(json_text(given))
    except ValidationError as error:
        return faults_of(error, given)
    except (Exception, SystemExit):  # noqa: BLE001 - types and validators are foreign code; the worker says what is wrong with them
        return []
    return []


def public(value: JsonValue) -> JsonValue:
    """The value without the keys that begin with `_`."""
    if not isinstance(value, Mapping) or not any(str(key).startswith("_") for key in value):
        return value
    return {key: item for key, item in value.items() if not str(key).startswith("_")}


def json_text(value: JsonValue, *, sort_keys: bool = False) -> str:
    """Compact JSON; any Mapping and Sequence is accepted. Raises ValueError for what JSON cannot express."""
    return (_sorted_text if sort_keys else _text)(value)


_text = writer()
_sorted_text = writer(sort_keys=True)
_plain_text = writer(ensure_ascii=False)


def _as_json(adapter: TypeAdapter[Any], result: Any, what: str) -> JsonValue:
    subject = f"The output of the {what}"
    try:
        # Not by the methods of the adapter, which do the same with a dozen arguments more.
        value = adapter.validator.validate_python(result)
        output: JsonValue = adapter.serializer.to_python(value, mode="json", by_alias=True, warnings="error")
        text = _plain_text(output)
        # pydantic writes NaN as null where no type forbids it; a number that silently becomes nothing helps nobody.
        infinite = _infinite(adapter.dump_python(value, by_alias=True)) if "null" in text else None
    except ValidationError as error:
        raise misfit(FailureCode.INVALID_OUTPUT, subject, faults_of(error, result)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - serialisers of a model are foreign code
        raise StepError(
            FailureCode.INVALID_OUTPUT, f"{subject} cannot be written as JSON: {described(error)}"
        ) from None
    if infinite is not None:
        raise misfit(
            FailureCode.INVALID_OUTPUT, subject, [(infinite, "is no finite number, which JSON cannot express")]
        )
    _check_keepable(output, text, subject)
    return output


def _infinite(value: object, pointer: str = "") -> str | None:
    """The JSON pointer of the first NaN or infinity."""
    if isinstance(value, float):
        return None if math.isfinite(value) else pointer
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return None
    found = (_infinite(item, f"{pointer}/{_escaped(str(key))}") for key, item in value.items())
    return next((inner for inner in found if inner is not None), None)


def check_keepable(value: JsonValue, subject: str) -> None:
    """StepError `invalid_output` when the value cannot be kept, or is larger than 1 MiB."""
    wrong = unstorable(value)
    if wrong is not None:
        raise misfit(FailureCode.INVALID_OUTPUT, subject, [wrong])
    _check_size(_plain_text(value), subject)


def _check_keepable(value: JsonValue, text: str, subject: str) -> None:
    wrong = unstorable(value)
    if wrong is not None:
        raise misfit(FailureCode.INVALID_OUTPUT, subject, [wrong])
    _check_size(text, subject)


def _size(text: str) -> int:
    """In bytes, exactly where it matters: a character has four at most, so that hardly any text has to be encoded."""
    return len(text) if len(text) * 4 <= MAX_OUTPUT_BYTES else len(text.encode())


def _check_size(text: str, subject: str) -> None:
    size = _size(text)
    if size > MAX_OUTPUT_BYTES:
        raise StepError(
            FailureCode.INVALID_OUTPUT,
            f"{subject} has {size:,} bytes as JSON; {MAX_OUTPUT_BYTES:,} are allowed. "
            "Keep large content elsewhere, and give back where it is.",
            retryable=False,
            details={"bytes": size, "limit": MAX_OUTPUT_BYTES},
        )


def misfit(code: FailureCode, subject: str, faults: Sequence[tuple[str, str]]) -> StepError:
    """A StepError that names each fault by its JSON pointer. Values are not repeated."""
    errors = [{"pointer": pointer, "detail": reason} for pointer, reason in faults[:_MAX_FAULTS]]
    details: JsonObject = {"errors": errors}
    return StepError(code, f"{subject} does not fit: {listed(faults)}.", details=details)


def listed(faults: Sequence[tuple[str, str]]) -> str:
    """The faults in one line, the first twenty of them."""
    more = f"; and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else ""
    return "; ".join(f"{pointer or '/'} {reason}" for pointer, reason in faults[:_MAX_FAULTS]) + more


_UNSEEN = object()


def faults_of(error: ValidationError, value: object = _UNSEEN) -> list[tuple[str, str]]:
    """Pairs of JSON pointer and reason, without the values. `value` is what was validated, if it is at hand."""
    found = error.errors(include_url=False, include_context=False)
    # The text of a wrong union tag repeats the tag.
    reasons = ("is of no known variant" if e["type"] == "union_tag_invalid" else storable_text(e["msg"]) for e in found)
    return [(_pointer(e, value), reason) for e, reason in zip(found, reasons, strict=True)]


def _pointer(error: ErrorDetails, value: object) -> str:
    """Of pydantic's location the parts that lead into `value`; others name a variant of a union or the like."""
    parts: list[str] = []
    location = error["loc"]
    for at, part in enumerate(location, start=1):
        below = _below(value, part)
        if below is not _UNSEEN:
            value = below
        elif isinstance(value, Mapping):
            # A name that is not there: a missing field, or one that a validator made. A variant of a union has the
            # whole value for its input.
            if at < len(location) or (error["type"] != "missing" and error["input"] == value):
                continue
        elif value is not _UNSEEN:
            continue
        parts.append(str(part))
    return "".join(f"/{_escaped(storable_text(part))}" for part in parts)


def _escaped(name: str) -> str:
    """As RFC 6901 writes a name within a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _below(value: object, part: int | str) -> object:
    if isinstance(value, Mapping):
        return value.get(part, _UNSEEN)
    if isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
        return value[part]
    return _UNSEEN
