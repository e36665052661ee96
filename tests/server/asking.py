"""Asking an application, as a server would hand it a request, byte for byte."""

import asyncio
import json


def ask(app, method, path, headers=None, body=b"", pause=0.0):
    """The status, headers and body that come back; body: bytes, or parts that come `pause` seconds apart; "x?y" has a query."""
    given = {"host": "localhost:8000", **(headers or {})}
    if method in ("POST", "PUT", "PATCH") and "content-type" not in given:
        given["content-type"] = "application/json"
    parts = [body] if isinstance(body, bytes) else list(body)
    target, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": target, "scheme": "http",
        "raw_path": target.encode(), "query_string": query.encode(), "root_path": "", "client": ("127.0.0.1", 1), 
        "server": ("127.0.0.1", 8000),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in given.items() if v is not None],
    }  # fmt: skip
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
