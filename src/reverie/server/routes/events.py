"""A job as it goes, by server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from reverie.errors import ReverieError
from reverie.server.routes.jobs import look
from reverie.server.routes.parts import Asker, Here, Id
from reverie.server.routes.strict import Strict
from reverie.server.service import Service
from reverie.server.tokens import Caller
from reverie.server.views import JobTold, preview_at

BEAT = 10.0  # seconds without news after which a comment says that the stream lives
routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=Strict)


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@routes.get("/{id}/events", response_class=EventStream)
async def events(here: Here, asker: Asker, id: Id) -> EventStream:
    """`event: job` at once, at every change of state and last; `event: progress` with each step that was seen."""
    told = await run_in_threadpool(look, here, id, asker)
    here.watchers.need_room()
    return EventStream(_stream(here, asker, told), headers={"x-accel-buffering": "no"})


async def _stream(here: Service, asker: Caller, told: JobTold) -> AsyncIterator[str]:
    try:
        async with here.watchers.watch(told.id) as news:
            yield _event("job", told.model_dump_json())
            while told.finished is None:
                try:
                    seen = await asyncio.wait_for(news.get(), BEAT)
                except TimeoutError:
                    yield ": nothing new\n\n"
                    continue
                if seen is None:
                    return
                if seen.standing == (told.state, told.cancel, told.attempts):
                    if seen.progress is not None:
                        yield _event("progress", _progress(told.id, seen.progress, seen.shown))
                    continue
                told = await run_in_threadpool(look, here, told.id, asker) if seen.told is None else seen.told
                yield _event("job", told.model_dump_json())
    except ReverieError:  # it was removed, or too many watch
        return


def _progress(id: str, progress: dict[str, Any], shown: int | None) -> str:
    return json.dumps({**progress, "preview": preview_at(id, shown)})


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
