"""`/v1/workflows`: read, check and put workflow files, and look at their versions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from agentplat import Client, Diagnostic, InputRejected, NotFound, WorkflowFile
from agentplat_interface_rest import workflow_models as models
from agentplat_interface_rest.limits import StrictJson
from agentplat_interface_rest.openapi import responses

_TAG = r'(?:W/)?"[^"]*"|[^\s",*]+'
_TAGS = re.compile(rf"(?:{_TAG})(?:\s*,\s*(?:{_TAG}))*")
_OF_NO_TEXT = ""
Match = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The `etag` of the text that is replaced, or `*`. None: the workflow is a new one.",
    ),
]
Hash = Annotated[str | None, Query(max_length=64, description="The beginning of a hash.")]


def router(client: Client) -> APIRouter:
    """The operations on workflow files and versions."""
    routes = APIRouter(prefix="/v1", tags=["v1"], route_class=StrictJson)

    @routes.post("/workflows:validate", summary="Check a workflow", responses=responses(413, 415, 422))
    def validate(body: models.WorkflowIn) -> models.Checked:
        """Every fault of a document at once, held against the agents, tools and strategies that are installed here."""
        found = _diagnostics(client.check_workflow(body.text))
        return models.Checked(valid=not found, diagnostics=found)

    @routes.get("/workflows/{name}", summary="A workflow's file", responses=responses(404))
    def read(name: str, response: Response) -> models.WorkflowFile:
        """The text, the version that new tasks use, and what is wrong with the text if that is an older one."""
        return _file(client.workflow_file(name), response)

    @routes.put("/workflows/{name}", summary="Put a workflow", responses=responses(409, 412, 413, 415, 422, 503))
    async def put(name: str, body: models.WorkflowIn, response: Response, match: Match = None) -> models.WorkflowFile:
        """New tasks use it from now on; tasks that are under way keep what they began with.

        412 when the file is not the one that `If-Match` names, or is there and nothing was named. 422 with all
        diagnostics when it is not valid; then nothing changes.
        """
        expected = _expected(client, name, match) if match is not None else None
        return _file(await client.put_workflow(name, body.text, expected), response)

    @routes.get("/workflows/{name}/versions", summary="A workflow's versions", responses=responses(404, 503))
    async def versions(name: str) -> list[models.WorkflowVersion]:
        """Newest first: those that were put or given to a task, and the one that the next task gets."""
        return [
            models.WorkflowVersion(
                hash=version.hash, version=version.version, since=version.since, current=version.is_current
            )
            for version in await client.workflow_versions(name)
        ]

    @routes.get("/workflows/{name}/diff", summary="What differs between versions", responses=responses(404, 422, 503))
    async def diff(name: str, before: Hash = None, after: Hash = None) -> models.Difference:
        """By default from the newest version before it to the current one."""
        return models.Difference(diff=await client.workflow_diff(name, before, after))

    return routes


def _expected(client: Client, name: str, match: str) -> str:
    """The tag of the text that is there, if the header names it; otherwise that of no text. InputRejected."""
    said = match.strip()
    if said != "*" and not _TAGS.fullmatch(said):
        raise InputRejected("The request", [("/header/If-Match", "is no list of etags, and not `*`")])
    try:
        found = client.workflow_file(name).text_hash
    except NotFound:
        return _OF_NO_TEXT
    # A weak one says that texts are alike, which is not enough to replace one.
    named = [tag.strip('"') for tag in re.findall(_TAG, said) if not tag.startswith("W/")]
    return found if said == "*" or found in named else _OF_NO_TEXT


def _file(file: WorkflowFile, response: Response) -> models.WorkflowFile:
    response.headers["ETag"] = f'"{file.text_hash}"'
    return models.WorkflowFile(
        name=file.name,
        text=file.text,
        etag=file.text_hash,
        hash=file.hash,
        editable=file.is_ours,
        diagnostics=_diagnostics(file.diagnostics),
    )


def _diagnostics(lines: Sequence[str]) -> list[models.Diagnostic]:
    found = map(Diagnostic.read, lines)
    return [models.Diagnostic(line=at.line, column=at.column, code=at.code, detail=at.detail) for at in found]
