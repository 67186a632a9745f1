"""What the calculator takes and returns."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Input", "Output"]


class Input(BaseModel):
    """One expression. Its length and its numbers are bounded where it is evaluated, with a position in the fault."""

    model_config = ConfigDict(extra="forbid")

    expression: str = Field(
        description=(
            "Arithmetic with + - * / // % ** and parentheses; functions sqrt, abs, round, min, max, log, exp, sin, "
            "cos, tan; constants pi, e. A point is the decimal mark; no thousands separators, no variables."
        ),
        examples=["(17.5 + 3) * 2**10 / 7", "round(sqrt(2), 3)", "log(1024, 2)"],
    )


class Output(BaseModel):
    """An integer when the result is exactly one, else the nearest floating-point number. Never NaN or infinite."""

    result: int | float
