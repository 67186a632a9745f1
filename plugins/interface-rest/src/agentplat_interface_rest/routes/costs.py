"""What tasks cost: by user, and in all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from agentplat import Client, CostSummary, TaskFilter
from agentplat_interface_rest import models, shapes
from agentplat_interface_rest.openapi import responses

_NOTHING_FOUND = (
    "No task has this hash. By default e-mails are hashed with a key (HMAC-SHA-256), so the plain SHA-256 of an "
    'address finds nothing; the setting identity.hash = "sha256" gives those.'
)
UserHash = Annotated[str, Path(max_length=255, pattern=models.STORABLE, description="As in a task's `user_id_hash`.")]


def router(client: Client) -> APIRouter:
    """Costs; registered before `/tasks/{task_id}`, which would take `costs` for an id."""
    routes = APIRouter(tags=["costs"])

    @routes.get("/tasks/costs/by-user/{user_hash}", summary="Costs of one user", responses=responses(422, 503))
    async def by_user(user_hash: UserHash) -> models.UserCosts:
        """Sums over all tasks of the user. Costs that are not known are counted, not guessed."""
        return _user_costs(await client.costs(user_hash))

    @routes.get("/tasks/costs/summary", summary="Costs of everybody", responses=responses(503))
    async def summary() -> models.CostTotals:
        """The average is over the tasks of known cost; null when there are tasks and none is known."""
        costs = await client.costs()
        return models.CostTotals(
            unique_users=costs.users,
            total_tasks=costs.tasks,
            total_cost=shapes.known_cost(costs),
            avg_cost_per_task=shapes.average_cost(costs),
            unknown_cost_tasks=costs.unknown,
        )

    @routes.get("/admin/usage/{user_id_hash}", summary="Usage of one user", responses=responses(422, 503))
    async def usage(user_id_hash: UserHash) -> models.Usage:
        """Sums, and the ten newest tasks."""
        recent = await client.tasks(TaskFilter(user_hash=user_id_hash, limit=10))
        return models.Usage(
            **_user_costs(await client.costs(user_id_hash)).model_dump(),
            user_id_hash=user_id_hash,
            recent_tasks=[
                models.RecentTask(
                    id=task.id,
                    type=task.type,
                    status=task.status,
                    created_at=task.created_at,
                    cost=shapes.dollars(task.usage.cost),
                )
                for task in recent
            ],
        )

    return routes


def _user_costs(costs: CostSummary) -> models.UserCosts:
    return models.UserCosts(
        total_tasks=costs.tasks,
        total_input_tokens=costs.input_tokens,
        total_output_tokens=costs.output_tokens,
        total_cost=shapes.known_cost(costs),
        unknown_cost_tasks=costs.unknown,
        note=None if costs.tasks else _NOTHING_FOUND,
    )
