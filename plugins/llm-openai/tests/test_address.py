from __future__ import annotations

import sys
from subprocess import run

import pytest
from agentplat_llm_openai.address import base_url, problem, stays_on_machine
from agentplat_llm_openai.plugin import agentplat_model_providers

OLLAMA = "http://127.0.0.1:11434/v1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", OLLAMA),
        ("  ", OLLAMA),
        ("192.0.2.7", "http://192.0.2.7:11434/v1"),
        ("192.0.2.7:8080", "http://192.0.2.7:8080/v1"),
        (":8080", "http://127.0.0.1:8080/v1"),
        ("0.0.0.0", OLLAMA),
        ("[::]:11434", "http://[::1]:11434/v1"),
        ("[2001:db8::1]", "http://[2001:db8::1]:11434/v1"),
        ("http://gpu", "http://gpu/v1"),
        ("https://gpu:8443/", "https://gpu:8443/v1"),
        ("https://gpu/team/openai/v1/", "https://gpu/team/openai/v1"),
    ],
)
def test_what_the_variable_leaves_out_comes_from_the_default(given: str, expected: str) -> None:
    found = base_url(OLLAMA, "OLLAMA_HOST", {"OLLAMA_HOST": given})

    assert found == expected
    assert problem(found) is None


@pytest.mark.parametrize(
    "given",
    [
        "ftp://gpu/v1",
        "http://",
        "http://gpu:port/v1",
        "http://[::1/v1",
        "http://user:pass@gpu/v1",
        "user:pass@gpu",
        "http://gpu/v1?key=1",
        "http://gpu/v1#top",
        "http://gpu /v1",
        "http://gpü/v1",
        "http://gpu/v1\x00",
    ],
)
def test_an_address_that_cannot_be_used_has_a_problem(given: str) -> None:
    found = problem(base_url("https://api.openai.com/v1", "OPENAI_BASE_URL", {"OPENAI_BASE_URL": given}))

    assert found is not None
    assert "pass" not in found.replace("password", "")


@pytest.mark.parametrize(
    ("url", "stays"),
    [
        ("http://127.0.0.1:11434/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://localhost:8000/v1", True),
        ("http://localhost.example/v1", False),
        ("http://192.168.0.7:8000/v1", False),
        ("http://[::1/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_only_the_loopback_interface_is_this_machine(url: str, stays: bool) -> None:
    assert stays_on_machine(url) is stays


def test_four_presets_are_offered_and_the_local_ones_only_by_name() -> None:
    offered = {spec.name: spec for spec in agentplat_model_providers()}

    assert list(offered) == ["openrouter", "openai", "ollama", "vllm"]
    assert offered["openrouter"].rank > offered["openai"].rank > 0
    assert offered["openrouter"].requires == ("OPENROUTER_API_KEY",)
    assert offered["openai"].requires == ("OPENAI_API_KEY",)
    for name, automatic, leaves in (("openai", True, True), ("ollama", False, False), ("vllm", False, False)):
        assert (offered[name].automatic, offered[name].leaves_machine) == (automatic, leaves)
        assert offered[name].generates


def test_a_local_preset_with_a_remote_address_says_that_prompts_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "gpu.example")
    monkeypatch.setenv("AGENTPLAT_VLLM_URL", "http://192.168.0.7:8000")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")

    offered = {spec.name: spec.leaves_machine for spec in agentplat_model_providers()}

    assert offered == {"openrouter": True, "openai": False, "ollama": True, "vllm": True}


def test_the_light_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, agentplat_llm_openai.plugin as plugin; plugin.agentplat_model_providers();"
        "print(sorted({'asyncio', 'genai_prices', 'httpx', 'pydantic', 'ssl'} & set(sys.modules)))"
    )

    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
