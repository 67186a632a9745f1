"""`agentplat limits`, on a database and against a running server."""

from collections.abc import Iterator

import pytest

from .processes import Folder, Running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Folder, Running]]:
    path = tmp_path_factory.mktemp("limited") / "here"
    path.mkdir()
    folder = Folder(path)
    with folder.running("dev", "--port", "0") as running:
        running.address()
        yield folder, running


def test_a_limit_is_set_listed_and_removed_here_and_there_alike(served: tuple[Folder, Running]) -> None:
    folder, url = served[0], ("--url", served[1].address())
    assert folder.call("limits", "list").err.startswith("No limit yet.")
    said = folder.call("limits", "set", "acme", "--key", "crm", "--at-once", "3", *url)
    assert (said.code, said.out) == (0, "The limit of crm of acme is set.\n")
    assert folder.call("limits", "set", "acme", "--weight", "5", "--json").lines == [
        {"tenant": "acme", "key": "", "limit": "set"}
    ]
    folder.call("limits", "set", "b/c d", "--starts", "60", "--seconds", "60", *url)
    there, here = folder.call("limits", "list", *url), folder.call("limits", "list")
    assert there == here
    assert [line.split() for line in there.out.splitlines()[1:]] == [
        ["acme", "0", "5"],
        ["acme", "crm", "0", "of", "3"],
        ["b/c", "d", "0", "0", "of", "60", "in", "60", "s"],
    ]
    [first, second, third] = folder.call("limits", "list", "--json").lines
    assert (first["weight"], second["at_once"], third["starts"], third["seconds"]) == (5, 3, 60, 60.0)
    for tenant, key in (("acme", "crm"), ("acme", ""), ("b/c d", "")):
        assert folder.call("limits", "remove", tenant, "--key", key, *url).code == 0
    assert folder.call("limits", "list", "--json").lines == []


def test_what_makes_no_sense_is_said_and_is_a_wrong_use(served: tuple[Folder, Running]) -> None:
    folder, url = served[0], ("--url", served[1].address())
    for by in ((), url):
        wrong = folder.call("limits", "set", "acme", "--key", "crm", "--weight", "2", *by)
        assert wrong.code == 2
        assert "/weight is of a tenant as a whole" in wrong.err
        missing = folder.call("limits", "remove", "acme", *by)
        assert missing.code == 2
        assert "There is no limit for the tenant 'acme'" in missing.err
