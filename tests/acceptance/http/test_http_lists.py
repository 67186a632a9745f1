"""Lists: filters, pages and search. A page is never lost and never shown twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import uuid4

import pytest
import requests

from .processes import Server

TASKS = 250
ODD = [
    "100% sure",
    "under_score",
    "back\\slash",
    "a 'single' quote",
    'a "double" quote',
    "semi;colon -- comment",
    "a\nnew line and\ttab",
    "Grüße aus Köln",
    "🙂 smiles",
    "[brackets] {braces} $1 :name",
    "slash / and */",
]


class Listed:
    """What one user sees: 250 tasks of two tenants and three types, that nobody works on."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url
        self.user_hash = str(self.submit(0)["user_id_hash"])
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.submit, range(1, TASKS)))

    def submit(self, n: int) -> dict[str, Any]:
        kinds: list[tuple[str, dict[str, Any]]] = [
            ("agent:echo", {"n": n}),
            ("tool:calculator", {"expression": f"{n} + 1"}),
            ("workflow:spoken", {"text": ODD[n % len(ODD)]}),
        ]
        kind, given = kinds[n % 3]
        return self.server.submit(kind, given, tenant_id=f"tenant{n % 2}", user_id="lister@example.org")

    def get(self, path: str, **parameters: Any) -> requests.Response:
        return self.server.get(path, user_id_hash=self.user_hash, **parameters)


@pytest.fixture(scope="session")  # as the server: a process may run this module in two pieces
def listed(idle: Server) -> Listed:
    return Listed(idle)


def pages(listed: Listed, **parameters: Any) -> Iterator[list[dict[str, Any]]]:
    """Page after page, by the links alone."""
    answer = listed.get("/tasks", **parameters)
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()
        if "next" not in answer.links:
            return
        answer = listed.server.session.get(urljoin(answer.url, answer.links["next"]["url"]), timeout=30)


@pytest.mark.parametrize("limit", [7, 50, 99, 125, 250, 1000])
def test_paging_gives_each_task_exactly_once_newest_first(listed: Listed, limit: int) -> None:
    found = list(pages(listed, limit=limit))

    assert all(len(page) <= limit for page in found)
    assert all(len(page) == limit for page in found[:-1])
    tasks = [task for page in found for task in page]
    ids = [task["id"] for task in tasks]
    assert len(ids) == len(set(ids)) == TASKS
    assert [task["id"] for task in listed.get("/tasks", limit=1000).json()] == ids
    assert ids == sorted(ids, reverse=True)


def test_tasks_that_come_while_somebody_pages_disturb_nobody(listed: Listed) -> None:
    server = listed.server
    of_one = f"page{uuid4()}"  # others may have made more than fit a page

    def submit() -> None:
        server.submit("agent:echo", {"n": 1}, tenant_id=of_one)

    for _ in range(130):
        submit()
    before = {task["id"] for task in server.get("/tasks", limit=1000, tenant_id=of_one).json()}
    assert len(before) == 130
    seen: list[str] = []
    answer = server.get("/tasks", limit=30, tenant_id=of_one)
    while "next" in answer.links:
        seen += [task["id"] for task in answer.json()]
        submit()
        answer = server.session.get(urljoin(answer.url, answer.links["next"]["url"]), timeout=30)
    seen += [task["id"] for task in answer.json()]
    assert len(seen) == len(set(seen))
    assert before == set(seen)


def test_the_default_page_has_a_hundred_tasks_and_a_link(listed: Listed) -> None:
    answer = listed.get("/tasks")
    assert len(answer.json()) == 100
    assert set(parse_qs(urlsplit(answer.links["next"]["url"]).query)) == {"cursor", "user_id_hash"}


def test_a_link_keeps_what_was_asked_for(listed: Listed) -> None:
    asked = {"tenant_id": "tenant1", "type": "agent:echo", "status_filter": "pending", "limit": 10, "q": "1"}
    answer = listed.get("/tasks", **asked)
    kept = parse_qs(urlsplit(answer.links["next"]["url"]).query)
    assert {name: [str(value)] for name, value in asked.items()}.items() <= kept.items()
    for page in pages(listed, **asked):
        assert {(task["tenant_id"], task["type"], task["status"]) for task in page} <= {
            ("tenant1", "agent:echo", "pending")
        }


def test_filtered_pages_give_each_task_exactly_once(listed: Listed) -> None:
    tasks = [task for page in pages(listed, limit=11, tenant_id="tenant0", type="workflow:spoken") for task in page]
    expected = [n for n in range(TASKS) if n % 2 == 0 and n % 3 == 2]
    assert len({task["id"] for task in tasks}) == len(tasks) == len(expected)


def test_a_cursor_of_no_task_is_a_place_all_the_same(listed: Listed) -> None:
    assert listed.get("/tasks", cursor="00000000-0000-0000-0000-000000000000").json() == []
    newest = listed.get("/tasks", cursor="ffffffff-ffff-ffff-ffff-ffffffffffff", limit=1).json()
    assert newest == listed.get("/tasks", limit=1).json()


@pytest.mark.parametrize("text", ODD)
def test_a_search_finds_what_it_says_and_nothing_else(listed: Listed, text: str) -> None:
    found = listed.get("/tasks", q=text, limit=1000, type="workflow:spoken").json()
    assert found, text
    assert {task["input"]["text"] for task in found} == {text}


@pytest.mark.parametrize("text", ["%", "_", "'", '"', "\\", "%%%", "__", "a%b", "' OR '1'='1", "\\%", "*", "?"])
def test_signs_of_the_query_language_mean_themselves(listed: Listed, text: str) -> None:
    names = '{"n": "text": "expression": }'  # the names of the inputs are searched too
    found = listed.get("/tasks", q=text, limit=1000).json()
    for task in found:
        held = f"{task['type']} {task['input'].get('text', '')} {task['input'].get('expression', '')} {names}"
        assert all(word in held for word in text.split()), (text, task["input"])
    assert len(found) < TASKS or text == '"'


def test_a_search_passes_over_upper_and_lower_case(listed: Listed) -> None:
    assert listed.get("/tasks", q="SURE 100%").json() == listed.get("/tasks", q="100% sure").json() != []
    assert listed.get("/tasks", q="calculator EXPRESSION", limit=1).json()[0]["type"] == "tool:calculator"


def test_a_search_for_nothing_is_no_search(listed: Listed) -> None:
    assert len(listed.get("/tasks", q="  ", limit=1000).json()) >= TASKS


def test_a_task_has_no_subtasks_in_a_list(server: Server) -> None:
    task = server.ended(server.submit("workflow:spoken")["id"])
    [found] = [each for each in server.get("/tasks", type="workflow:spoken").json() if each["id"] == task["id"]]
    assert len(task["subtasks"]) == 1
    assert (found["subtasks"], found["workflow_state"]) == ([], None)


def test_two_connections_see_the_same(listed: Listed) -> None:
    with requests.Session() as other:
        assert other.get(f"{listed.url}/tasks", timeout=30).json() == listed.server.get("/tasks").json()
