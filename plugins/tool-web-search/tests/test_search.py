"""What is asked, and what comes back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from subprocess import run

import pytest
from agentplat_testkit import StepHarness
from agentplat_tool_web_search.plugin import agentplat_tools
from agentplat_tool_web_search.results import plain
from agentplat_tool_web_search.schema import Input, Result, Settings
from agentplat_tool_web_search.tool import WebSearch
from pydantic import ValidationError

from agentplat import JsonValue, StepError, ToolContext

from .conftest import KEY
from .fake import Answer, FakeServer, found, row


def context(
    *,
    config: Mapping[str, JsonValue] | None = None,
    settings: Mapping[str, JsonValue] | None = None,
    deadline: float = 30.0,
) -> ToolContext:
    """The engine's own context, with so many seconds left."""
    harness = StepHarness(tools=[WebSearch()], config=config, settings=settings, timeout=deadline)
    return harness.tool_context(WebSearch.name)


async def search(server: FakeServer, query: str = "leases", count: int = 5) -> list[Result]:
    output = await WebSearch().execute(Input(query=query, count=count), context(config={"base_url": server.url}))
    return output.results


async def test_the_query_goes_to_the_service_with_the_key_in_its_header(server: FakeServer) -> None:
    await search(server, "  löse & pay = 100% \u2028?  ", 7)

    (received,) = server.received
    assert (received.method, received.path) == ("GET", "/res/v1/web/search")
    assert received.query == {"q": "löse & pay = 100% \u2028?", "count": "7", "text_decorations": "false"}
    assert received.headers["x-subscription-token"] == KEY


async def test_results_are_plain_text_in_the_order_of_the_service(server: FakeServer) -> None:
    server.answer = found(
        row("First &amp; best", "https://example.org/a?b=1#c", "Says <strong>lease</strong>&nbsp;&lt; 5&#39;s."),
        row("Second", "http://example.org/"),
    )

    assert await search(server) == [
        Result(title="First & best", url="https://example.org/a?b=1#c", description="Says lease < 5's."),
        Result(title="Second", url="http://example.org/", description=""),
    ]


async def test_rows_that_lead_nowhere_are_left_out(server: FakeServer) -> None:
    server.answer = found(
        *(
            row("x", url)
            for url in (
                *(
                    "javascript:alert(1)",
                    "file:///etc/passwd",
                    "ftp://example.org/",
                    "data:text/html,x",
                    "//example.org",
                ),
                *(
                    "",
                    "https://",
                    "https://[::1",
                    "https://example.org/a b",
                    "https://example.org/\n",
                    "HTTPS",
                    "/path",
                ),
                "https://example.org/" + "x" * 3000,
            )
        ),
        *(None, 7, "text", [], {}, {"url": 7}, {"url": "https://example.org", "title": 7}),
        row("Good", "HTTPS://example.org/"),
    )

    assert [result.title for result in await search(server)] == ["Good"]


async def test_never_more_results_than_asked_for(server: FakeServer) -> None:
    server.answer = found(*(row(f"{n}", f"https://example.org/{n}") for n in range(20)))

    assert [result.title for result in await search(server, count=3)] == ["0", "1", "2"]


async def test_a_result_without_a_title_is_called_by_its_address(server: FakeServer) -> None:
    server.answer = found(row("<b></b> ", "https://example.org/"))

    assert (await search(server))[0].title == "https://example.org/"


@pytest.mark.parametrize(
    "body", [b'{"type": "search"}', b'{"type": "search", "web": null}', b'{"type": "search", "web": {}}']
)
async def test_a_search_without_hits_has_no_results(server: FakeServer, body: bytes) -> None:
    server.answer = Answer(chunks=[body])

    assert await search(server) == []


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a <b>b</b><br/>c", "a bc"),
        ("one\n\t two\x00\x1b[31m\u2028three", "one two [31m three"),
        ("<script>alert(1)</script>seen<style>p{}</style>!", "seen!"),
        ("&lt;em&gt; &amp;amp; &#x1F600;", "<em> &amp; \U0001f600"),
        ("<a href='javascript:x' onclick=y>link</a>", "link"),
        ("a < b and <3", "a < b and <3"),
    ],
)
def test_tags_are_stripped_and_entities_read(markup: str, expected: str) -> None:
    assert plain(markup, 100) == expected


def test_text_is_cut_to_its_bound() -> None:
    assert plain("word " * 100, 12) == "word word w…"
    assert len(plain("<b>" * 100_000 + "x" * 100_000, 2000)) <= 2000


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"query": ""},
        {"query": "   "},
        {"query": "x" * 401},
        {"query": "word " * 51},
        {"query": "\ud800"},
        {"query": 7},
        {"query": "x", "count": 0},
        {"query": "x", "count": 21},
        {"query": "x", "count": 1.5},
        {"query": "x", "page": 2},
    ],
)
def test_what_the_service_would_not_take_does_not_fit(given: dict[str, JsonValue]) -> None:
    with pytest.raises(ValidationError):
        Input.model_validate(given)


def test_only_the_query_is_required() -> None:
    assert Input.model_json_schema()["required"] == ["query"]
    assert Input.model_validate({"query": "x"}).count == 5


def test_the_tool_reads_and_is_offered_as_that() -> None:
    (spec,) = agentplat_tools()

    assert (spec.name, spec.effect) == ("web_search", WebSearch.effect) == (WebSearch.name, "reads")


async def test_the_address_comes_from_the_entry_else_from_the_settings_of_the_project(server: FakeServer) -> None:
    elsewhere = "http://127.0.0.1:1"

    await WebSearch().execute(
        Input(query="x"), context(config={"base_url": server.url + "/"}, settings={"base_url": elsewhere})
    )
    await WebSearch().execute(Input(query="x"), context(settings={"base_url": server.url}))

    assert [received.path for received in server.received] == ["/res/v1/web/search"] * 2
    assert Settings().base_url == "https://api.search.brave.com/res/v1"


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "ftp://example.org"},
        {"base_url": "https://user:SECRET@example.org"},
        {"base_url": "https://example.org?token=SECRET"},
        {"base_url": "https://[::1"},
        {"base_url": 7},
        {"baseurl": "https://example.org"},
    ],
)
async def test_settings_that_do_not_fit_are_refused_by_name(settings: dict[str, JsonValue]) -> None:
    with pytest.raises(StepError) as caught:
        await WebSearch().execute(Input(query="x"), context(settings=settings))

    failure = caught.value.failure
    assert (failure.code, failure.retryable) == ("refused", False)
    assert next(iter(settings)) in failure.message
    assert "SECRET" not in failure.message


def test_the_light_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, agentplat_tool_web_search.plugin as plugin; plugin.agentplat_tools();"
        "print(sorted({'asyncio', 'genai_prices', 'httpx', 'pydantic', 'ssl'} & set(sys.modules)))"
    )

    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
