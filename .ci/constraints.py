"""Writes the versions that were resolved into [tool.uv] of pyproject.toml; `--check` only compares.

`constraints.py <uv> [--check | --upgrade]`. Lock files carry the addresses of registries, and the repository
holds none of those: the closure is committed as constraints, from which uv resolves to the same versions.
"""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
BLOCK = re.compile(r"(?m)^(?:build-)?constraint-dependencies = \[\n(?:    .*\n)*\]\n")
BUILD = "hatchling"


def uv(program: str, *arguments: str) -> str:
    return subprocess.run([program, *arguments], cwd=PROJECT.parent, check=True, capture_output=True, text=True).stdout


def closure(program: str) -> list[str]:
    """The requirement lines of everything that the lock holds, without our own distributions."""
    flags = ["--no-hashes", "--no-emit-workspace", "--no-annotate", "--no-header", "--frozen"]
    return uv(program, "export", "--quiet", "--all-packages", "--all-groups", "--all-extras", *flags).splitlines()


def needed_to_build(lines: list[str]) -> list[str]:
    """Those of the lines that building a wheel needs."""
    known = {line.split("==")[0] for line in lines}
    waiting, names = [BUILD], set()
    while waiting:
        name = waiting.pop()
        if name in known and name not in names:
            names.add(name)
            waiting += [re.split(r"[^\w.-]", line)[0].lower() for line in metadata.requires(name) or []]
    return [line for line in lines if line.split("==")[0] in names]


def rendered(lines: list[str]) -> str:
    def block(name: str, of: list[str]) -> str:
        return f"{name} = [\n" + "".join(f'    "{line}",\n' for line in of) + "]\n"

    return block("constraint-dependencies", lines) + block("build-constraint-dependencies", needed_to_build(lines))


def main() -> int:
    program, *flags = sys.argv[1:]
    text = PROJECT.read_text(encoding="utf-8")
    if flags == ["--upgrade"]:
        PROJECT.write_text(BLOCK.sub("", text), encoding="utf-8")
        uv(program, "lock", "--upgrade")
    elif flags != ["--check"]:
        uv(program, "lock")
    bare = BLOCK.sub("", text)
    before, after = bare.split("[tool.uv.workspace]")
    wanted = f"{before.rstrip()}\n{rendered(closure(program))}\n[tool.uv.workspace]{after}"
    if flags == ["--check"]:
        if wanted != text:
            print("The constraints in pyproject.toml are not what is resolved: run `make constraints`.")  # noqa: T201
            return 1
        return 0
    PROJECT.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
