"""What can be asked of a model: every verb, as its own signature says it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from reverie.server import schemas
from reverie.server.places import model_at, place_of
from reverie.server.routes.parts import Here
from reverie.server.routes.strict import Strict
from reverie.server.settings import Settings


def routes_of(settings: Settings) -> APIRouter:
    """The routes, with the request model of every verb in them."""
    routes = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=Strict)
    routes.get("")(listed)
    taking = schemas.taking(check, job=schemas.any_request(settings))
    routes.post(":check", status_code=204, response_class=Response)(taking)
    return routes


def listed(here: Here) -> dict[str, Any]:
    """Every task: what it says of itself, and its request as JSON Schema, from which a form can be made."""
    return {
        name: {"meaning": schemas.meaning_of(name), "request": kind.model_json_schema()}
        for name, kind in schemas.requests(here.settings).items()
    }


def check(job: schemas.Request, here: Here) -> Response:
    """Whether a job would be taken; nothing is queued."""
    find = place_of if job.command == schemas.TRAIN else model_at
    find(here.settings.runs, job.model)
    return Response(status_code=204)
