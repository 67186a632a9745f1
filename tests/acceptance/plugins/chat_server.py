"""A model on a real socket: it speaks the OpenAI chat protocol, quotes the sources it is given, and judges findings.

What it sends has every field that the real endpoint sends; it is the same shape that the provider's own tests check
against OpenAI's client.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-a-key-that-must-not-be-seen"
INPUT_TOKENS, OUTPUT_TOKENS = 1000, 100

_SOURCE = re.compile(r'<source number="(\d+)"[^>]*>\n(.*?)\n</source>', re.DOTALL)
_SENTENCE = re.compile(r"[^.!?]+[.!?](?=\s|$)")


class ChatServer(ThreadingHTTPServer):
    """Approves findings that mention `wanted`; before, it says that this is missing."""

    def __init__(self, wanted: str) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.wanted = wanted
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def answer(self, body: dict[str, Any]) -> str:
        """The text of the reply."""
        self.requests.append(body)
        said = body["messages"][-1]["content"]
        return json.dumps(self._judgement(said)) if "response_format" in body else _quoted(said)

    def _judgement(self, said: str) -> dict[str, Any]:
        findings = said.partition("<findings>")[2]
        is_there = self.wanted in findings
        return {
            "quality_score": 1.0 if is_there else 0.4,
            "approved": is_there,
            "missing": [] if is_there else [self.wanted],
            "strengths": ["Keeps to its sources."],
            "areas_for_improvement": [],
        }


@contextmanager
def chat_server(wanted: str) -> Iterator[ChatServer]:
    with ChatServer(wanted) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


def _quoted(said: str) -> str:
    """Every sentence of the sources, cited."""
    return "\n\n".join(
        " ".join(f"{found.strip()[:-1]} [{number}]." for found in _SENTENCE.findall(text))
        for number, text in _SOURCE.findall(said)
    )


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or self.headers["Authorization"] != f"Bearer {KEY}":
            fault = {"message": "No such key.", "type": "invalid_request_error", "param": None, "code": "invalid_key"}
            self._send(401, {"error": fault})
            return
        text = self.server.answer(body)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        self._send(
            200,
            {
                "id": f"chatcmpl-{len(self.server.requests)}",
                "object": "chat.completion",
                "created": 1_790_000_000,
                "model": f"{body['model']}-2026-10-01",
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
                "usage": {
                    "prompt_tokens": INPUT_TOKENS,
                    "completion_tokens": OUTPUT_TOKENS,
                    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
                    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 0},
                },
                "service_tier": "default",
                "system_fingerprint": None,
            },
        )

    def _send(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests say what they want to know."""
