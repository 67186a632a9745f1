"""Votes for answers, and which answers are the same."""

from __future__ import annotations

from collections.abc import Mapping

from agentplat import JsonValue

Key = tuple[object, ...]


def key_of(answer: JsonValue) -> Key:
    """What equal answers share: texts but for capitals and space around them, numbers by value, objects by fields."""
    match answer:
        case None | bool():
            return (str(answer),)
        case int() | float():
            return ("number", answer)
        case str():
            return ("text", " ".join(answer.split()).casefold())
        case Mapping():
            return ("object", *sorted((name, key_of(value)) for name, value in answer.items()))
        case _:
            return ("list", *map(key_of, answer))


class Count:
    """Votes as they are added. Of two answers with as many votes the one that was added first is the better one."""

    def __init__(self) -> None:
        self.cast: float = 0
        self._votes: dict[Key, float] = {}
        self._answers: dict[Key, JsonValue] = {}

    def add(self, key: Key, answer: JsonValue, weight: float) -> None:
        self.cast += weight
        self._votes[key] = self._votes.get(key, 0) + weight
        self._answers.setdefault(key, answer)

    def of(self, key: Key) -> float:
        """The votes for an answer."""
        return self._votes[key]

    @property
    def best(self) -> Key | None:
        return max(self._votes, key=lambda key: self._votes[key], default=None)

    @property
    def answers(self) -> list[JsonValue]:
        """All answers with their votes, the best ones first."""
        ordered = sorted(self._votes, key=lambda key: -self._votes[key])
        return [{"answer": self._answers[key], "votes": self._votes[key]} for key in ordered]

    def result(self, winner: Key) -> JsonValue:
        """What the block gives when this answer wins."""
        return {"answer": self._answers[winner], "votes": self._votes[winner], "of": self.cast, "answers": self.answers}
