"""Uploads: files that jobs are given."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from reverie.errors import ReverieError
from reverie.server import queue
from reverie.server.database.tables import Upload
from reverie.server.names import plain
from reverie.server.routes.parts import Asker, Here, Id
from reverie.server.routes.strict import Strict
from reverie.server.service import Service
from reverie.server.store import Received, TooLarge
from reverie.server.tokens import Caller
from reverie.server.views import UploadTold, upload_of, upload_told

_PART = 1 << 20  # bytes that are written at once
_ENDING = re.compile(r"(\.[a-z0-9]{1,8})?\.(gz|bz2|xz|zst)$|\.[a-z0-9]{1,8}$")
_BODIES = {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "format": "binary"}},
        }
    },
}
Name = Annotated[
    str | None,
    Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="What to call it; its ending tells its kind."),
]
routes = APIRouter(prefix="/v1/uploads", tags=["uploads"], route_class=Strict)


class Uploads(BaseModel):
    """The newest first."""

    uploads: list[UploadTold]
    next: str | None  # give it as `before` for the following page


@routes.post("", status_code=201, openapi_extra={"requestBody": {"required": True, "content": _BODIES}})
async def upload(
    request: Request,
    here: Here,
    asker: Asker,
    name: Name = None,
) -> UploadTold:
    """Keep a file: the body itself, or the one part `file` of a form."""
    if not request.headers["content-type"].lower().startswith("multipart/"):
        return await _kept(here, asker, request.stream(), plain(name or ""))
    async with request.form(max_files=1, max_fields=0) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise ReverieError("The form has no file: send it as the part `file`, with a file name.")
        return await _kept(here, asker, _parts_of(file), plain(name or file.filename or ""))


@routes.get("")
def listed(
    here: Here,
    asker: Asker,
    most: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    before: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$", description="`next` of the page before.")] = None,
) -> Uploads:
    """The caller's own uploads, the newest first."""
    wanted = select(Upload).where(Upload.owner == asker.owner).order_by(Upload.created.desc(), Upload.id.desc())
    with here.database.reading() as session:
        if before is not None:
            last = upload_of(session, before, asker)
            older = (Upload.created == last.created) & (Upload.id < last.id)
            wanted = wanted.where((Upload.created < last.created) | older)
        found = session.scalars(wanted.limit(most + 1)).all()
    told = [upload_told(one) for one in found[:most]]
    return Uploads(uploads=told, next=told[-1].id if len(found) > most else None)


@routes.get("/{id}")
def one(here: Here, asker: Asker, id: Id) -> UploadTold:
    """What is known of an upload; its bytes are given to jobs alone."""
    with here.database.reading() as session:
        return upload_told(upload_of(session, id, asker))


@routes.delete("/{id}", status_code=204, response_class=Response)
def remove(here: Here, asker: Asker, id: Id) -> Response:
    """Forget an upload that no job needs any more."""
    with here.database.writing() as session:
        upload_of(session, id, asker)
        places = queue.remove_upload(session, id)
    here.store.remove(places)
    return Response(status_code=204)


async def _kept(here: Service, asker: Caller, chunks: AsyncIterator[bytes], name: str) -> UploadTold:
    """Write a file as it comes, in threads, and announce it once it is whole."""
    match = _ENDING.search(name.lower())
    await run_in_threadpool(_need_room, here, asker, 1)
    incoming = await run_in_threadpool(here.store.incoming, match[0] if match else "", here.settings.most_upload)
    try:
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= _PART:
                await run_in_threadpool(incoming.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(incoming.write, bytes(waiting))
        received = await run_in_threadpool(incoming.finish)
    finally:
        await run_in_threadpool(incoming.drop)
    return await run_in_threadpool(_announced, here, asker, received, name)


def _announced(here: Service, asker: Caller, received: Received, name: str) -> UploadTold:
    with here.database.writing() as session:
        try:
            _check_quota(here, session, asker, received.size)
        except TooLarge:
            here.store.remove([received.place])
            raise
        made = Upload(
            id=received.id, place=received.place, name=name, owner=asker.owner, size=received.size, sha256=received.sha256
        )  # fmt: skip
        session.add(made)
        session.flush()
        return upload_told(made)


def _need_room(here: Service, asker: Caller, size: int) -> None:
    """Refuse before anything is read what cannot be kept; raises TooLarge."""
    with here.database.reading() as session:
        _check_quota(here, session, asker, size)


def _check_quota(here: Service, session: Session, asker: Caller, size: int) -> None:
    """Refuse `size` more bytes than all uploads of an owner may have; raises TooLarge."""
    most = here.settings.most_uploads
    held = session.scalar(select(func.sum(Upload.size)).where(Upload.owner == asker.owner)) or 0
    if held + size > most:
        raise TooLarge(
            f"Your uploads hold {held:,} bytes, and all of them together may have {most:,} here. Remove some that no job "
            f"needs (GET, then DELETE, /v1/uploads); those of {here.settings.keep_days:g} days go by themselves."
        )


async def _parts_of(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(_PART):
        yield part
