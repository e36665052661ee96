"""What a request meets before any route does: pure ASGI layers, each one thing that is refused; all are put on by `guarded`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from reverie.server.settings import Settings
from reverie.server.tokens import Caller, caller_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOADS = "/v1/uploads"  # where bodies are files
OPEN = (
    "/",
    "/healthz",
    "/readyz",
    "/v1/session",
)  # to who has no token yet, with all of STATIC: nothing private is there
STATIC = "/static/"
COOKIE = "reverie-token"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_BOUNDARY = re.compile(r'multipart/form-data; *boundary="?[A-Za-z0-9\'()+_,./:=? -]{1,70}"?', re.IGNORECASE)  # RFC 2046
log = logging.getLogger("reverie.server")


class Refused(Exception):
    """A request that is answered here."""

    def __init__(self, status: int, why: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.headers = status, why, headers or {}


def guarded(app: App, settings: Settings, tokens: dict[str, Caller] | None) -> App:
    """An application behind all layers: outermost the log, then headers, Host, Origin, token, type, size and pace of the body."""
    names = [*_LOOPBACK, settings.host, *filter(None, (settings.names or "").replace(" ", "").split(","))]
    checks = [host_check(names), origin_check, token_check(tokens), type_check]
    return logged(headed(checked(limited(app, settings.most_body, settings.most_upload, settings.patience), checks)))


def host_check(names: Collection[str]) -> Callable[[Scope], None]:
    """Refuses requests that call this server by a name it does not have, as a page that rebinds its own name to us would."""
    known = {name.lower() for name in names}

    def check(scope: Scope) -> None:
        host = re.sub(r":\d+$", "", _header(scope, "host").lower())
        if host not in known:
            raise Refused(421, "This server is not called so; who runs it can have it called so.")

    return check


def origin_check(scope: Scope) -> None:
    """Refuses changes that a page of another site asks for in a person's name."""
    if scope["method"] in _SAFE:
        return
    origin, site = _header(scope, "origin"), _header(scope, "sec-fetch-site")
    if (origin and urlsplit(origin).netloc.lower() != _header(scope, "host").lower()) or site == "cross-site":
        raise Refused(403, "Changes are taken from this server's own pages and from programs alone.")


def token_check(tokens: dict[str, Caller] | None) -> Callable[[Scope], None]:
    """Finds out who asks, by `Authorization: Bearer` or the page's cookie; without tokens it is this machine's own person."""

    def check(scope: Scope) -> None:
        scope.setdefault("state", {})
        if tokens is None:
            scope["state"]["caller"] = Caller("local", True)
            return
        if scope["path"] in OPEN or scope["path"].startswith(STATIC):
            return
        kind, _, given = _header(scope, "authorization").partition(" ")
        caller = caller_of(tokens, given.strip() if kind.lower() == "bearer" else _cookie(scope))
        if caller is None:
            raise Refused(401, "Give a token: Authorization: Bearer TOKEN.", {"www-authenticate": "Bearer"})
        scope["state"]["caller"] = caller

    return check


def type_check(scope: Scope) -> None:
    """Refuses changes that are no JSON: the types that a page of another site can send without asking are not among it."""
    if scope["method"] in _SAFE or scope["method"] == "DELETE":
        return
    kind = _header(scope, "content-type")
    if scope["path"].startswith(UPLOADS):
        if kind != "application/octet-stream" and not _BOUNDARY.fullmatch(kind):
            raise Refused(
                415, "Upload as application/octet-stream, or multipart/form-data with a boundary of at most 70."
            )
    elif kind.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "Send application/json.")


def checked(app: App, checks: Collection[Callable[[Scope], None]]) -> App:
    """Answers a request that a check refuses, before its body is read."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            try:
                for check in checks:
                    check(scope)
            except Refused as refused:
                await _answer(send, refused)
                return
        await app(scope, receive, send)

    return call


def limited(app: App, most: int, most_upload: int, patience: float) -> App:
    """Ends requests whose body is longer than may be, whatever they said of it, and those that come too slowly."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        limit = most_upload if scope["path"].startswith(UPLOADS) else most
        seen, whole, begun = 0, False, False
        refused: Refused | None = None

        async def heard() -> Message:
            nonlocal seen, whole, refused
            if whole:
                return await receive()  # waits for the client to go away, as long as the answer takes
            try:
                message = await asyncio.wait_for(receive(), patience)
            except TimeoutError:
                refused = Refused(408, f"Nothing came for {patience:g} seconds.")
                raise refused from None
            except asyncio.CancelledError:
                if begun:  # a stream that has ended listens to its client no longer
                    raise
                refused = Refused(503, "The server ends now. Send it again in a moment.")
                raise refused from None
            seen += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if seen > limit:
                refused = too_long
                raise refused
            return message

        async def said(message: Message) -> None:
            nonlocal begun
            if refused is None or begun:  # else the application makes an error of its own of the refusal
                begun = True
                await send(message)

        too_long = Refused(413, f"A body has at most {limit:,} bytes here.")
        length = _header(scope, "content-length") or "0"
        if not length.isdecimal() or len(length) > 18 or int(length) > limit:
            await _answer(send, too_long)
            return
        with contextlib.suppress(Refused):  # raised above, and answered below
            await app(scope, heard, said)
        if refused is not None and not begun:
            await _answer(send, refused)

    return call


def headed(app: App) -> App:
    """Adds headers that keep a browser from running, framing or sniffing what is sent, and a request id."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {**_HEADERS, "x-request-id": scope["state"]["request_id"]}
                if scope["path"].startswith("/v1"):
                    own["cache-control"] = "no-store"
                there = {name.lower() for name, _ in message.get("headers", [])}
                added = [(k.encode(), v.encode()) for k, v in own.items() if k.encode() not in there]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        await app(scope, receive, said)

    return call


def logged(app: App) -> App:
    """Writes a line of JSON for each request: no query, header or body, in which there could be a token or a person's data."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = secrets.token_hex(8)
        status, start = 500, time.monotonic()

        async def said(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await app(scope, receive, said)
        finally:
            caller = state.get("caller")
            facts = {
                "request": state["request_id"], "method": scope.get("method", ""), "path": scope["path"][:200], "status": status,
                "ms": round(1000 * (time.monotonic() - start), 1), "owner": caller.owner if caller else None,
                "job": state.get("job"),
            }  # fmt: skip
            log.info("request", extra={"facts": facts})

    return call


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"error": refused.why}).encode()
    own = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
    headers = [(k.encode(), v.encode()) for k, v in own.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, name: str) -> str:
    """A header as text, nothing where it is not there; one given twice is joined, and so fits no check."""
    wanted = name.encode()
    return ", ".join(value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted)


def _cookie(scope: Scope) -> str:
    pairs = (part.strip().partition("=") for part in _header(scope, "cookie").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")
