"""Expressions evaluated: `${{ }}` in texts, lists and maps becomes what it stands for.

A path such as `input.urls[0]` is looked up here. Everything else is computed by minijinja, which sees the scope through
read-only views, has no functions and no methods, only the filters named in `syntax.py`, and gives its result as JSON
text, so that its fuel meters that too. What comes out is plain, fresh, and never parsed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import minijinja

from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import MAX_DEPTH, JsonValue, unstorable
from agentplat.language.diagnostics import nearest
from agentplat.language.evaluation.guard import ALIKE
from agentplat.language.evaluation.ordering import TESTS, Unlike, alike
from agentplat.language.evaluation.views import View, as_text
from agentplat.language.syntax import CLOSE, OPEN, Expression, Malformed, PathPart, parse, split

FUEL = 100_000
"""For one computed expression: some milliseconds, and about 300 KB of text."""
MAX_COMPUTED = 32
"""Computed expressions in one template."""
MAX_TEXT = 256 * 1024
"""Characters of one text that expressions were put into."""
MAX_OUTPUT = 1024 * 1024
"""Characters of everything that the expressions of one template give, together."""


class ExpressionError(StepError):
    """A permanent failure `invalid_input`: the same expression over the same values fails again.

    `problem` is one of syntax, undefined, type, too_costly, too_large; `undefined` is the path that was not there.
    """

    def __init__(self, problem: str, expression: str, reason: str, undefined: str | None = None) -> None:
        source = expression.strip()
        details: dict[str, JsonValue] = {"problem": problem, "expression": source}
        if undefined is not None:
            details["undefined"] = undefined
        quoted = source if len(source) <= 200 else f"{source[:197]}..."
        if OPEN not in quoted:
            quoted = f"{OPEN} {quoted} {CLOSE}"
        message = f"`{quoted}` cannot be evaluated: {reason}."
        super().__init__(FailureCode.INVALID_INPUT, message, retryable=False, details=details)
        self.problem, self.undefined = problem, undefined


class ExpressionEngine:
    """Evaluates expressions. Holds no state: the same template over the same scope gives the same value."""

    def __init__(self, fuel: int = FUEL) -> None:
        self._environment = _environment(fuel)

    def render(self, template: JsonValue, scope: Mapping[str, JsonValue]) -> JsonValue:
        """`template` with its expressions evaluated. A lone one keeps its type, one inside of a text becomes text.

        Keys are taken as they stand, and so is text without `${{`. Raises ExpressionError.
        """
        return _Rendering(self, scope).render(template)

    def evaluate(self, expression: str, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value of one expression, with or without `${{ }}` around it. Raises ExpressionError."""
        try:
            parsed = parse(expression)
        except Malformed as fault:
            raise _syntax_error(expression, fault) from None
        return _Rendering(self, scope).value(parsed)

    def truth(self, expression: str, scope: Mapping[str, JsonValue]) -> bool:
        """Whether the value is neither false, null, 0 nor empty. Raises ExpressionError."""
        return bool(self.evaluate(expression, scope))

    def names(self, template: JsonValue) -> frozenset[str]:
        """The names of the scope that a template, or the expressions in it, mention. Raises ExpressionError."""
        found: set[str] = set()
        for text in _texts(template):
            found.update(*(piece.roots for piece in _split(text) if isinstance(piece, Expression)))
        return frozenset(found)

    def names_of(self, expression: str) -> frozenset[str]:
        """The names that one expression mentions, with or without `${{ }}` around it. Raises ExpressionError."""
        try:
            return parse(expression).roots
        except Malformed as fault:
            raise _syntax_error(expression, fault) from None

    def compute(self, expression: Expression, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value of an expression that is more than a path, as plain JSON. Raises ExpressionError."""
        watch = _Watch(expression, [])
        absent = sorted(name for name in expression.roots if name not in scope)
        if absent and not expression.asks_for_missing:
            raise _undefined(expression, _Miss((absent[0],), tuple(scope)))
        views = {name: _view(scope[name], (name,), watch) for name in expression.roots if name in scope}

        def ask(question: str) -> object:
            try:
                return self._environment.eval_expr(f"({expression.guarded}) {question}", **views)
            # Foreign code, which may raise what it likes over a value that it did not expect.
            except Exception as error:  # noqa: BLE001
                raise _failure(watch, error) from None

        text = str(ask("| tojson"))
        if watch.missed and not expression.asks_for_missing:
            raise _undefined(expression, watch.missed[0])
        if text == "null" and ask("is none") is not True:
            if ask("is defined") is True:
                raise ExpressionError("type", expression.source, "it gives a number that JSON cannot express")
            raise _undefined(expression, watch.missed[0] if watch.missed else None)
        value: JsonValue = json.loads(text)
        fault = unstorable(value) if "\\u0000" in text else None
        if fault is not None:
            raise ExpressionError("type", expression.source, f"what it gives {fault[1]}")
        return value


def fault_of(expression: Expression) -> Malformed | None:
    """What is wrong with the syntax, as far as that can be told without values; None when nothing is."""
    prefix = OPEN + " "
    try:
        _CHECKER.undeclared_variables_in_str(f"{prefix}{expression.source} {CLOSE}")
    except minijinja.TemplateError as error:
        start = error.range[0] - len(prefix) if error.range else 0
        before = expression.source.encode()[: max(start, 0)].decode(errors="ignore")
        reason = (error.detail or error.message).replace("variable block", "the expression")
        return Malformed(expression.offset + min(len(before), len(expression.source.rstrip())), reason)
    return None


def _environment(fuel: int) -> minijinja.Environment:
    environment = minijinja.Environment(
        fuel=fuel,
        undefined_behavior="strict",
        pycompat=False,  # no methods of texts
        debug=False,
        variable_start_string=OPEN,
        variable_end_string=CLOSE,
    )
    for name in environment.globals:
        environment.remove_global(name)
    for name in _SUPERFLUOUS_FILTERS.split():
        environment.remove_filter(name)
    for name in _SUPERFLUOUS_TESTS.split():
        environment.remove_test(name)
    for name, test in TESTS.items():
        environment.add_test(name, test)
    environment.add_filter(ALIKE, alike)
    return environment


# What minijinja brings and expressions do without: it grows text without bound, builds markup, or reaches for names.
_SUPERFLUOUS_FILTERS = (
    "attr batch chain e escape filesizeformat format indent pluralize pprint random safe slice striptags wordcount"
    " wordwrap xmlattr zip"
)
_SUPERFLUOUS_TESTS = "escaped filter safe sameas test"
_CHECKER = _environment(1)


@dataclass(frozen=True, slots=True)
class _Miss:
    path: tuple[PathPart, ...]
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Watch:
    """What an expression looked for in vain while it was computed."""

    expression: Expression
    missed: list[_Miss]


class _Rendering:
    """One template over one scope; counts what it gives. `depth` is the level at which a value will stand."""

    def __init__(self, engine: ExpressionEngine, scope: Mapping[str, JsonValue]) -> None:
        self._engine, self._scope = engine, scope
        self._computed = 0
        self._given = 0

    def render(self, template: JsonValue, depth: int = 0) -> JsonValue:
        # What nearly every template is made of goes first: a match asks an abstract class, which takes longer.
        cls = type(template)
        if cls is dict:
            return {key: self.render(item, depth + 1) for key, item in template.items()}  # type: ignore[union-attr]
        match template:
            case str() if OPEN in template:
                return self._text(template, depth)
            case Mapping():
                return {key: self.render(item, depth + 1) for key, item in template.items()}
            case list() | tuple():
                return [self.render(item, depth + 1) for item in template]
            case _:
                return template

    def _text(self, template: str, depth: int) -> JsonValue:
        pieces = _split(template)
        if len(pieces) == 1 and isinstance(pieces[0], Expression):
            return self.value(pieces[0], depth)
        texts = [piece if isinstance(piece, str) else as_text(self.value(piece)) for piece in pieces]
        if sum(map(len, texts)) > MAX_TEXT:
            raise ExpressionError("too_large", template, f"the text has more than {MAX_TEXT} characters")
        return "".join(texts)

    def value(self, expression: Expression, depth: int = 0) -> JsonValue:
        if expression.path is not None:
            try:
                return self._copy(_look_up(expression.path, self._scope), expression, depth)
            except LookupError:
                pass  # an index into a text, or nothing there: both are the evaluator's to tell
        self._computed += 1
        if self._computed > MAX_COMPUTED:
            reason = f"one template computes at most {MAX_COMPUTED} expressions"
            raise ExpressionError("too_costly", expression.source, reason)
        return self._copy(self._engine.compute(expression, self._scope), expression, depth)

    def _copy(self, value: JsonValue, expression: Expression, depth: int) -> JsonValue:
        self._given += len(value) if isinstance(value, str) else 4
        if self._given > MAX_OUTPUT or depth > MAX_DEPTH:
            most = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_OUTPUT} characters in all"
            raise ExpressionError("too_large", expression.source, f"it gives more than {most}")
        if type(value) in _SCALARS:
            return value
        match value:
            case Mapping():
                self._given += sum(map(len, value))
                return {key: self._copy(item, expression, depth + 1) for key, item in value.items()}
            case list() | tuple():
                return [self._copy(item, expression, depth + 1) for item in value]
            case None | bool() | int() | float() | str():
                return value
            case _:
                raise ExpressionError(
                    "type", expression.source, f"it gives a {type(value).__name__}, which is not JSON"
                )


_SCALARS = frozenset({type(None), bool, int, float, str})


def _look_up(path: tuple[PathPart, ...], scope: Mapping[str, JsonValue]) -> JsonValue:
    """What stands at `path`. Raises LookupError."""
    value: JsonValue = scope
    for part in path:
        if type(value) is dict:
            value = value[part]
            continue
        match value:
            case Mapping() if isinstance(part, str):
                value = value[part]
            case list() | tuple() if isinstance(part, int):
                value = value[part]
            case _:
                raise LookupError(part)
    return value


def _texts(template: JsonValue) -> Iterator[str]:
    match template:
        case str():
            yield template
        case Mapping():
            for item in template.values():
                yield from _texts(item)
        case list() | tuple():
            for item in template:
                yield from _texts(item)
        case _:
            return


def _split(text: str) -> Sequence[str | Expression]:
    try:
        return split(text)
    except Malformed as fault:
        raise _syntax_error(text, fault) from None


def _view(value: JsonValue, path: tuple[PathPart, ...], watch: _Watch) -> object:
    if len(path) > MAX_DEPTH + 2:
        raise ExpressionError("too_large", watch.expression.source, f"it reads more than {MAX_DEPTH} levels")
    match value:
        case Mapping():
            return _MapView(value, path, watch)
        case list() | tuple():
            return _ListView(value, path, watch)
        case None | bool() | int() | float() | str():
            return value
        case _:
            reason = f"`{_dotted(path)}` is a {type(value).__name__}, which is not JSON"
            raise ExpressionError("type", watch.expression.source, reason)


class _MapView(View):
    __slots__ = ()
    items = None
    """minijinja takes whatever has this attribute for a map; as a value it would be reached by `x.items`."""

    _content: Mapping[str, JsonValue]

    def __getitem__(self, key: str) -> object:
        try:
            return _view(self._content[key], (*self._path, key), self._watch)
        except LookupError:
            self._watch.missed.append(_Miss((*self._path, key), tuple(self._content)))
            raise

    def __iter__(self) -> Iterator[str]:
        # By name: the order in which a map was given does not survive every database.
        return iter(sorted(self._content))


class _ListView(View):
    __slots__ = ()
    _content: Sequence[JsonValue]

    def __getitem__(self, index: int) -> object:
        try:
            return _view(self._content[index], (*self._path, index), self._watch)
        except LookupError:
            self._watch.missed.append(_Miss((*self._path, index), ()))
            raise


Sequence.register(_ListView)  # which is how minijinja tells a list


def _dotted(path: tuple[PathPart, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _undefined(expression: Expression, miss: _Miss | None) -> ExpressionError:
    if miss is None:
        return ExpressionError("undefined", expression.source, "it is not defined", undefined=expression.source.strip())
    place, name = _dotted(miss.path), str(miss.path[-1])
    hint = f" ({nearest(name, miss.known)})" if miss.known else ""
    return ExpressionError("undefined", expression.source, f"`{place}` is not defined{hint}", undefined=place)


def _failure(watch: _Watch, error: Exception) -> ExpressionError:
    source = watch.expression.source
    if isinstance(error, ExpressionError):
        return error
    if isinstance(error, Unlike):
        # What is not there comes as null.
        is_missing = watch.missed and not watch.expression.asks_for_missing
        return (
            _undefined(watch.expression, watch.missed[-1])
            if is_missing
            else ExpressionError("type", source, str(error))
        )
    if not isinstance(error, minijinja.TemplateError):
        return ExpressionError("type", source, f"{type(error).__name__}: {error}")
    match error.kind:
        case "UndefinedError":
            return _undefined(watch.expression, watch.missed[-1] if watch.missed else None)
        case "OutOfFuel":
            return ExpressionError("too_costly", source, "it takes too many steps, or makes too much of its input")
        case kind:
            reason = error.detail or error.message.removesuffix(" (in <expression>:1)")
            if kind in ("SyntaxError", "BadEscape"):
                fault = fault_of(watch.expression)
                return ExpressionError("syntax", source, fault.text if fault is not None else reason)
            # The guard put it there; the author wrote `*`.
            return ExpressionError("type", source, reason if "**" in source else reason.replace("**", "*"))


def _syntax_error(text: str, fault: Malformed) -> ExpressionError:
    hint = f"; {fault.hint}" if fault.hint else ""
    return ExpressionError("syntax", text, f"{fault.text} at character {fault.offset + 1}{hint}")
