"""Who asks; and a token kept as a cookie, for the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from reverie.server import schemas
from reverie.server.routes.parts import Asker, Here
from reverie.server.routes.strict import Strict
from reverie.server.security import COOKIE, Refused
from reverie.server.tokens import caller_of

AGE = 30 * 86_400  # seconds that a browser keeps it
routes = APIRouter(prefix="/v1", tags=["session"], route_class=Strict)


class Given(schemas.Part):
    """A token, as `reverie token` printed it."""

    token: Annotated[str, Field(min_length=1, max_length=200, pattern="^[A-Za-z0-9_-]+$")]


class Me(BaseModel):
    """Who asks."""

    owner: str
    admin: bool
    tokens: bool = Field(description="Whether this server asks for tokens.")


@routes.get("/me")
def me(here: Here, asker: Asker) -> Me:
    """Who asks, as the server sees it."""
    return Me(owner=asker.owner, admin=asker.admin, tokens=here.tokens is not None)


@routes.post("/session", status_code=204, response_class=Response)
def begin(given: Given, here: Here, request: Request) -> Response:
    """Have the browser send a token by itself from now on, in a cookie that no script can read."""
    response = Response(status_code=204)
    if here.tokens is None:
        return response
    if caller_of(here.tokens, given.token) is None:
        raise Refused(401, "This server knows no such token.")
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, given.token, max_age=AGE, httponly=True, samesite="strict", secure=secure)
    return response


@routes.delete("/session", status_code=204, response_class=Response)
def end() -> Response:
    """Have the browser forget it."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
