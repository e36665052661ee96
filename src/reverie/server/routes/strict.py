"""Requests are taken as they were meant or not at all: nothing in a query or a body that would be passed over in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class Unreadable(HTTPException):
    """A body that is no JSON, or says a thing twice."""

    def __init__(self, why: str) -> None:
        super().__init__(422, why)


class Strict(APIRoute):
    """A route that refuses parameters of a query that it does not know or is given twice, and keys that a body has twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        answer, known = super().get_route_handler(), [p.alias for p in self.dependant.query_params]

        async def call(request: Request) -> Response:
            given = [name for name, _ in request.query_params.multi_items()]
            there = f"there are {', '.join(known)}" if known else "there are none"
            odd = [(name, f"Nothing of that name is asked here; {there}") for name in given if name not in known]
            odd += [(name, "It is given twice") for name in known if given.count(name) > 1]
            if odd:
                raise RequestValidationError([{"loc": ("query", name), "msg": why} for name, why in odd])
            return await answer(_Read(request.scope, request.receive))

        return call


class _Read(Request):
    """A request whose body is read strictly."""

    async def json(self) -> Any:
        """The body; raises Unreadable."""
        try:
            return json.loads(await self.body(), object_pairs_hook=_once)
        except json.JSONDecodeError as error:
            raise Unreadable(f"This is no JSON: {error.msg}, line {error.lineno}, column {error.colno}") from error
        except UnicodeDecodeError as error:
            raise Unreadable(f"This is no UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}") from error
        except RecursionError as error:
            raise Unreadable("This is nested too deeply") from error
        except ValueError as error:
            raise Unreadable("A number in it has too many digits") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"It says {twice!r:.100} twice; say it once")
    return made
