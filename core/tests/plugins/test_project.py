"""The project's folder: what its files add to the installed plugins, what is refused and why, and reloading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import cast

import pytest

from agentplat import AgentContext, AgentSpec, Effect, ToolSpec, WorkflowSpec
from agentplat.plugins.project.generation import Project, load_project
from agentplat.plugins.registry import Registries, RegistryBuilder

from . import offered

HERE = offered.__name__
INSTALLED = (
    AgentSpec(name="greeter", description="Installed", factory=f"{HERE}:Greeter", tools=("adder",)),
    ToolSpec(name="adder", description="Adds", factory=f"{HERE}:Adder", effect=Effect.PURE),
)
AGENT = '''
from agentplat import Agent, AgentContext

class {name}(Agent[str, str]):
    """Says {text}.

    More.
    """

    name = "{name}".lower()

    async def execute(self, input: str, ctx: AgentContext) -> str:
        return "{text}"
'''


@pytest.fixture
def installed() -> Registries:
    builder = RegistryBuilder()
    for spec in INSTALLED:
        builder.register(spec)
    return builder.build()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(dedent(text), encoding="utf-8")


def reasons(project: Project) -> dict[str, str | None]:
    return {record.name: record.reason for record in project.records}


def test_an_empty_folder_adds_nothing(folder: Path, installed: Registries) -> None:
    project = load_project(folder, installed)

    assert project.registries.agents.names == installed.agents.names
    assert (project.records, project.faults) == ((), ())


def test_every_agent_and_tool_that_a_file_defines_is_found(folder: Path, installed: Registries) -> None:
    write(folder, "agents/say-hello.py", AGENT.format(name="Hello", text="hello"))
    write(
        folder,
        "tools/arithmetic.py",
        '''
        from agentplat import Effect, Tool, ToolContext

        class _Shared(Tool[int, int]):
            """For others to derive from."""

        class Twice(_Shared):
            """Doubles a number."""

            name = "twice"
            effect = Effect.PURE

            def execute(self, input: int, ctx: ToolContext) -> int:
                return 2 * input
        ''',
    )

    known = load_project(folder, installed).registries

    hello, twice = known.agents.spec("hello"), known.tools.spec("twice")
    assert (hello.description, known.agents.offer("hello").origin) == ("Says hello.", "agents/say-hello.py:4")
    assert (twice.description, twice.effect) == ("Doubles a number.", Effect.PURE)
    assert known.agent("hello").name == "hello"
    assert known.tool("twice") is known.tool("twice")


def test_imported_classes_are_not_taken_for_the_files_own(folder: Path, installed: Registries) -> None:
    write(folder, "agents/mine.py", f"from {HERE.rpartition('.')[0]}.offered import Greeter\nOther = Greeter\n")

    project = load_project(folder, installed)

    assert project.faults == ()
    assert project.registries.agents.spec("greeter").description == "Installed"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def x(:\n", "agents/a.py:1:1: not_usable: SyntaxError"),
        ("import agentplat\n\nraise OSError('no')\n", "agents/a.py:3:1: not_usable: OSError: no"),
        ("import sys\nsys.exit(1)\n", "agents/a.py:2:1: not_usable: SystemExit: 1"),
        ("from agentplat import Agent\nclass A(Agent[str, str]): ...\n", "agents/a.py:2:1: not_usable: class A has no"),
        (
            "from agentplat import Agent\nclass A(Agent[str, str]):\n    name = 'Not Good'\n",
            "agents/a.py:2:1: not_usable: class A: name 'Not Good' does not match",
        ),
        (
            "from agentplat import Agent\nclass A(Agent[str, str]):\n    name = 'a'\n    tools = 'adder'\n",
            "agents/a.py:2:1: not_usable: class A: 'a': tools 'adder' is not a tuple",
        ),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_its_line_and_the_rest_works(
    source: str, fault: str, folder: Path, installed: Registries
) -> None:
    write(folder, "agents/a.py", source)
    write(folder, "agents/hello.py", AGENT.format(name="Hello", text="hello"))

    project = load_project(folder, installed)

    assert "hello" in project.registries.agents
    assert len(project.faults) == 1
    assert project.faults[0].startswith(fault)
    assert [(record.name, record.state.value) for record in project.records] == [
        ("agents/a.py", "rejected"),
        ("agents/hello.py", "active"),
    ]


def test_a_file_replaces_an_installed_name_only_when_it_says_so(folder: Path, installed: Registries) -> None:
    source = AGENT.format(name="Greeter", text="mine")
    write(folder, "agents/greeter.py", source)

    refused = load_project(folder, installed)
    assert refused.registries.agents.spec("greeter").description == "Installed"
    taken = "Agent 'greeter' is offered by code already. Say `replaces: true` to replace it."
    assert refused.faults == (f"agents/greeter.py:4:1: not_usable: {taken}",)

    write(folder, "agents/greeter.py", source + "    replaces = True\n")
    assert load_project(folder, installed).registries.agents.spec("greeter").description == "Says mine."


def test_a_name_that_the_project_gives_twice_is_used_by_neither(folder: Path, installed: Registries) -> None:
    write(folder, "agents/one.py", AGENT.format(name="Hello", text="one"))
    write(folder, "agents/two.py", AGENT.format(name="Hello", text="two"))

    project = load_project(folder, installed)

    assert "hello" not in project.registries.agents
    assert reasons(project) == {
        "agents/one.py": "agents/one.py:4:1: not_usable: agent 'hello' is given at agents/two.py:4 too; keep one",
        "agents/two.py": "agents/two.py:4:1: not_usable: agent 'hello' is given at agents/one.py:4 too; keep one",
    }


def test_a_second_file_of_a_name_does_not_take_away_what_is_in_use(folder: Path, installed: Registries) -> None:
    write(folder, "workflows/hello.yaml", "name: hello\nsteps: [{agent: a}]\n")
    project = load_project(folder, installed)
    write(folder, "workflows/a_copy.yaml", "name: hello\nsteps: [{agent: b}]\n")
    for _ in range(2):
        project = load_project(folder, installed, project)
        assert project.registries.workflows.spec("hello").file == str(folder / "workflows" / "hello.yaml")
        assert project.faults == (
            "workflows/a_copy.yaml:1:7: not_usable: workflow 'hello' is given at workflows/hello.yaml:1 too; keep one",
        )
    (folder / "workflows" / "hello.yaml").unlink()
    project = load_project(folder, installed, project)
    assert project.registries.workflows.spec("hello").file == str(folder / "workflows" / "a_copy.yaml")
    assert not project.faults


def test_a_prompt_only_agent_is_an_entry(folder: Path, installed: Registries) -> None:
    write(
        folder,
        "agents.yaml",
        """
        agents:
          - name: translator
            description: Translates a text
            prompt: "Translate to ${{ input.language }}:\\n${{ input.text }}"
            system: You are a careful translator.
            tools: [adder]
            output: {translation: string}
            config: {temperature: 0.2}
        """,
    )

    project = load_project(folder, installed)

    assert project.faults == ()
    assert project.registries.agents.spec("translator") == AgentSpec(
        name="translator",
        description="Translates a text",
        factory="agentplat.engine.prompt_agent:PromptAgent",
        tools=("adder",),
        config={"temperature": 0.2},
        prompt={
            "name": "translator",
            "prompt": "Translate to ${{ input.language }}:\n${{ input.text }}",
            "system": "You are a careful translator.",
            "output": {
                "type": "object",
                "properties": {"translation": {"type": "string"}},
                "required": ["translation"],
            },
        },
    )


def test_an_entry_gives_an_installed_class_another_name_or_configuration(folder: Path, installed: Registries) -> None:
    write(
        folder,
        "agents.yaml",
        f"""
        agents:
          - name: greeter
            replaces: true
            class: {HERE}:Greeter
            config: {{polite: true}}
          - name: welcome
            class: {HERE}:Greeter
            tools: []
        """,
    )
    write(folder, "tools.yaml", f"tools:\n  - {{name: plus_one, class: '{HERE}:Adder', description: Adds one}}\n")

    project = load_project(folder, installed)

    assert project.faults == ()
    known = project.registries
    assert (known.agents.spec("greeter").config, known.agents.spec("greeter").tools) == ({"polite": True}, ("adder",))
    assert known.agents.spec("welcome").tools == ()
    assert isinstance(known.agent("welcome"), offered.Greeter)
    assert (known.tools.spec("plus_one").effect, known.tools.spec("plus_one").description) == (Effect.PURE, "Adds one")
    assert isinstance(known.tool("plus_one"), offered.Adder)


def test_all_faults_of_the_entries_are_told_with_their_places(folder: Path, installed: Registries) -> None:
    write(
        folder,
        "agents.yaml",
        f"""\
        agents:
          - name: Bad Name
            prompt: x
          - prompt: no name
          - name: neither
          - name: both
            class: {HERE}:Greeter
            prompt: x
          - name: misspelt
            promt: x
            class: {HERE}:Adder
          - name: typed
            prompt: 3
            tools: adder
            replaces: perhaps
            config: [1]
          - name: open
            prompt: ${{{{ input.x
          - name: elsewhere
            prompt: ${{{{ steps.one.output }}}}
            output: {{x: strng}}
          - name: greeter
            class: {HERE}:Greeter
          - name: lost
            prompt: x
            tools: [ader]
            model: nobody:x
        """,
    )

    project = load_project(folder, installed)

    rule = "; lower-case letters, digits and underscores, with a letter first, at most 64"
    assert [fault.replace(HERE, "here").removesuffix(rule) for fault in project.faults] == [
        "agents.yaml:2:11: invalid_name: `Bad Name` is not a name",
        "agents.yaml:4:5: missing_key: an entry needs a `name`",
        "agents.yaml:5:5: missing_key: an agent needs a `prompt` or a `class`",
        "agents.yaml:7:5: unknown_key: an agent has a `prompt` or a `class`, not both",
        "agents.yaml:10:5: unknown_key: unknown key `promt`; did you mean `prompt`?",
        "agents.yaml:11:12: unknown_class: here:Adder is not a subclass of agentplat.Agent.",
        "agents.yaml:13:13: wrong_type: `prompt` is a text, not a number 3",
        "agents.yaml:14:12: wrong_type: `tools` is a list, not a text 'adder'",
        "agents.yaml:15:15: wrong_type: `replaces` is true or false",
        "agents.yaml:16:13: wrong_type: `config` has to be a map of keys and values",
        "agents.yaml:18:13: expression: `${{` without `}}`",
        "agents.yaml:20:13: expression: a prompt knows its agent's `input`; `steps` belongs to a workflow",
        "agents.yaml:21:17: unknown_type: there is no type `strng`; did you mean `string`?",
        "agents.yaml:22:5: not_usable: Agent 'greeter' is offered by code already. Say `replaces: true` to replace it.",
        "agents.yaml:24:5: unknown_tool: there is no tool `ader`; did you mean `adder`?",
        "agents.yaml:24:5: unknown_model: Model provider 'nobody' not found. Available model providers: none.",
    ]
    assert set(project.registries.agents.names) == {"greeter", "lost"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("agents: [\n", "agents.yaml:2:1: yaml_syntax"),
        ("agent:\n  - name: x", "agents.yaml:1:1: unknown_key: unknown key `agent`; did you mean `agents`?"),
        ("- name: x", "agents.yaml:1:1: wrong_type: a document has to be a map of keys and values"),
        ("agents:\n  x: {}", "agents.yaml:2:3: wrong_type: `agents` is a list, not a map"),
        ("agents:\n  - x", "agents.yaml:2:5: wrong_type:"),
    ],
)
def test_a_file_of_entries_that_makes_no_sense_is_refused(
    text: str, fault: str, folder: Path, installed: Registries
) -> None:
    write(folder, "agents.yaml", text)

    assert load_project(folder, installed).faults[0].startswith(fault)


def test_a_workflow_is_found_by_the_name_in_its_document(folder: Path, installed: Registries) -> None:
    write(folder, "workflows/any.yaml", "# mine\nname: publish\n")
    write(folder, "workflows/open.yaml", "name: [\n")

    project = load_project(folder, installed)

    assert [spec.file for spec in project.registries.workflows] == [
        str(folder / "workflows" / name) for name in ("open.yaml", "any.yaml")
    ]
    assert project.registries.workflows.names == ("open", "publish")
    assert [fault.partition(": ")[0] for fault in project.faults] == ["workflows/open.yaml:2:1"]


def test_a_workflow_replaces_an_installed_one_only_when_it_says_so(folder: Path, installed: Registries) -> None:
    write(folder, "stock.yaml", "name: publish")
    builder = RegistryBuilder(installed)
    builder.register(WorkflowSpec(name="publish", file=str(folder / "stock.yaml")))
    write(folder, "workflows/publish.yaml", "name: publish\nreplaces: true\n")

    replaced = load_project(folder, builder.build())
    write(folder, "workflows/publish.yaml", "name: publish\n")
    refused = load_project(folder, builder.build())

    assert replaced.registries.workflows.spec("publish").file == str(folder / "workflows" / "publish.yaml")
    assert refused.registries.workflows.spec("publish").file == str(folder / "stock.yaml")
    assert "offered by code already" in refused.faults[0]


async def test_a_reload_uses_what_changed_and_keeps_the_instances_of_what_did_not(
    folder: Path, installed: Registries
) -> None:
    write(folder, "agents/hello.py", AGENT.format(name="Hello", text="AAA"))
    write(folder, "agents/other.py", AGENT.format(name="Other", text="other"))
    first = load_project(folder, installed)
    hello, other = first.registries.agent("hello"), first.registries.agent("other")

    write(folder, "agents/hello.py", AGENT.format(name="Hello", text="BBB"))  # as long, and within the same second
    second = load_project(folder, installed, first)

    assert second.registries.agent("other") is other
    assert second.registries.agent("hello") is not hello
    nothing = cast("AgentContext", None)
    assert await second.registries.agent("hello").execute("", nothing) == "BBB"
    assert await hello.execute("", nothing) == "AAA"


def test_a_file_that_breaks_keeps_its_last_good_version_until_it_is_gone(folder: Path, installed: Registries) -> None:
    write(folder, "agents/hello.py", AGENT.format(name="Hello", text="hello"))
    first = load_project(folder, installed)

    write(folder, "agents/hello.py", "def x(:")
    second = load_project(folder, installed, first)
    third = load_project(folder, installed, second)

    assert third.registries.agents.spec("hello") == first.registries.agents.spec("hello")
    assert third.faults[1] == "agents/hello.py:4:1: last_good: the last good version stays in use (hello)"

    (folder / "agents" / "hello.py").unlink()
    assert "hello" not in load_project(folder, installed, third).registries.agents


def test_an_entry_that_breaks_keeps_its_last_good_version(folder: Path, installed: Registries) -> None:
    write(folder, "agents.yaml", "agents:\n  - {name: one, prompt: A}\n  - {name: two, prompt: A}\n")
    first = load_project(folder, installed)

    write(folder, "agents.yaml", "agents:\n  - {name: one, promt: B}\n  - {name: two, prompt: B}\n")
    second = load_project(folder, installed, first)
    write(folder, "agents.yaml", "agents: [")
    third = load_project(folder, installed, second)

    for project in (second, third):
        prompts = {spec.name: spec.prompt and spec.prompt["prompt"] for spec in project.registries.agents}
        assert prompts == {"greeter": None, "one": "A", "two": "B"}


def test_what_replaces_an_installed_name_is_a_new_configuration(folder: Path, installed: Registries) -> None:
    write(folder, "agents.yaml", f"agents:\n  - {{name: greeter, replaces: true, class: '{HERE}:Greeter'}}\n")

    spec = load_project(folder, installed).registries.agents.spec("greeter")

    assert spec == replace(INSTALLED[0], description="", replaces=True)
