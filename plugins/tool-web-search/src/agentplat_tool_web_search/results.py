"""From the body of an answer to results: plain text, web addresses, bounded sizes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from agentplat import FailureCode
from agentplat_tool_web_search.failures import failure
from agentplat_tool_web_search.schema import Result

__all__ = ["plain", "read"]

MAX_TITLE, MAX_DESCRIPTION, MAX_URL = 300, 2_000, 2_048  # characters
_MAX_MARKUP = 20_000  # characters that are looked at before tags are stripped
_HIDDEN = frozenset({"script", "style"})


class _Row(BaseModel):
    url: str
    title: str = ""
    description: str | None = None


class _Web(BaseModel):
    results: list[Any] = []


class _Answer(BaseModel):
    """A search without hits has no `web`; without this `type` it would not be a search at all."""

    type: Literal["search"]
    web: _Web | None = None


def read(body: bytes | None, count: int) -> list[Result]:
    """At most `count` results. Raises StepError `invalid_output`.

    A row that cannot be read, or whose address is not http or https, is left out: the others are still good.
    """
    if body is None:
        raise failure(FailureCode.INVALID_OUTPUT, "the answer is longer than 2 MiB.")
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError:  # dropped below, not chained: its text repeats the body
        answer = None
    if answer is None:
        raise failure(FailureCode.INVALID_OUTPUT, "the answer is not what the Brave Search API sends.")
    rows = answer.web.results if answer.web is not None else []
    found = (_result(row) for row in rows)
    return [result for result in found if result is not None][:count]


def plain(markup: str, limit: int) -> str:
    """The text of a piece of HTML on one line, without tags, scripts and control characters; at most `limit` long."""
    parser = _Text()
    parser.feed(markup[:_MAX_MARKUP])
    parser.close()
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", "".join(parser.parts)).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _result(row: object) -> Result | None:
    try:
        found = _Row.model_validate(row)
    except ValidationError:
        return None
    if not _on_the_web(found.url):
        return None
    title = plain(found.title, MAX_TITLE)
    return Result(title=title or found.url, url=found.url, description=plain(found.description or "", MAX_DESCRIPTION))


def _on_the_web(url: str) -> bool:
    if len(url) > MAX_URL or re.search(r"[\x00-\x20\x7f]", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


class _Text(HTMLParser):
    """Collects text, not that of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 (the parser's signature)
        self._hidden = tag in _HIDDEN

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 (likewise)
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
