"""Whether the server lives, whether it can work, and how it does."""

from __future__ import annotations

import shutil
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

import reverie
from reverie import registry
from reverie.server import roll
from reverie.server.database.migrate import at_head
from reverie.server.routes.parts import Here
from reverie.server.routes.strict import Strict
from reverie.server.service import Service

ROOM = 1_000_000  # bytes free on the disk, with less of which no job or upload can be counted on
routes = APIRouter(tags=["health"], route_class=Strict)


class About(BaseModel):
    """What a server is, and what it takes."""

    version: str
    limits: dict[str, int | float | str]
    kinds: dict[str, list[str]]
    device: str
    workers: list[dict[str, Any]]


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok", "reverie": reverie.__version__}


@routes.get("/readyz", responses={503: {"description": "What is missing."}})
def readyz(here: Here) -> JSONResponse:
    """Whether jobs would be done: the database answers and is of this version, the disk has room, a worker was seen of late."""
    missing = _missing(here)
    return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)


@routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(here: Here) -> Response:
    """Figures for Prometheus."""
    return Response(generate_latest(here.measures.registry), headers={"content-type": CONTENT_TYPE_LATEST})


@routes.get("/v1/server")
def about(here: Here) -> About:
    """Version, limits, which files are read, and who works."""
    limits = {k: v for k, v in vars(here.settings).items() if k.startswith("most_")}
    with here.database.reading() as session:
        workers = [
            {"id": one.id, "started": one.started, **(one.facts or {})}
            for one in roll.alive(session, here.settings.lease)
        ]
    return About(
        version=reverie.__version__, limits=limits, kinds=_kinds(), device=here.settings.device, workers=workers
    )  # fmt: skip


def _kinds() -> dict[str, list[str]]:
    """Kinds of data, and the endings of their files."""
    return {name: list(vars(codec)["suffixes"]) for name, codec in registry.registered("codecs").items()}


def _missing(here: Service) -> list[str]:
    try:
        if not at_head(here.database):
            return ["the database is of another version"]
        with here.database.reading() as session:
            seen = roll.alive(session, here.settings.lease)
    except SQLAlchemyError:
        return ["the database does not answer"]
    if shutil.disk_usage(here.store.root).free < ROOM:
        return ["the disk is full"]
    return [] if seen else ["no worker has been seen lately"]
