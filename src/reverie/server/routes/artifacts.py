"""Files that jobs made."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from reverie.server.routes.parts import Asker, Here, Id
from reverie.server.views import NotThere, artifact_of

INLINE = ("image/png", "image/jpeg", "text/csv", "application/json", "audio/x-wav", "audio/wav", "text/plain")
_OWN = {"cache-control": "private, max-age=86400, immutable"}  # what lies behind an id never changes
routes = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])


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
    path = here.store.path(found.place)
    if not path.is_file():
        raise NotThere(f"There is no artifact {id}.")
    shown = found.media in INLINE
    return FileResponse(
        path, media_type=found.media if shown else "application/octet-stream", filename=found.name.rsplit("/", 1)[-1],
        content_disposition_type="inline" if shown and not download else "attachment", headers=_OWN,
    )  # fmt: skip
