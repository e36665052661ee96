"""Models: which there are, what each is, and how its samples looked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from sqlalchemy import select

from reverie import files, storage
from reverie.errors import ReverieError
from reverie.server import roll, schemas
from reverie.server.database.tables import PROCESSING, STARTING, Job
from reverie.server.places import Damaged, NoModel, lies_in, model_at, models
from reverie.server.routes.parts import Here
from reverie.server.routes.strict import Strict
from reverie.server.service import Service

routes = APIRouter(prefix="/v1/models", tags=["models"], route_class=Strict)


@routes.get("")
def listed(
    here: Here,
    first: Annotated[int, Query(ge=0, lt=2**31, description="How many to leave out.")] = 0,
    most: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 100,
) -> dict[str, Any]:
    """Every model and run, in the order of their names."""
    names, loaded, learning = list(models(here.settings.runs)), _loaded(here), learns(here)
    found = [{**_short(here, name), "loaded": name in loaded} for name in names[first : first + most]]
    found = [{**one, "state": state_of(one["finished"], learning.get(one["name"]))} for one in found]
    return {"total": len(names), "models": found}


@routes.get("/{name:path}:picture", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
def picture(
    here: Here,
    name: str,
    written: Annotated[
        float | None, Query(description="When it was, so that who keeps pictures asks for a newer one.")
    ] = None,
) -> FileResponse:
    """The newest samples that were drawn while it was trained."""
    folder = model_at(here.settings.runs, name)
    found = sorted((folder / "samples").glob("*-ema.png"))
    if not found or not lies_in(folder, found[-1]):
        raise NoModel(f"{name!r} has no picture of samples.")
    return FileResponse(found[-1], media_type="image/png")


@routes.get("/{name:path}")
def one(here: Here, name: str) -> dict[str, Any]:
    """A model: what it is of, what it is told, how it samples by default, and its card."""
    folder = model_at(here.settings.runs, name)
    where = folder if storage.is_model(folder) else storage.newest_checkpoint(folder) or folder
    card = where / "README.md"
    found: dict[str, Any] = {
        **_described(where),
        "name": name,
        "finished": where == folder,
        "state": state_of(where == folder, learns(here).get(name)),
        "card": card.read_text(encoding="utf-8", errors="replace") if lies_in(where, card) else "",
        "picture": any((folder / "samples").glob("*-ema.png")),
        "loaded": name in _loaded(here),
    }
    return found | {k: here.plainly.json(found[k]) for k in ("training", "card")}


def _described(where: Path) -> dict[str, Any]:
    """What a model or checkpoint says of itself; raises Damaged."""
    path = where / storage.DESCRIPTION
    if not lies_in(where, path):
        raise Damaged(f"{path} is a link out of its folder. Copy the model itself.")
    try:
        return _told(storage.migrate(files.read_json(path), where))
    except ReverieError as error:
        raise Damaged(str(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is not what a model says of itself. Copy or train the model again.") from error


def _told(about: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": about["codec"]["name"],
        "codec": about["codec"],
        "conditions": {k: {n: v for n, v in c.items() if n != "frequencies"} for k, c in about["conditions"].items()},
        "defaults": about["sampling"],
        "parameters": about.get("weights", {}).get("parameters"),
        "training": {k: v for k, v in about["training"].items() if k != "settings"},
    }


def learns(here: Service) -> dict[str, str]:
    """Of the models that a job trains or is to train, that job's state: processing where there are several."""
    wanted = select(Job.model, Job.state).where(Job.task == schemas.TRAIN, Job.state.in_((STARTING, PROCESSING)))
    with here.database.reading() as session:
        return {row[0]: row[1] for row in session.execute(wanted.order_by(Job.state.desc()))}


def state_of(finished: bool, job: str | None) -> str:
    """What a run is, by what lies there and the job that trains it."""
    if job is not None:
        return "training" if job == PROCESSING else "waiting"
    return "finished" if finished else "stopped"


def _loaded(here: Service) -> set[str]:
    """Models that a worker has in memory."""
    with here.database.reading() as session:
        workers = roll.alive(session, here.settings.lease)
    return {name for worker in workers for name in (worker.facts or {}).get("models", [])}


def _short(here: Service, name: str) -> dict[str, Any]:
    """A model in a list: whether it is finished, what it is of (None before its first checkpoint), what is wrong with its files
    (None where nothing is), when it was last written.
    """
    folder, kind, damaged = here.settings.runs / name, None, None
    written = folder / (storage.DESCRIPTION if storage.is_model(folder) else "run.json")
    where = folder if storage.is_model(folder) else storage.newest_checkpoint(folder)
    try:
        kind = None if where is None else _described(where)["kind"]
    except Damaged as error:
        damaged = here.plainly.text(str(error))
    return {
        "name": name,
        "finished": storage.is_model(folder),
        "kind": kind,
        "damaged": damaged,
        "picture": where is not None and any((folder / "samples").glob("*-ema.png")),
        "written": written.stat().st_mtime,
    }
