"""What routes are given beside what is asked: the service, and who asks; and the ids in their paths."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from reverie.server.service import Service
from reverie.server.tokens import Caller


async def _service(request: Request) -> Service:  # async: what is plain goes to another thread and back
    found: Service = request.app.state.service
    return found


async def _caller(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


Here = Annotated[Service, Depends(_service)]
Asker = Annotated[Caller, Depends(_caller)]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="32 hexadecimal digits, as the server gave them.")]
