"""Says which tests show one promise of docs/explanation/guarantees.md: `promised.py <its heading, as in a link>`.

Without one, or with another, it says which there are.
"""

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "guarantees.md"
TEST = re.compile(r"^- `([\w/.-]+\.py(?:::\w+)+)`$", re.MULTILINE)


def promised(text: str) -> dict[str, list[str]]:
    """The tests of each promise, by its heading as links name it."""
    sections = (section.partition("\n") for section in text.split("\n## ")[1:])
    return {as_link(heading): tests for heading, _, rest in sections if (tests := TEST.findall(rest))}


def as_link(heading: str) -> str:
    """`A task has one writer` is `a-task-has-one-writer`."""
    return re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower()


if __name__ == "__main__":
    known = promised(PAGE.read_text(encoding="utf-8"))
    [wanted] = sys.argv[1:] or [""]
    if wanted not in known:
        sys.exit("\n".join(["There are these promises:", *known]))
    sys.stdout.write("\n".join(known[wanted]) + "\n")
