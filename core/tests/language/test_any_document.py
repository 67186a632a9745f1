"""Whatever is written in a file: it compiles, or it is refused with diagnostics. Nothing else comes out."""

from __future__ import annotations

import json
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from agentplat.domain.errors import WorkflowInvalid
from agentplat.domain.tree import build
from agentplat.language.compiler import compile_document, normalise
from agentplat.language.yaml import load

from .installed import Installed
from .test_compiler import OLD, WHOLE

PIECES = [
    *(
        "name: ",
        "steps:",
        "\n  - ",
        "agent: ",
        "tool: ",
        "wait: ",
        "until: ",
        "when: ",
        "input: ",
        "output: ",
        "retry: ",
    ),
    *(
        "${{ ",
        " }}",
        "steps.a.output",
        "input.x",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ": ",
        "- ",
        "'",
        '"',
        "|\n",
        ">-\n",
        "&a ",
        "*a",
    ),
    *(
        "!!str ",
        "? ",
        "#",
        "%",
        "1e999",
        ".nan",
        "0x",
        "null",
        "true",
        "on",
        "30s",
        "-1",
        "9" * 400,
        "é",
        "\x00",
        "\ud800",
    ),
    *("\u2028", "\t", "\n", "  ", "---\n", "research", "sequential", "type: object", "$ref: x", "pattern: (", "<<: "),
]


def check(text: str | bytes) -> None:
    diagnostics = outcome(text)
    assert all(line.startswith("w.yaml:") and "\n" not in line for line in diagnostics)


def outcome(text: str | bytes) -> tuple[str, ...]:
    """The diagnostics; none when the document compiles."""
    try:
        document = load(text, "w.yaml")
        workflow = compile_document(document, Installed())
    except WorkflowInvalid as error:
        return error.diagnostics or ("refused without a reason",)
    kept = json.loads(json.dumps(normalise(document), allow_nan=False))
    assert build(kept) == workflow
    return ()


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_bytes_are_compiled_or_refused(text: str | bytes) -> None:
    check(text)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_mixture_of_what_documents_are_made_of_is_compiled_or_refused(text: str) -> None:
    check(text)


@given(st.data())
def test_any_change_to_a_good_document_is_compiled_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([OLD, WHOLE]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.sampled_from([*PIECES, ""])) + text[end:]
    check(text)


KEYS = (
    "name steps agent tool wait retry timeout input when until options defaults on duration signal output max_attempts"
    " strategy convergence_check quality_threshold max_iterations budget wall_time version type properties foreach"
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(PIECES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["name", "steps", "input", "defaults", "budget", "options", "output"]), VALUES))
def test_any_value_at_any_key_is_compiled_or_refused(document: object) -> None:
    check(json.dumps(document))


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from agentplat.domain.errors import WorkflowInvalid
from agentplat.language.compiler import normalise
from agentplat.language.yaml import load

for text in sys.stdin.buffer.read().split(b"\\x1e"):
    try:
        normalise(load(text, "w.yaml"))
        print("compiled")
    except WorkflowInvalid as error:
        print(len(error.diagnostics))
"""


def large_documents() -> list[str]:
    whole = 256 * 1024 - 64
    repeated = [
        "a: ",
        "? ",
        "- ",
        "[",
        "{a: ",
        "- a\n",
        "a: b\n",
        "a: &x\n",
        "a: *x\n",
        "#",
        "---\n",
        "\u2028",
        "a: |\n  x\n",
    ]
    step = "name: w\nsteps: [{agent: a, input: '"
    return [
        *((piece * (whole // len(piece.encode()))) for piece in repeated),
        step + "${{ input.a }} " * 16_000 + "'}]",
        step + "${{ inptu.a + 1 }} " * 13_000 + "'}]",
        step + "${{ " * 60_000 + "'}]",
        "name: w\nsteps:\n" + "".join(f"- {{tool: t{n}, input: '${{{{ steps.x{n}.output }}}}'}}\n" for n in range(950)),
        "name: w\nsteps: [" + "{}, " * 4_000 + "]",
        "name: w\ninput: {a: {allOf: [" + "{type: string, minLength: 1}, " * 700 + "]}}\nsteps: [{agent: a}]",
        "name: w\ninput: {a: {pattern: '" + "(a|b)*" * 20_000 + "'}}\nsteps: [{agent: a}]",
        "".join(f"%TAG !a{n}! x\n" for n in range(12_000)),
    ]


def test_the_largest_documents_take_bounded_time_and_memory() -> None:
    texts = b"\x1e".join(text.encode() for text in large_documents())
    found = subprocess.run([sys.executable, "-c", LIMITED], input=texts, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr[-1_000:]
    assert len(found.stdout.split()) == len(large_documents())
