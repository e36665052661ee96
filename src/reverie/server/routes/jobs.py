"""Jobs: asked for, looked at, listed, canceled, removed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from reverie.errors import ReverieError
from reverie.server import queue, schemas
from reverie.server.database.tables import Job
from reverie.server.places import model_at, place_of
from reverie.server.routes.parts import Asker, Here, Id
from reverie.server.routes.strict import Strict
from reverie.server.service import Service
from reverie.server.settings import Settings
from reverie.server.tokens import Caller
from reverie.server.views import JobTold, job_of, jobs_told

LONGEST = 60  # seconds that an answer is waited for
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,9})(?:$|[,;\s])")

Key = Annotated[
    str | None,
    Header(
        pattern="^[\x20-\x7e]{1,200}$", description="The same key with the same body is the same job, asked for once."
    ),
]
Wait = Annotated[
    str | None, Header(max_length=200, description="wait=SECONDS: answer when the job has ended; at most 60.")
]
State = Literal["starting", "processing", "succeeded", "failed", "canceled"]
Step = Annotated[
    int | None,
    Query(ge=0, lt=2**63, description="Nothing is chosen by it: it makes the address of another step another one."),
]
Word = Annotated[str | None, Query(max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Nothing(schemas.Part):
    """A body in which nothing is to be said: {}."""


class Page(BaseModel):
    """Some jobs, the newest first."""

    jobs: list[JobTold]
    next: str | None  # give it as `before` for the following page


def routes_of(settings: Settings) -> APIRouter:
    """The routes, with the request model of every verb in them."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=Strict)
    routes.post("", status_code=202, responses={200: {"model": JobTold}})(
        schemas.taking(submit, job=schemas.any_request(settings))
    )
    routes.get("")(listed)
    routes.get("/{id}")(one)
    routes.post("/{id}:cancel")(cancel)
    routes.delete("/{id}", status_code=204, response_class=Response)(remove)
    pictured: Any = {200: {"content": {"image/png": {}}}, 204: {"description": "There is none now."}}
    routes.get("/{id}/preview", response_class=Response, responses=pictured)(preview)
    return routes


async def submit(
    job: schemas.Request, here: Here, asker: Asker, request: Request, response: Response,
    idempotency_key: Key = None, prefer: Wait = None,
) -> JobTold:  # fmt: skip
    """Put a job in the queue."""
    id = await run_in_threadpool(_submitted, here, asker, job, idempotency_key)
    request.state.job = id  # for the log
    response.headers["location"] = f"/v1/jobs/{id}"
    if (asked := _WAIT.search(prefer or "")) is None:
        return await run_in_threadpool(look, here, id, asker)
    wait = min(int(asked[1]), LONGEST)
    response.headers["preference-applied"] = f"wait={wait}"
    if (told := await _ended(here, id, wait)) is None:
        told = await run_in_threadpool(look, here, id, asker)
    response.status_code = 202 if told.finished is None else 200
    return told


def listed(
    here: Here,
    asker: Asker,
    state: State | None = None,
    model: Word = None,
    task: Word = None,
    most: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    before: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$", description="`next` of the page before.")] = None,
    everyone: Annotated[bool, Query(description="For an admin: the jobs of all owners.")] = False,
) -> Page:
    """Jobs, the newest first: the caller's own."""
    wanted = select(Job).order_by(Job.number.desc()).limit(most + 1)
    if not (everyone and asker.admin):
        wanted = wanted.where(Job.owner == asker.owner)
    for column, value in ((Job.state, state), (Job.model, model), (Job.task, task)):
        if value is not None:
            wanted = wanted.where(column == value)
    with here.database.reading() as session:
        if before is not None:
            wanted = wanted.where(Job.number < job_of(session, before, asker).number)
        jobs = session.scalars(wanted).all()
        return Page(jobs=jobs_told(session, jobs[:most]), next=jobs[most - 1].id if len(jobs) > most else None)


def one(here: Here, asker: Asker, id: Id) -> JobTold:
    """A job."""
    return look(here, id, asker)


def cancel(here: Here, asker: Asker, id: Id, nothing: Nothing = Nothing()) -> JobTold:
    """Have a job stopped: at once where it waits, within a step where it is worked on; an ended one stays as it is."""
    with here.database.writing() as session:
        job_of(session, id, asker)
        job = queue.cancel(session, id)
        return jobs_told(session, [job] if job else [])[0]


def remove(here: Here, asker: Asker, id: Id) -> Response:
    """Forget an ended job and its files."""
    with here.database.writing() as session:
        job_of(session, id, asker)
        places = queue.remove(session, id)
    here.store.remove(places)
    return Response(status_code=204)


def preview(here: Here, asker: Asker, id: Id, step: Step = None) -> Response:
    """The newest picture of a job in progress, a PNG; 204 where it has none."""
    with here.database.reading() as session:
        picture = job_of(session, id, asker).preview
    if picture is None:
        return Response(status_code=204)  # none yet, or it ended since its address was told
    return Response(picture, media_type="image/png")


def look(here: Service, id: str, asker: Caller) -> JobTold:
    """A job as it is now; raises NotThere."""
    with here.database.reading() as session:
        return jobs_told(session, [job_of(session, id, asker)])[0]


def _submitted(here: Service, asker: Caller, asked: schemas.Request, key: str | None) -> str:
    task = asked.command
    find: Callable[..., Any] = place_of if task == schemas.TRAIN else model_at
    find(here.settings.runs, asked.model)
    parameters, inputs = asked.given()
    words = {**parameters, **{k: v for k, v in inputs.items() if not k.startswith(schemas.TOLD)}}
    submit = functools.partial(
        queue.submit, owner=asker.owner, model=asked.model, task=task, parameters=parameters, inputs=inputs,
        batch_key=schemas.batch_key(asked.model, task, words), key=key, most=here.settings.most_queued,
    )  # fmt: skip
    return here.submissions.put(submit)


async def _ended(here: Service, id: str, wait: float) -> JobTold | None:
    """A job once it has ended; None where that takes more than `wait` seconds, or nobody else may watch."""
    with contextlib.suppress(TimeoutError, ReverieError):
        async with asyncio.timeout(wait), here.watchers.watch(id) as news:
            while (seen := await news.get()) is not None:
                if seen.told is not None:
                    return seen.told
    return None
