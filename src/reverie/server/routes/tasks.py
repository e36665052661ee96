"""What can be asked of a model: every verb, as its own signature says it."""

from typing import Any

from fastapi import APIRouter, Response

from reverie.server import schemas
from reverie.server.places import model_at, place_of
from reverie.server.settings import Settings


def routes_of(settings: Settings) -> APIRouter:
    """The routes, with the request model of every verb in them."""
    routes = APIRouter(prefix="/v1/tasks", tags=["tasks"])
    anything = schemas.any_request(settings)

    @routes.get("")
    def listed() -> dict[str, Any]:
        """Every task: what it says of itself, and its request as JSON Schema, from which a form can be made."""
        return {
            name: {"meaning": schemas.meaning_of(name), "request": kind.model_json_schema()}
            for name, kind in schemas.requests(settings).items()
        }

    @routes.post(":check", status_code=204)
    def check(job: anything) -> Response:  # type: ignore[valid-type]
        """Whether a job would be taken; nothing is queued."""
        asked: schemas.Request = job
        find = place_of if isinstance(job, schemas.requests(settings)[schemas.TRAIN]) else model_at
        find(settings.runs, asked.model)
        return Response(status_code=204)

    return routes
