"""The agent `{{ cookiecutter.name }}`."""

from __future__ import annotations

from agentplat import Agent, AgentContext
from {{ cookiecutter.package }}.schema import Input, Output, Settings


class {{ cookiecutter.class_name }}(Agent[Input, Output]):
    """Says in short what a text is about."""

    name = "{{ cookiecutter.name }}"

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        """One question to the model."""
        settings = Settings.model_validate(dict(ctx.config))
        wanted = f"Say in {settings.sentences} sentences what this text is about:"
        reply = await ctx.llm.complete(f"{wanted}\n<text>\n{input.text}\n</text>")
        return Output(text=reply.text)
