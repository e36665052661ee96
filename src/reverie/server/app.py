"""The application: routes, and how errors are said; `served` puts it behind `security`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.exceptions import HTTPException

import reverie
from reverie.errors import ReverieError
from reverie.server.database.engine import full
from reverie.server.places import Damaged, NoModel
from reverie.server.queue import KeyReused, QueueFull, StillNeeded, UnknownInput
from reverie.server.routes import artifacts, events, health, jobs, models, page, runs, session, tasks, uploads
from reverie.server.routes.strict import Unreadable
from reverie.server.schemas import tasks_known
from reverie.server.security import App, Refused, guarded
from reverie.server.service import Service
from reverie.server.settings import Settings
from reverie.server.store import NoRoom, TooLarge
from reverie.server.views import NotThere
from reverie.server.watching import TooManyWatchers
from reverie.server.wording import worded

_STATUS = {
    Damaged: 409, NoRoom: 507, NoModel: 404, NotThere: 404, UnknownInput: 404, KeyReused: 409, StillNeeded: 409, TooLarge: 413,
    QueueFull: 429,
    TooManyWatchers: 429, ReverieError: 400,
}  # fmt: skip


_OURS = "Value error, "  # which pydantic puts before sentences of ours


class Problem(BaseModel):
    """One thing that does not fit."""

    where: str = Field(description="Which part of the request, as body.parameters.n.")
    what: str


class Said(BaseModel):
    """What a person is to read where a request is not answered."""

    error: str
    problems: list[Problem] = []


def application(settings: Settings) -> FastAPI:
    """The routes of a server, unguarded; they need `app.state.service` to answer."""
    said: dict[int | str, dict[str, Any]] = {status: {"model": Said} for status in (422, "4XX", 503)}
    app = FastAPI(
        title="Reverie",
        version=reverie.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=said,
    )  # their pages load from outside
    own = (jobs.routes_of(settings), tasks.routes_of(settings))
    for routes in (
        health.routes, session.routes, runs.routes, models.routes, *own, events.routes, artifacts.routes, uploads.routes,
        page.routes_of(),
    ):  # fmt: skip
        app.include_router(routes)
    for kind, status in _STATUS.items():
        app.exception_handler(kind)(_said(status))
    app.exception_handler(Refused)(_refused)
    app.exception_handler(RequestValidationError)(_misread)
    app.exception_handler(Unreadable)(_unread)
    app.exception_handler(HTTPException)(_known)
    for away in (OperationalError, InterfaceError):
        app.exception_handler(away)(_away)
    app.exception_handler(Exception)(_defect)
    return app


def served(service: Service) -> App:
    """What a server runs."""
    return behind(application(service.settings), service)


def behind(app: FastAPI, service: Service) -> App:
    """An application that answers for a service, behind its walls, with its answers counted."""
    app.state.service = service
    return service.measures.counted(guarded(app, service.settings, service.tokens))


def _said(status: int) -> Any:
    """An answer with what a person is to read, and when to come again where that is known."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        after = getattr(error, "retry_after", None)
        plainly = request.app.state.service.plainly  # no folder of the server's
        return _answer(status, plainly.text(str(error)), {} if after is None else {"retry-after": str(after)})

    return answer


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return _answer(error.status, error.why, error.headers)


async def _known(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses: no such route or method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, f"{error.detail}.".replace("..", "."), dict(error.headers or {}))


async def _unread(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Unreadable)
    return _unfit([{"where": "body", "what": _printable(error.detail)}])


async def _away(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OperationalError | InterfaceError)
    if full(error):
        return _answer(
            507, "The server's disk is full: nothing is taken now. Try again later, or tell who runs it.", {}
        )
    return _answer(503, "The database does not answer now. Try again in a moment.", {"retry-after": "5"})


async def _defect(request: Request, error: Exception) -> JSONResponse:
    """What nobody foresaw; the traceback is in the log, by the request's id."""
    return _answer(500, f"A defect of the server's; its log tells more, by request {request.state.request_id}.", {})


async def _misread(request: Request, error: Exception) -> JSONResponse:
    """What does not fit in a request, by where it is; what was sent is not sent back. A path that fits nothing is nowhere."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(one["loc"][0] == "path" for one in found):
        return _answer(404, "There is nothing of that name.", {})
    return _unfit(
        [{"where": _place(one["loc"]), "what": _printable(one["msg"].removeprefix(_OURS))} for one in found[:20]]
    )


def _unfit(problems: list[dict[str, str]]) -> JSONResponse:
    return JSONResponse({"error": "The request does not fit.", "problems": problems}, 422)


def _answer(status: int, why: str, headers: dict[str, str]) -> JSONResponse:
    return JSONResponse({"error": _printable(worded(why))}, status, headers)


def _place(where: Sequence[Any]) -> str:
    """A place as the sender knows it: without the task's name, by which the framework chooses what to hold a job against."""
    own = [*where[:1], *where[2:]] if where[0] == "body" and where[1:2] and where[1] in tasks_known() else where
    return _printable(".".join(str(part)[:100] for part in own))


def _printable(text: str) -> str:
    """Text that can be sent: half a surrogate pair, which JSON may hold, cannot."""
    return text.encode("utf-8", "replace").decode()
