"""What blocks and steps may tell the strategies, as JSON Schema."""

from __future__ import annotations

from agentplat import JsonObject, JsonValue


def options(**properties: JsonValue) -> JsonObject:
    """The schema of an object with these properties, none of them required."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def one_of(description: str, *words: str) -> JsonObject:
    """The schema of one of a few words, of which the first is the default."""
    return {"description": f"{description} Default: {words[0]}.", "enum": list(words)}


def between(description: str, least: int, most: int, default: int | None = None) -> JsonObject:
    """The schema of a whole number."""
    said = description if default is None else f"{description} Default: {default}."
    return {"description": said, "type": "integer", "minimum": least, "maximum": most}


def field(description: str) -> JsonObject:
    """The schema of the name of a field of outputs."""
    return {"description": description, "type": "string", "minLength": 1}


TURNS = between("How many turns there are at most.", 1, 400, 10)
ASK_AGAIN = between("How often in a row a step is asked again whose choice cannot be read.", 0, 10, 0)
NEXT = field("The field of an output that names the next step. Default: next.")

RULES = ("majority", "weighted", "judge")
VOTE = options(
    rule=one_of("What wins: more than half of the votes or of their weight, or what a judge says.", *RULES),
    samples=between("How often each step answers.", 1, 100, 1),
    field=field("The field of the answers that is compared. Default: the whole answer."),
    quorum=between("How many votes are enough when voters fail. Default: all of them.", 1, 1000),
    otherwise=one_of("What happens when no answer has more than half: fail, or the most votes win.", "fail", "most"),
)
WEIGHT = options(
    weight={
        "description": "How much the step's vote counts with the rule weighted. Default: 1.",
        "type": "number",
        "minimum": 0,
    }
)
DEBATE = options(
    rounds=between("How many rounds there are at most.", 1, 100, 2),
    judge=one_of("When the judge is asked.", "end", "each_round"),
)
SUPERVISOR = options(
    max_turns=TURNS,
    ask_again=ASK_AGAIN,
    field=NEXT,
    on_failure=one_of("What a failed worker does: the block fails, or the supervisor is told.", "fail", "tell"),
)
HANDOFF = options(
    max_turns=TURNS,
    ask_again=ASK_AGAIN,
    field=NEXT,
    window=between("In how many turns somebody else than the same two has to act. 0: never.", 0, 400, 6),
)
GROUP_CHAT = options(
    max_turns=TURNS,
    ask_again=ASK_AGAIN,
    field=NEXT,
    order=one_of("Who speaks next: the next one, or whom the last step selects.", "round_robin", "selected"),
)
PLAN_EXECUTE = options(
    ask_again=ASK_AGAIN,
    replan=one_of("When the planner is asked for another plan.", "on_failure", "always", "never"),
)
