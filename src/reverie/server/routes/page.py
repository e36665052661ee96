"""The web page: `/`, and the files it is made of under `/static/VERSION/`; they are read once, at start, and no other ever is.

VERSION is of what the files hold: whoever has one of them need never ask again, and an upgrade is seen at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Response

from reverie.server.places import NoModel

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


@dataclass(frozen=True)
class File:
    """A file of the page as it is sent: its bytes and media type."""

    content: bytes
    media: str


def listed() -> dict[str, File]:
    """Every file of the page by its name; what is of no type that a page is made of is left in its folder."""
    found = {}
    for path in sorted(files("reverie.server").joinpath("page").iterdir(), key=lambda path: path.name):
        media = _TYPES.get(Path(path.name).suffix)
        if media is not None:
            found[path.name] = File(path.read_bytes(), media)
    return found


def routes_of() -> APIRouter:
    """The routes, with the files in memory."""
    routes, known = APIRouter(include_in_schema=False), listed()
    version = hashlib.sha256(b"".join(name.encode() + file.content for name, file in known.items())).hexdigest()[:16]
    page = known.pop(_INDEX)
    content = page.content.replace(b"/static/", f"/static/{version}/".encode())
    tag = f'"{version}"'

    @routes.get("/")
    def index(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """The page itself, or 304 for who has it as it is."""
        headers = {"etag": tag, "cache-control": "no-cache"}
        if if_none_match == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=page.media, headers=headers)

    @routes.get("/static/{asked}/{name}")
    def static(asked: str, name: str) -> Response:
        """A file of the page, by its whole name."""
        if asked != version or name not in known:
            raise NoModel("There is no such file.")
        file = known[name]
        return Response(
            file.content, media_type=file.media, headers={"cache-control": "public, max-age=31536000, immutable"}
        )

    return routes
