"""Files that jobs made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from sqlalchemy import select

from reverie.errors import ReverieError
from reverie.server.database.tables import Artifact, Job
from reverie.server.routes.parts import Asker, Here, Id
from reverie.server.routes.strict import Strict
from reverie.server.service import Service
from reverie.server.tabular import Rows, rows_of
from reverie.server.views import NotThere, artifact_of
from reverie.tasks.parts.provenance import read_made

INLINE = ("image/png", "image/jpeg", "text/csv", "application/json", "audio/x-wav", "audio/wav", "text/plain")
_OWN = {"cache-control": "private, max-age=86400, immutable"}  # what lies behind an id never changes
routes = APIRouter(prefix="/v1/artifacts", tags=["artifacts"], route_class=Strict)


@routes.get("/{id}:settings")
def settings(here: Here, asker: Asker, id: Id) -> dict[str, Any]:
    """What made a file: the settings that it carries, or those of its job."""
    with here.database.reading() as session:
        found = artifact_of(session, id, asker)
        job = session.scalars(select(Job).where(Job.id == found.job)).one()
        asked = {"verb": job.task, "model": job.model, **(job.result or {}).get("parameters", job.parameters)}
    path = here.store.path(found.place)
    try:
        made: dict[str, Any] = here.plainly.json(read_made(path))
        return made
    except ReverieError:  # it carries none
        return asked


@routes.get("/{id}:rows")
def rows(
    here: Here,
    asker: Asker,
    id: Id,
    first: Annotated[int, Query(ge=0, lt=2**31, description="How many to leave out.")] = 0,
    most: Annotated[int, Query(ge=1, le=1_000, description="How many at most.")] = 50,
) -> Rows:
    """Rows of a table or of series."""
    with here.database.reading() as session:
        found = artifact_of(session, id, asker)
    return rows_of(_there(here, found), first, most)


@routes.get("/{id}", response_class=FileResponse)
def content(
    here: Here,
    asker: Asker,
    id: Id,
    download: Annotated[bool, Query(description="As a file to keep, whatever it is.")] = False,
) -> FileResponse:
    """The bytes; what a browser might run is sent as a file to keep."""
    with here.database.reading() as session:
        found = artifact_of(session, id, asker)
    path, shown = _there(here, found), found.media in INLINE
    return FileResponse(
        path, media_type=found.media if shown else "application/octet-stream", filename=found.name.rsplit("/", 1)[-1],
        content_disposition_type="inline" if shown and not download else "attachment", headers=_OWN,
    )  # fmt: skip


def _there(here: Service, found: Artifact) -> Path:
    """Where a file lies; raises NotThere for one that was removed in between."""
    path = here.store.path(found.place)
    if not path.is_file():
        raise NotThere(f"There is no artifact {found.id}.")
    return path
