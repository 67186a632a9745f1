"""`/v1/approvals`, and the answers to them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from agentplat import Answer, ApprovalView, Client
from agentplat_interface_rest import workflow_models as models
from agentplat_interface_rest.limits import StrictJson
from agentplat_interface_rest.openapi import responses
from agentplat_interface_rest.routes.tasks import Wanted, known_id


def router(client: Client) -> APIRouter:
    """What people are asked, and what they say."""
    routes = APIRouter(prefix="/v1", tags=["v1"], route_class=StrictJson)

    @routes.get("/approvals", summary="Open approvals", responses=responses(422, 503))
    async def approvals(
        request: Request,
        response: Response,
        tenant_id: Wanted = None,
        assignee: Wanted = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[UUID | None, Query(description="From the `Link` header of the page before.")] = None,
    ) -> list[models.Approval]:
        """Those of the newest tasks first. A page ends with a whole task; the next is in the `Link` header."""
        found = await client.approvals(tenant=tenant_id, assignee=assignee, before=cursor, limit=limit)
        if len(found) >= limit:
            kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
            query = urlencode([*kept, ("cursor", str(found[-1].task_id))])
            response.headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
        return [_approval(view) for view in found]

    errors = responses(404, 409, 413, 415, 422, 503)

    @routes.post("/tasks/{task_id}:approve", summary="Approve what a task asks", responses=errors)
    async def approve(task_id: str, body: models.AnswerIn | None = None) -> models.Approval:
        """The first answer stays: 409 for every other one, and for an approval that is not open.

        `answers` is what the form asks for; 422 says with JSON pointers what does not fit.
        """
        return _approval(await client.answer(known_id(task_id), _answer(body, approved=True)))

    @routes.post("/tasks/{task_id}:reject", summary="Reject what a task asks", responses=errors)
    async def reject(task_id: str, body: models.AnswerIn | None = None) -> models.Approval:
        """As `:approve`. The form need not be filled in."""
        return _approval(await client.answer(known_id(task_id), _answer(body, approved=False)))

    return routes


def _answer(body: models.AnswerIn | None, *, approved: bool) -> Answer:
    said = body or models.AnswerIn()
    return Answer(approved=approved, path=said.step, by=said.user_id, answers=said.answers)


def _approval(view: ApprovalView) -> models.Approval:
    return models.Approval(
        task_id=view.task_id,
        task_type=view.task_type,
        tenant_id=view.tenant,
        step=view.path,
        message=view.message,
        assignee=view.assignee,
        form=None if view.form is None else dict(view.form),
        since=view.since,
        until=view.until,
    )
