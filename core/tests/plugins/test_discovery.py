"""Installed packages, found in a fresh process. Each faulty one is rejected with its reason; the rest works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Site

HEAD = """
from agentplat import AgentSpec, hookimpl
API_LEVEL = 1
"""


def offering(*names: str) -> str:
    specs = ", ".join(f"AgentSpec(name={name!r}, description='', factory='nowhere:Nothing')" for name in names)
    return HEAD + f"@hookimpl\ndef agentplat_agents(): return [{specs}]\n"


PACKAGES = {
    "good": offering("good_agent"),
    "raises": "raise RuntimeError('no luck\\ntoday')",
    "asserts": "assert 1 > 2, 'arithmetic'",
    "exits": "import sys\nsys.exit(3)",
    "needs-more": "import a_module_that_nobody_has",
    "misspelt": HEAD + "@hookimpl\ndef agentplat_agent(): return []\n",
    "unmarked": HEAD + "def agentplat_agents(): return []\n",
    "argument": HEAD + "@hookimpl\ndef agentplat_agents(registry): return []\n",
    "async-hook": HEAD + "@hookimpl\nasync def agentplat_agents(): return []\n",
    "wrapper": HEAD + "@hookimpl(wrapper=True)\ndef agentplat_agents():\n    return (yield)\n",
    "no-level": "from agentplat import hookimpl\n@hookimpl\ndef agentplat_agents(): return []\n",
    "next-level": "API_LEVEL = 2\n",
    "returns-none": HEAD + "@hookimpl\ndef agentplat_agents(): pass\n",
    "returns-text": HEAD + "@hookimpl\ndef agentplat_agents(): return 'abc'\n",
    "wrong-type": HEAD + "@hookimpl\ndef agentplat_tools():\n"
    "    return [AgentSpec(name='x', description='', factory='a:b')]\n",
    "raises-late": offering("half_there") + "@hookimpl\ndef agentplat_tools():\n"
    "    yield from ()\n    raise KeyError('x')\n",
    "bad-name": offering("Bad-Name"),
    "replaces": HEAD + "@hookimpl\ndef agentplat_agents():\n"
    "    return [AgentSpec(name='good_agent', description='', factory='a:b', replaces=True)]\n",
    "twin-one": offering("twin", "only_one"),
    "twin-two": offering("twin", "only_two"),
}  # fmt: skip

REASONS = {
    "raises": "cannot be imported: RuntimeError: no luck today",
    "asserts": "cannot be imported: AssertionError: arithmetic",
    "exits": "cannot be imported: SystemExit: 3",
    "needs-more": "cannot be imported: ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
    "misspelt": "has an unknown hook, agentplat_agent; did you mean agentplat_agents?",
    "unmarked": "agentplat_agents is not marked with @agentplat.hookimpl, so it would never be called",
    "argument": "Argument(s) {'registry'} are declared in the hookimpl but can not be found in the hookspec",
    "async-hook": "agentplat_agents is async: hooks are plain functions, they are never awaited",
    "wrapper": "agentplat_agents is a wrapper: a plugin cannot wrap what another one offers",
    "no-level": "does not declare the level of its hooks, as in API_LEVEL = 1",
    "next-level": "needs API level 2, but this agentplat has 1: upgrade agentplat-core",
    "returns-none": "agentplat_agents failed: TypeError: returned None",
    "returns-text": "agentplat_agents failed: TypeError: returned a str, not an iterable of specs",
    "wrong-type": "agentplat_tools returned AgentSpec where ToolSpec is expected",
    "raises-late": "agentplat_tools failed: KeyError: 'x'",
    "bad-name": "name 'Bad-Name' does not match ^[a-z][a-z0-9_]*$",
    "replaces": "agentplat_agents returned 'good_agent' with replaces=True, which only a project may say",
    "twin-one": "offers the agent 'twin', and so does twin-two; switch off all but one (plugins_deny)",
    "twin-two": "offers the agent 'twin', and so does twin-one; switch off all but one (plugins_deny)",
}


@pytest.fixture(scope="module")
def report(shared_site: Site) -> Mapping[str, Any]:
    for name, source in PACKAGES.items():
        shared_site.install(name, source)
    return shared_site.report()


@pytest.mark.parametrize("name", REASONS)
def test_a_faulty_plugin_is_rejected_with_a_reason(report: Mapping[str, Any], name: str) -> None:
    assert report["plugins"][name]["state"] == "rejected"
    assert REASONS[name] in report["plugins"][name]["reason"]


def test_every_faulty_package_of_this_file_has_an_expected_reason() -> None:
    assert set(PACKAGES) - set(REASONS) == {"good"}


def test_the_rest_works_beside_faulty_plugins(report: Mapping[str, Any]) -> None:
    assert report["plugins"]["good"] == {
        "distribution": "agentplat-good",
        "version": "1.2",
        "state": "active",
        "reason": None,
        "offers": {"agents": ["good_agent"]},
    }
    assert "good_agent" in report["agents"]


def test_nothing_of_a_rejected_plugin_is_used(report: Mapping[str, Any]) -> None:
    assert not {"half_there", "twin", "only_one", "only_two"} & set(report["agents"])


def test_a_denied_plugin_is_not_imported(site: Site) -> None:
    site.install("good", offering("good_agent"))
    site.install("raises", PACKAGES["raises"])

    report = site.report(AGENTPLAT_PLUGINS_DENY="raises, good")

    assert {report["plugins"][name]["state"] for name in ("raises", "good")} == {"disabled"}
    assert "agentplat_good_plugin" not in report["modules"]


def test_only_allowed_plugins_are_imported(site: Site) -> None:
    site.install("good", offering("good_agent"))
    site.install("other", offering("other_agent"))

    report = site.report(AGENTPLAT_PLUGINS="good")

    assert report["agents"] == ["good_agent"]
    assert report["plugins"]["other"]["state"] == "disabled"
    assert "agentplat_other_plugin" not in report["modules"]


def test_none_starts_the_bare_core(site: Site) -> None:
    site.install("good", offering("good_agent"))

    report = site.report(AGENTPLAT_PLUGINS="none")

    assert {plugin["state"] for plugin in report["plugins"].values()} == {"disabled"}
    assert report["agents"] == []


def test_the_project_may_switch_plugins_off(site: Site) -> None:
    site.install("good", offering("good_agent"))
    (site.project / "agentplat.toml").write_text('plugins_deny = ["good"]\n')

    assert site.report()["plugins"]["good"]["state"] == "disabled"


def test_a_name_in_the_selection_that_nothing_has_is_reported(site: Site) -> None:
    site.install("good", offering("good_agent"))

    report = site.report(AGENTPLAT_PLUGINS="good,goood", AGENTPLAT_PLUGINS_DENY="bad")

    reason = "named in the settings, but not installed"
    assert report["plugins"]["goood"]["reason"] == f"{reason}; did you mean 'good'?"
    assert report["plugins"]["bad"]["reason"] == reason


def test_two_distributions_with_a_plugin_of_one_name_are_both_left_out(site: Site) -> None:
    site.install("good", offering("one"), distribution="agentplat-good")
    site.install("good", offering("two"), distribution="someone-elses")

    report = site.report()

    assert report["plugins"]["good"]["state"] == "rejected"
    assert "agentplat_good_plugin, someone_elses_plugin" in report["plugins"]["good"]["reason"]
    assert "agentplat_good_plugin" not in report["modules"]


def test_loading_plugins_imports_no_heavy_library(site: Site) -> None:
    site.install("good", offering("good_agent"))

    modules = site.report(AGENTPLAT_PLUGINS="good")["modules"]

    heavy = {"sqlalchemy", "fastapi", "alembic", "pydantic", "httpx", "structlog", "asyncio", "yaml"}
    assert heavy & set(modules) == set()
