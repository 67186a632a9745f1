"""What every agent has to keep to."""

from typing import ClassVar

from agentplat_testkit import AgentContract


class TestContract(AgentContract):
    plugin, name = "{{ cookiecutter.folder }}", "{{ cookiecutter.name }}"
    example: ClassVar = {"text": "A lease is the right to work on a task. It ends with its worker."}
