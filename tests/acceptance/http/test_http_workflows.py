"""Workflow files and their versions: put, checked, edited while tasks run, broken, and compared."""

import hashlib
import resource
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from .processes import PROJECT, Server, served, wait_for
from .shapes import pointers, problem

TEXT = """# A comment, which is a part of the text and not of the version.
name: changing
version: {version}
strategy: sequential
steps:
  - {{name: told, wait: {{signal: go, timeout: 1h}}}}
  - {{name: say, agent: echo, input: {{version: {version}}}}}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[tuple[Server, Path]]:
    """A server with a project of its own, whose workflows may be changed."""
    folder = tmp_path_factory.mktemp("own")
    project = folder / "changing"
    shutil.copytree(PROJECT, project)
    with served(folder / "own", new_database(), worked=True, AGENTPLAT_PROJECT=str(project)) as server:
        yield server, project


def put(server: Server, name: str, text: str, etag: str | None = None) -> requests.Response:
    headers = {"If-Match": f'"{etag}"'} if etag is not None else {}
    return server.request("PUT", f"/v1/workflows/{name}", json={"text": text}, headers=headers)


def made(server: Server, name: str, text: str) -> dict[str, Any]:
    answer = put(server, name, text)
    assert answer.status_code == 200, answer.text
    file: dict[str, Any] = answer.json()
    return file


def named(name: str, version: int) -> str:
    return TEXT.format(version=version).replace("changing", name)


def version_that_ran(server: Server, id_: str) -> int:
    steps = {step["name"]: step for step in server.ended(id_)["subtasks"]}
    return int(steps["say"]["output"]["given"]["version"])


def test_tasks_end_on_their_version_and_a_broken_file_keeps_the_last_good_one(own: tuple[Server, Path]) -> None:
    server, project = own
    file = project / "workflows" / "changing.yaml"
    first = made(server, "changing", TEXT.format(version=1))
    tasks = [server.submit("workflow:changing")["id"] for _ in range(50)]
    server.until(tasks[-1], lambda now: now["status"] == "waiting")

    # Edited as people do: in the file, and not by us.
    file.write_text(TEXT.format(version=2))
    newer = server.submit("workflow:changing")["id"]
    assert server.get("/v1/workflows/changing").json()["hash"] != first["hash"]

    # Then broken.
    file.write_text(TEXT.format(version=3).replace("agent: echo", "agent: ecko"))
    newest = server.submit("workflow:changing")["id"]
    broken = server.get("/v1/workflows/changing").json()
    [fault] = broken["diagnostics"]
    assert (fault["line"], fault["code"]) == (7, "unknown_agent")
    assert "echo" in fault["detail"]
    [listed] = [found for found in server.get("/admin/workflows").json()["workflows"] if found["name"] == "changing"]
    assert "The last good version stays in use." in listed["fault"]
    assert [step["name"] for step in listed["steps"]] == ["told", "say"]

    for id_ in (*tasks, newer, newest):
        assert server.post(f"/v1/tasks/{id_}:signal", {"name": "go"}).status_code == 200
    assert [version_that_ran(server, id_) for id_ in tasks] == [1] * 50
    assert [version_that_ran(server, id_) for id_ in (newer, newest)] == [2, 2]

    # And mended.
    file.write_text(TEXT.format(version=4))
    assert server.get("/v1/workflows/changing").json()["diagnostics"] == []
    last = server.submit("workflow:changing")["id"]
    server.post(f"/v1/tasks/{last}:signal", {"name": "go"})
    assert version_that_ran(server, last) == 4

    versions = server.get("/v1/workflows/changing/versions").json()
    assert [(version["version"], version["current"]) for version in versions] == [
        ("4", True),
        ("2", False),
        ("1", False),
    ]
    diff = server.get("/v1/workflows/changing/diff").json()["diff"].splitlines()
    assert [line.replace(" ", "") for line in diff if line.startswith(("- ", "+ "))] == [
        "-version:2",
        "+version:4",
        "-version:'2'",
        "+version:'4'",
    ]
    chosen = {"before": versions[2]["hash"][:8], "after": versions[1]["hash"][:8]}
    assert "version: '2'" in server.get("/v1/workflows/changing/diff", **chosen).json()["diff"]
    problem(server.get("/v1/workflows/changing/diff", before="abcdef"), 404)


def test_a_diff_shows_nothing_that_nobody_changed(own: tuple[Server, Path]) -> None:
    """One default for two steps is one object in a file that was just read, and two in one from the database."""
    server, _ = own
    text = """
name: shared
defaults: {retry: {max_attempts: 3}}
steps:
  - {name: one, agent: echo, input: {said: before}}
  - {name: two, agent: echo}
"""
    first = made(server, "shared", text)
    assert put(server, "shared", text.replace("before", "after"), first["etag"]).status_code == 200
    diff = server.get("/v1/workflows/shared/diff").json()["diff"].splitlines()
    changed = [line for line in diff if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))]
    assert [line.replace(" ", "") for line in changed] == ["-said:before", "+said:after"]


def test_of_two_who_edit_the_same_text_one_is_told_to_read_it_again(own: tuple[Server, Path]) -> None:
    server, _ = own
    first = made(server, "edited", named("edited", 1))
    assert first["etag"] == hashlib.sha256(named("edited", 1).encode()).hexdigest()
    assert server.get("/v1/workflows/edited").headers["ETag"] == f'"{first["etag"]}"'

    def edit(version: int) -> int:
        return put(server, "edited", named("edited", version), first["etag"]).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(edit, range(2, 10)))
    assert codes == [200] + [412] * 7
    late = problem(put(server, "edited", named("edited", 99), first["etag"]), 412)
    assert late["error_code"] == "version_conflict"
    assert "99" not in server.get("/v1/workflows/edited").json()["text"]
    # Without a word about what is replaced, only what is new is put.
    problem(put(server, "edited", named("edited", 99)), 412)
    problem(put(server, "unknown_yet", named("unknown_yet", 1), first["etag"]), 412)


def test_what_is_replaced_is_named_as_http_names_it(own: tuple[Server, Path]) -> None:
    server, _ = own
    tag = made(server, "matched", named("matched", 1))["etag"]

    def answered(match: str, version: int, name: str = "matched") -> requests.Response:
        text = {"text": named(name, version)}
        return server.request("PUT", f"/v1/workflows/{name}", json=text, headers={"If-Match": match})

    # A tag of no text, weak ones (which are never the same for sure), and a list of such are other texts.
    for unknown in ('"deadbeef"', "deadbeef", '"x"', '""', f'W/"{tag}"', f'"deadbeef", W/"{tag}"', '"a,b"'):
        assert problem(answered(unknown, 2), 412)["error_code"] == "version_conflict"
    assert "version: 1" in server.get("/v1/workflows/matched").json()["text"]
    # Any of a list will do, and `*` stands for whatever is there.
    assert answered(f'"deadbeef", "{tag}"', 2).status_code == 200
    assert answered("*", 3).status_code == 200
    assert "version: 3" in server.get("/v1/workflows/matched").json()["text"]
    problem(answered("*", 1, "matched_by_nothing"), 412)
    for wrong in ('"deadbeef', '"a" "b"', ",", '*, "a"'):
        assert pointers(problem(answered(wrong, 4), 422)) == ["/header/If-Match"]


def test_what_is_no_beginning_of_a_hash_is_answered_with_those_that_are_known(own: tuple[Server, Path]) -> None:
    server, _ = own
    file = made(server, "hashed", named("hashed", 1))
    for text in ("zzz", "0", "%00"):
        answer = problem(server.get(f"/v1/workflows/hashed/diff?before={text}"), 404)
        assert "is not the beginning of one version's hash" in answer["detail"]
        assert file["hash"][:12] in answer["detail"]


def test_what_is_not_valid_is_not_put_and_says_all_its_faults(own: tuple[Server, Path]) -> None:
    server, project = own
    text = named("faulty", 1).replace("agent: echo", "agent: ecko").replace("sequential", "sequentiel")
    checked = server.post("/v1/workflows:validate", {"text": text}).json()
    assert (checked["valid"], [(d["line"], d["code"]) for d in checked["diagnostics"]]) == (
        False,
        [(4, "unknown_strategy"), (7, "unknown_agent")],
    )
    refused = problem(put(server, "faulty", text), 422)
    assert refused["error_code"] == "workflow_invalid"
    assert not (project / "workflows" / "faulty.yaml").exists()
    assert server.post("/v1/workflows:validate", {"text": named("fine", 1)}).json() == {
        "valid": True,
        "diagnostics": [],
    }
    assert pointers(problem(put(server, "other", named("fine", 1)), 422)) == ["/text"]
    problem(put(server, "..%2Fother", named("fine", 1)), 404)
    # A file that never was valid is shown with its faults, and has no version to compare.
    assert server.get("/v1/workflows/broken").json()["hash"] is None
    assert server.get("/v1/workflows/broken").json()["diagnostics"]
    assert server.get("/v1/workflows/broken/versions").json() == []
    assert server.get("/v1/workflows/broken/diff").json() == {"diff": ""}
    problem(server.get("/v1/workflows/nobody"), 404)
    problem(server.get("/v1/workflows/nobody/versions"), 404)
    problem(server.get("/v1/workflows/nobody/diff"), 404)


def test_an_installed_workflow_stays_as_it_is_and_can_be_replaced(own: tuple[Server, Path]) -> None:
    server, project = own
    installed = server.get("/v1/workflows/simple_sequential").json()
    assert installed["editable"] is False
    text = named("simple_sequential", 1)
    problem(put(server, "simple_sequential", text), 409)
    problem(put(server, "simple_sequential", text, installed["etag"]), 412)
    assert made(server, "simple_sequential", f"{text}replaces: true\n")["editable"] is True
    (project / "workflows" / "simple_sequential.yaml").unlink()


def test_a_new_workflow_is_there_at_once(own: tuple[Server, Path]) -> None:
    server, _ = own
    file = made(server, "fresh", named("fresh", 1))
    assert file["hash"] is not None
    assert "fresh" in {found["name"] for found in server.get("/admin/workflows").json()["workflows"]}
    [version] = server.get("/v1/workflows/fresh/versions").json()
    assert (version["hash"], version["current"]) == (file["hash"], True)
    assert server.get("/v1/workflows/fresh/diff").json() == {"diff": ""}
    task = server.submit("workflow:fresh")
    wait_for(lambda: server.task(task["id"])["status"] == "waiting")


def test_a_text_that_the_disk_has_no_room_for_leaves_nothing_behind(
    own: tuple[Server, Path],
) -> None:
    server, project = own
    folder = project / "workflows"
    first = made(server, "cramped", named("cramped", 1))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    pid, room = server.api.pid, 120 * 1024
    large = named("cramped", 2) + "# \n" * 50_000
    # The kernel refuses to write beyond it, as on a full disk.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        refused = problem(put(server, "cramped", large, first["etag"]), 409, "cannot be written: File too large")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert refused["error_code"] == "conflict"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert server.get("/v1/workflows/cramped").json()["etag"] == first["etag"]
    assert put(server, "cramped", large, first["etag"]).status_code == 200
