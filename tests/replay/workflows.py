"""The workflows whose histories are recorded: those of the strategies' pages, and some in which much is nested."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentplat.language.yaml import Document, load

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "strategies"
_FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
NESTED = """
name: everything
strategy: dag
steps:
  - name: gather
    strategy: parallel
    join: any
    steps:
      - {name: fast, agent: reader, retry: {max_attempts: 3, backoff: linear, initial: 1s}}
      - {name: slow, strategy: sequential, steps: [{name: first, agent: reader}, {name: second, agent: writer}]}
  - {name: sign, wait: {signal: approve, timeout: 1h}}
  - name: polish
    needs: [gather]
    strategy: iterative_refinement
    max_iterations: 3
    until: ${{ steps.check.output.good }}
    steps:
      - {name: text, strategy: vote, samples: 3, otherwise: most, steps: [{name: voice, agent: writer}]}
      - {name: check, agent: critic, when: "${{ iteration < 3 }}"}
  - {name: pause, needs: [polish], wait: {duration: 5s}}
  - {name: send, needs: [pause, sign], needed: settled, agent: writer, input: {of: "${{ steps.polish.output.status }}"}}
output: {sent: "${{ steps.send.output.result }}"}
"""
CHILDREN = """
name: orders
input: {topic: string, depth: {type: integer, default: 0}}
steps:
  - name: each
    workflow: orders
    when: ${{ (input.depth | default(0)) < 3 }}
    foreach: [ants, bees, wasps]
    max_parallel: 2
    join: settled
    input: {topic: "${{ item }}", depth: "${{ (input.depth | default(0)) + 1 }}"}
    concurrency: {key: "${{ item }}", limit: 1}
    retry: {max_attempts: 2, initial: 1s}
    timeout: 1h
  - name: side
    strategy: parallel
    join: any
    steps:
      - {name: near, agent: reader}
      - {name: far, agent: writer, queue: far, retry: {max_attempts: 3, initial: 1s}}
  - {name: pay, agent: writer, queue: bank, compensate: {workflow: orders, name: refund, input: {topic: refund}}}
  - {name: last, agent: reader}
"""
SAID = {"check": [{"good": False}, {"good": True}], "voice": [{"result": "a"}, {"result": "b"}]}


def documents() -> Iterator[tuple[Document, dict[str, Any]]]:
    """Each document, with what its steps may say."""
    for page in sorted(PAGES.glob("*.md")):
        texts = {Path(title).name: text for title, text in _FILE.findall(page.read_text(encoding="utf-8"))}
        for name, text in texts.items():
            if name.endswith(".yaml") and name != "agents.yaml":
                yield load(text, name), json.loads(texts["said.json"])
    yield load(NESTED, "everything.yaml"), SAID
    yield load(CHILDREN, "orders.yaml"), {}
