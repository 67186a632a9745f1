"""The OpenAPI document: what FastAPI derives from the routes, with our errors in place of its own, and examples."""

from __future__ import annotations

import http
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from agentplat_interface_rest import models
from agentplat_interface_rest.examples import EXAMPLES, problem_example
from agentplat_interface_rest.problems import MEDIA_TYPE

_COMPONENTS = "#/components/schemas/"
_UNUSED = ("HTTPValidationError", "ValidationError")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation says about its errors."""
    return {
        status: {
            "description": http.HTTPStatus(status).phrase,
            "content": {
                MEDIA_TYPE: {"schema": {"$ref": f"{_COMPONENTS}Problem"}, "example": problem_example(status)},
            },
        }
        for status in statuses
    }


class DescribedApp(FastAPI):
    """An application whose document names the errors that it really gives."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _document(self)
        return self.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    problem = models.Problem.model_json_schema(ref_template=_COMPONENTS + "{model}")
    schemas: dict[str, Any] = document["components"]["schemas"]
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        answers = operation["responses"]
        if _refers_to(answers.get("422", {}), _UNUSED):
            del answers["422"]
        for medium in _media(operation):
            if "example" not in medium:
                medium["example"] = _example(medium["schema"])
    for unused in _UNUSED:
        schemas.pop(unused, None)
    return document


def _media(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for answer in operation["responses"].values():
        yield from answer.get("content", {}).values()


def _refers_to(answer: dict[str, Any], names: tuple[str, ...]) -> bool:
    return any(
        medium["schema"].get("$ref", "").removeprefix(_COMPONENTS) in names
        for medium in answer.get("content", {}).values()
    )


def _example(schema: dict[str, Any]) -> Any:
    if schema.get("type") == "array":
        return [_example(schema["items"])]
    if "anyOf" in schema:  # a body that may be left out
        return _example(schema["anyOf"][0])
    return EXAMPLES[schema["$ref"].removeprefix(_COMPONENTS)]
