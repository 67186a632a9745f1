"""Searching: what the agent asks its tools for, and what they find as one list of passages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentplat import AgentContext, FailureCode, Passage, StepError
from agentplat_agent_research.schema import Settings

DOCUMENTS, WEB = "document_search", "web_search"
MAX_PASSAGE_CHARS = 6_000
MAX_DEPTH = 20
MAX_WEB_QUERIES = 5  # each is a request to a service that counts them


@dataclass(slots=True)
class Material:
    """Passages, one per source, in the order in which they were found."""

    words: dict[str, None] = field(default_factory=dict)  # of the topic, as far as the search says
    texts: dict[str, list[str]] = field(default_factory=dict)
    matched: dict[str, set[str]] = field(default_factory=dict)

    @property
    def passages(self) -> list[Passage]:
        return [
            Passage(source=source, text="\n\n".join(texts)[:MAX_PASSAGE_CHARS]) for source, texts in self.texts.items()
        ]

    def unmatched(self, sources: Iterable[str]) -> list[str]:
        """The words of the topic that no passage of `sources` contains."""
        found = {word for source in sources for word in self.matched.get(source, ())}
        return [word for word in self.words if word not in found]

    def add(self, found: Any) -> None:
        """Takes in what a tool returned; anything of another shape is passed over."""
        for item in found.get("results") or () if isinstance(found, dict) else ():
            source, text = _first(item, "source", "url", "link"), _first(item, "text", "description", "snippet")
            if source and text:
                texts = self.texts.setdefault(source, [])
                texts.extend([text] if text not in texts else [])
                self.matched.setdefault(source, set()).update(item.get("matched") or ())


async def gather(topic: str, also: Sequence[str], settings: Settings, ctx: AgentContext) -> Material:
    """A few passages for the topic as a whole, then a few more for each phrase of `also`."""
    material = Material()
    if settings.search != "web":
        await _search_documents(topic, also, settings, ctx, material)
    if settings.search != "documents":
        await _search_web(topic, also, settings, ctx, material)
    return material


async def _search_documents(
    topic: str, also: Sequence[str], settings: Settings, ctx: AgentContext, material: Material
) -> None:
    found = await _ask(DOCUMENTS, topic, ctx, limit=settings.passages)
    material.add(found)
    if isinstance(found, dict):
        material.words.update(dict.fromkeys(found.get("words") or ()))
    for phrase in also:
        material.add(await _ask(DOCUMENTS, phrase, ctx, limit=settings.passages_per_gap))
    alone = {phrase.casefold() for phrase in also} & material.words.keys()
    if alone:
        # A single word says too little to find the right passage: look for it among those that fit the whole topic.
        deeper = await _ask(DOCUMENTS, topic, ctx, limit=MAX_DEPTH)
        for word in sorted(alone):
            fitting = [item for item in deeper["results"] if word in (item.get("matched") or ())]
            material.add({"results": fitting[: settings.passages_per_gap]})


async def _search_web(
    topic: str, also: Sequence[str], settings: Settings, ctx: AgentContext, material: Material
) -> None:
    for number, query in enumerate([topic, *also][:MAX_WEB_QUERIES]):
        limit = settings.passages_per_gap if number else settings.passages
        # The service takes 400 characters and 50 words.
        material.add(await _ask(WEB, " ".join(query.split()[:50])[:400], ctx, count=limit))


async def _ask(tool: str, query: str, ctx: AgentContext, **limit: int) -> Any:
    if tool not in ctx.tools.names:
        raise StepError(
            FailureCode.INVALID_INPUT,
            f"The research agent was not given the tool {tool!r}. Install agentplat-tool-{tool.replace('_', '-')}.",
        )
    ctx.emit("searching", tool=tool, query=query[:200])
    return await ctx.tools.call(tool, query=query[:10_000], **limit)


def _first(item: Any, *names: str) -> str:
    found = (item.get(name) for name in names) if isinstance(item, dict) else ()
    return next((value.strip() for value in found if isinstance(value, str) and value.strip()), "")
