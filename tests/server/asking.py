"""Asking an application, as a server would hand it a request, byte for byte."""

import asyncio
import json
from urllib.parse import unquote

from reverie.server.service import Service


def asked(method, path, headers=None):
    """A request as a server hands it over; "x?y" has a query."""
    given = {"host": "localhost:8000", **(headers or {})}
    if method in ("POST", "PUT", "PATCH") and "content-type" not in given:
        given["content-type"] = "application/json"
    target, _, query = path.partition("?")
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": unquote(target),
        "scheme": "http",
        "raw_path": target.encode("utf-8", "surrogateescape"), "query_string": query.encode(), "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in given.items() if v is not None],
    }  # fmt: skip


def ask(app, method, path, headers=None, body=b"", pause=0.0):
    """The status, headers and body that come back; body: bytes, or parts that come `pause` seconds apart."""
    scope = asked(method, path, headers)
    parts = [body] if isinstance(body, bytes) else list(body)
    sent, left = [], parts.copy()

    async def receive():
        if not left:
            await asyncio.sleep(3600)
        if len(left) < len(parts):
            await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    asyncio.run(asyncio.wait_for(app(scope, receive, send), 20))
    start = next(m for m in sent if m["type"] == "http.response.start")
    found = {k.decode().lower(): v.decode() for k, v in start["headers"]}
    content = b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body")
    return start["status"], found, content


def told(answer):
    return json.loads(answer[2])


def post(app, path, value, headers=None):
    return ask(app, "POST", path, headers, json.dumps(value).encode())


def every_route(app):
    """Methods and path of every route that an application or router has, whatever it is included by."""
    for route in app.routes:
        if inner := getattr(route, "original_router", None):
            yield from every_route(inner)
        elif methods := getattr(route, "methods", None):
            yield from ((method, route.path) for method in sorted(methods))
        else:  # what is mounted
            yield "GET", route.path + "/{rest}"


class Stream:
    """A request whose answer comes bit by bit, within a running loop; leaving the block is the client going away."""

    def __init__(self, app, path, headers=None):
        self.app, self.scope, self.status, self.text = app, asked("GET", path, headers), None, ""
        self._gone, self._more = asyncio.Event(), asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(self.app(self.scope, self._receive(), self._send))
        return self

    async def __aexit__(self, *_):
        self._gone.set()
        await asyncio.wait_for(self.task, 10)

    def _receive(self):
        first = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if first:
                return first.pop()
            await self._gone.wait()
            return {"type": "http.disconnect"}

        return receive

    async def _send(self, message):
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()
        self._more.set()

    @property
    def events(self):
        """What came whole: (name, data)."""
        blocks = [b.split("\n") for b in self.text.split("\n\n")[:-1]]
        return [(b[0].removeprefix("event: "), json.loads(b[1].removeprefix("data: "))) for b in blocks if len(b) == 2]

    async def until(self, true):
        """Wait until `true` of the events."""
        async with asyncio.timeout(30):
            while not true(self.events):
                self._more.clear()
                await self._more.wait()
        return self.events


def opened(settings):
    """A service over a folder that tests share, each with a database of its own, as no person may."""
    (settings.folder / "database").unlink(missing_ok=True)
    return Service.open(settings)
