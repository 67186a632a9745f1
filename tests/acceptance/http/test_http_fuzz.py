"""Thousands of requests that nobody wrote, made from the OpenAPI document: no 500, and every answer as documented.

Another seed is another set of requests: AGENTPLAT_FUZZ_SEED, and AGENTPLAT_FUZZ_EXAMPLES for more of them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from .processes import Server

SEED = os.environ.get("AGENTPLAT_FUZZ_SEED", "1")
EXAMPLES = os.environ.get("AGENTPLAT_FUZZ_EXAMPLES", "10")
# A name that fits the schema need not be installed, nor an input fit the agent that it names.
EXCLUDED = "positive_data_acceptance"
HOOKS = """
import schemathesis

@schemathesis.hook
def before_call(context, case, kwargs):
    # Nobody works on the tasks of this server: whoever waits for an end waits for all of the time.
    if isinstance(case.body, dict) and isinstance(case.body.get("wait"), (int, float)) and 0 < case.body["wait"] <= 60:
        case.body["wait"] = 0.1
"""


def test_every_operation_answers_as_its_document_says(idle: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{idle.url}/openapi.json"]
    options = ["--phases=examples,coverage,fuzzing", f"--exclude-checks={EXCLUDED}", "--no-color"]
    bounds = [f"--max-examples={EXAMPLES}", f"--seed={SEED}", "--generation-database=none"]

    (tmp_path / "waiting.py").write_text(HOOKS)
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "waiting", "PYTHONPATH": str(tmp_path)}

    done = subprocess.run(
        [*command, *options, *bounds], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    tried = re.search(r"(\d+) generated", done.stdout)
    assert tried is not None, done.stdout
    assert int(tried[1]) > 300
    assert idle.get("/health").status_code == 200
    assert "request_failed" not in idle.api.written()
    assert "Traceback" not in idle.api.written()
