"""Whether the server lives."""

from __future__ import annotations

from fastapi import APIRouter

import reverie

routes = APIRouter(tags=["health"])


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok", "reverie": reverie.__version__}
