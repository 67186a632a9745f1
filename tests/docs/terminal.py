"""Does what a page says, as its reader would: writes its files, types its commands, compares what comes back.

A `console` block holds commands after `$ ` and what they print. In the printed part `...` stands for anything, spaces
and line breaks count alike, times are whatever they are, and an id stands for the real one from then on. A command ends
well, or the page asks `echo $?` next.

A `console` block with a title, such as "second terminal", is typed into a terminal of that name. Its last command stays
up until a block there says `^C`; the page goes on as soon as it has printed what the block says.

Any other block whose title is the name of a file becomes that file, below the folder in which the first terminal is.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .pages import Block

PATIENCE = 180.0
_SHOWN = 3_000
_MARK = "what-comes-next-is-the-exit-code"
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MASKS = (
    (r"\d{4}-\d\d-\d\d", "<date>"),
    (r"\d\d:\d\d:\d\d(\.\d+)?", "<time>"),
    (r"bash: line \d+: +\d+ Killed.*\n", ""),  # the shell's own word about what was killed on purpose
)


class Surprise(AssertionError):
    """Something else happened than the page says."""


def masked(text: str) -> str:
    """The text without what differs from run to run, on one line."""
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return " ".join(text.split())


def compared(expected: str, printed: str, *, whole: bool = True) -> dict[str, str] | None:
    """The real id for each id in what a page says, if that was printed; with `whole`, and nothing else."""
    parts = (re.escape(part.strip()) for part in masked(expected).split("..."))
    pattern, text = r"\s*.*?\s*".join(parts), masked(printed)
    written = re.findall(_ID, pattern.replace("\\-", "-"))
    for known in written:
        pattern = pattern.replace(re.escape(known), f"({_ID})", 1)
    found = re.fullmatch(pattern, text) if whole else re.search(pattern, text)
    return dict(zip(written, found.groups(), strict=True)) if found else None


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a `console` block with what the page says that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        end = next((i for i, line in enumerate(lines) if not line.endswith("\\")), len(lines) - 1)
        yield "\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :])


class Terminal:
    """One shell."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def type(self, command: str) -> tuple[str, int]:
        """What the command printed, and its exit code, which `$?` keeps."""
        self._write(f"{command}\n_code=$?; printf '\\n%s %s\\n' {_MARK} $_code; (exit $_code)\n")
        printed = self._read_until(re.compile(rf"\n{_MARK} (\d+)\n"), command)
        output, _, code = printed.rpartition(f"\n{_MARK} ")
        return output, int(code)

    def start(self, command: str, expected: str) -> None:
        """Type a command that stays up, and wait until it has printed what is expected."""
        self._write(f"{command}\n")
        printed, end = "", time.monotonic() + PATIENCE
        while compared(expected, printed, whole=False) is None:
            printed += self._read(command, printed, end)

    def close(self) -> None:
        """Ctrl-C, and if that does not help, the end."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._shell.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._shell.communicate(timeout=10)
                return

    def _write(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()

    def _read_until(self, mark: "re.Pattern[str]", command: str) -> str:
        printed, end = "", time.monotonic() + PATIENCE
        while not mark.search(printed):
            printed += self._read(command, printed, end)
        return printed

    def _read(self, command: str, printed: str, end: float) -> str:
        assert self._shell.stdout is not None
        ready, _, _ = select.select([self._shell.stdout], [], [], max(end - time.monotonic(), 0.0))
        more = os.read(self._shell.stdout.fileno(), 65536) if ready else b""
        if not more:
            raise Surprise(f"$ {command}\ndid not come to where the page says. It printed:\n{printed[-_SHOWN:]}")
        return more.decode(errors="replace")


@dataclass
class Desk:
    """The terminals of one reader. `replaced` are texts that are other ones here: ports, addresses."""

    folder: Path
    variables: Mapping[str, str]
    replaced: dict[str, str] = field(default_factory=dict)
    _terminals: dict[str, Terminal] = field(default_factory=dict)

    def follow(self, blocks: Iterable[Block]) -> None:
        """Do what the blocks say, in order. Surprise where something else happens."""
        try:
            for block in blocks:
                if block.language == "console":
                    self._type(block)
                elif block.title:
                    file = self._here() / block.title
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(self._translated(block.text), encoding="utf-8")
        finally:
            for terminal in self._terminals.values():
                terminal.close()

    def _type(self, block: Block) -> None:
        if block.text.strip() == "^C":
            self._terminals.pop(block.title).close()
            return
        typed = list(commands(block.text))
        terminal = self._terminal(block.title)
        for number, texts in enumerate(typed):
            command, expected = map(self._translated, texts)
            following = typed[number + 1][0] if number + 1 < len(typed) else ""
            if block.title and not following:
                terminal.start(command, expected)
                continue
            printed, code = terminal.type(command)
            ids = compared(expected, printed) if expected.strip() else {}
            if ids is None or (code and following != "echo $?"):
                raise Surprise(f"{block.place}\n$ {command}\nended with {code}:\n{printed[-_SHOWN:]}\nnot:\n{expected}")
            self.replaced.update(ids)

    def _terminal(self, title: str) -> Terminal:
        if title not in self._terminals:
            self._terminals[title] = Terminal(self._here() if title else self.folder, self.variables)
        return self._terminals[title]

    def _here(self) -> Path:
        return Path(self._terminal("").type("pwd")[0].strip())

    def _translated(self, text: str) -> str:
        for written, real in self.replaced.items():
            text = text.replace(written, real)
        return text
