"""How a model learns, or learned; and which models workers have in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from reverie import storage
from reverie.server import roll
from reverie.server.places import NoModel, lies_in, model_at, place_of
from reverie.server.routes.jobs import Nothing
from reverie.server.routes.models import learns, state_of
from reverie.server.routes.parts import Here
from reverie.server.routes.strict import Strict
from reverie.server.service import Service
from reverie.server.wording import worded

MOST = 2_000  # steps that are told at once
LOG = "metrics.jsonl"
routes = APIRouter(prefix="/v1/models", tags=["models"], route_class=Strict)


class History(BaseModel):
    """What happened in a run, in order."""

    events: list[dict[str, Any]]
    next: int = Field(description="Give it as `after` to be told what came since.")
    state: str = Field(description="waiting, training, finished or stopped.")


@routes.get("/{name:path}:history")
def history(
    here: Here,
    name: str,
    after: Annotated[int, Query(ge=0, lt=2**31, description="Lines of its log that are known already.")] = 0,
) -> History:
    """A run's log: every look, note and picture, and of the steps at most 2,000, evenly."""
    folder = place_of(here.settings.runs, name)
    state = _state(here, name, folder)
    if not storage.is_run(folder) and state == "stopped":
        raise NoModel(f"There is no run {name!r}.")
    lines, total = _lines(folder / LOG, after) if lies_in(folder, folder / LOG) else ([], 0)
    events = here.plainly.json(_thinned([_told(one, name) for one in lines]))
    return History(events=events, next=total, state=state)


@routes.get("/{name:path}:sample", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
def sample(here: Here, name: str, file: Annotated[str, Query(pattern=r"^[0-9]{8}-(raw|ema)\.png$")]) -> FileResponse:
    """A picture of samples that was drawn while it learned."""
    folder = place_of(here.settings.runs, name)
    path = folder / "samples" / file
    if not lies_in(folder, path):
        raise NoModel(f"{name!r} has no such picture of samples.")
    return FileResponse(path, media_type="image/png")


@routes.post("/{name:path}:load", status_code=202, response_class=Response)
def load(here: Here, name: str, nothing: Nothing = Nothing()) -> Response:
    """Have every worker read a model into memory as soon as it has nothing else to do."""
    return _wish(here, name, load=True)


@routes.post("/{name:path}:unload", status_code=202, response_class=Response)
def unload(here: Here, name: str, nothing: Nothing = Nothing()) -> Response:
    """Have every worker let go of a model; a job that asks for it loads it again."""
    return _wish(here, name, load=False)


def _wish(here: Service, name: str, load: bool) -> Response:
    model_at(here.settings.runs, name)
    with here.database.writing() as session:
        roll.wish(session, name, load)
    return Response(status_code=202)


def _state(here: Service, name: str, folder: Path) -> str:
    return state_of(storage.is_model(folder), learns(here).get(name))


def _lines(path: Path, after: int) -> tuple[list[dict[str, Any]], int]:
    """Events behind the first `after` lines, and how many whole lines there are; from the start where it was begun anew."""
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    found = []
    for line in lines[after if after <= len(lines) else 0 :]:
        try:
            event = json.loads(line, parse_constant=lambda _: None)  # NaN is no JSON
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found, len(lines)


def _thinned(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but some of the steps; the last one stays."""
    steps = [k for k, event in enumerate(events) if event.get("event") == "step"]
    each = -(-len(steps) // MOST)
    kept = set(steps[::-1][::each]) if each else set()
    return [event for k, event in enumerate(events) if event.get("event") != "step" or k in kept]


def _told(event: dict[str, Any], name: str) -> dict[str, Any]:
    """Pictures by where they are asked for, notes in the words of the service."""
    if event.get("event") == "note":
        return {k: worded(v) if k == "text" else v for k, v in event.items()}
    if event.get("event") != "samples":
        return event
    at = f"/v1/models/{quote(name)}:sample?file="
    return {k: at + Path(v).name if k in ("raw", "ema") and isinstance(v, str) else v for k, v in event.items()}
