"""The application: routes, and how errors are said; `served` puts it behind `security`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

import reverie
from reverie.errors import ReverieError
from reverie.server.places import NoModel
from reverie.server.routes import health, models, page, tasks
from reverie.server.security import App, guarded
from reverie.server.settings import Settings


def application(settings: Settings) -> FastAPI:
    """The routes of a server, unguarded."""
    app = FastAPI(
        title="Reverie", version=reverie.__version__, docs_url=None, redoc_url=None
    )  # their pages load from outside
    app.state.settings = settings
    for routes in (health.routes, models.routes, tasks.routes_of(settings), page.routes_of()):
        app.include_router(routes)
    app.exception_handler(NoModel)(_said(404))
    app.exception_handler(ReverieError)(_said(400))
    app.exception_handler(RequestValidationError)(_misread)
    return app


def served(settings: Settings) -> App:
    """What a server runs; raises ReverieError for settings that cannot be."""
    settings.check()
    return guarded(application(settings), settings)


def _said(status: int) -> Any:
    """An answer with what a person is to read."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status)

    return answer


async def _misread(request: Request, error: Exception) -> JSONResponse:
    """What does not fit in a request, by where it is; what was sent is not sent back."""
    assert isinstance(error, RequestValidationError)
    problems = [{"where": _place(one["loc"]), "what": one["msg"]} for one in error.errors()[:20]]
    return JSONResponse({"error": "The request does not fit.", "problems": problems}, 422)


def _place(where: Sequence[Any]) -> str:
    return ".".join(str(part)[:100] for part in where)
