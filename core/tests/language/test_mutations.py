"""Thousands of documents that nobody meant to write: each compiles or is refused, in little time and memory.

AGENTPLAT_DOCUMENTS=10000 tries so many (`make documents`), AGENTPLAT_DOCUMENTS_SEED= others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = int(os.environ.get("AGENTPLAT_DOCUMENTS", "500"))
SEED = int(os.environ.get("AGENTPLAT_DOCUMENTS_SEED", "2026"))
HERE = Path(__file__).parent
MEMORY = 64 << 20

PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from agentplat_testkit.documents import mutated
from agentplat.domain.errors import WorkflowInvalid
from agentplat.language.compiler import compile_document
from agentplat.language.yaml import load
sys.path.insert(0, sys.argv[1])
from installed import Installed

class Names(Installed):
    def agents(self):
        return [*super().agents(), "summarizer"]

NAMES = Names()
folders = [Path(sys.argv[1], "corpus"), *[Path(sys.argv[1], "good")] * 50, *[Path(sys.argv[4])] * 50]
files = [file for folder in folders for file in folder.rglob("*.yaml")]
documents = sorted(file.read_bytes().decode("utf-8", "replace") for file in files)
texts = list(mutated(documents, int(sys.argv[2]), int(sys.argv[3])))

def tried(text):
    try:
        compile_document(load(text.encode("utf-8", "surrogatepass"), "w.yaml"), NAMES)
    except WorkflowInvalid as error:
        assert error.diagnostics and all(line.startswith("w.yaml:") for line in error.diagnostics)
        return False
    return True

for text in documents:
    tried(text)  # what is imported and kept at first use belongs to no document
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
compiled, slowest, of = 0, 0.0, ""
for text in texts:
    started = time.process_time()
    try:
        compiled += tried(text)
    except BaseException as error:
        print(json.dumps({"fault": repr(error)[:500], "document": text[:5000]}))
        sys.exit(1)
    took = time.process_time() - started
    if took > slowest:
        slowest, of = took, text
print(json.dumps({"compiled": compiled, "refused": len(texts) - compiled, "slowest": slowest, "document": of}))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the size of a process is asked of /proc")
@pytest.mark.timeout(3600)
def test_no_document_is_answered_by_an_exception_or_takes_64_mib(capsys: pytest.CaptureFixture[str]) -> None:
    stock = HERE.parents[2] / "workflows" / "src"
    program = PROGRAM.replace("MEMORY", str(MEMORY))
    command = [sys.executable, "-c", program, str(HERE), str(COUNT), str(SEED), str(stock)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-5_000:]
    told = json.loads(ended.stdout)
    with capsys.disabled():
        first = " ".join(told["document"].split())[:60]
        size = len(told["document"])
        slowest = f"the slowest took {told['slowest'] * 1000:.0f} ms: {size} characters, {first!r}"
        sys.stdout.write(f"\n{told['compiled']} compiled, {told['refused']} refused; {slowest}\n")
    assert told["compiled"] + told["refused"] == COUNT
    assert told["compiled"] > COUNT / 50, "some have to be good, or the rest of the compiler is never reached"
    assert told["slowest"] < 5
