"""Requests that nobody would write: no answer is a server error, none shows a traceback, and memory stays."""

import asyncio
import json
import random
import re
import string
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from reverie.server import roll
from reverie.server.app import application, served
from reverie.server.settings import Settings
from reverie.server.worker import memory
from tests.server.asking import ask, asked, every_route, opened, told
from tests.server.hands import SAMPLE, finish, submit

pytestmark = pytest.mark.slow
REQUESTS, WARM = 10_000, 1_000


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """A service without tokens, all of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'server.db'}"
    limits = {"most_queued": 50, "most_upload": 100_000, "most_body": 20_000}
    service = opened(Settings(runs=runs, database=url, **limits))
    with service.database.writing() as session:  # a worker that is seen for as long as the test takes
        roll.enlist(session, "w", "here", 1)
        session.flush()
        session.connection().exec_driver_sql("update worker set seen = seen + 1e6")
    yield service
    service.database.close()


def called_by_its_name(app):
    """An application that is asked by a client which calls it testserver."""

    async def call(scope, receive, send):
        others = [(key, value) for key, value in scope.get("headers", ()) if key != b"host"]
        await app({**scope, "headers": [*others, (b"host", b"localhost")]}, receive, send)

    return call


def test_answers_are_as_the_openapi_document_says(whole):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")
    known = pytest.importorskip("schemathesis.checks")
    checks = [
        known.not_a_server_error, known.status_code_conformance, known.content_type_conformance,
        known.response_schema_conformance, known.response_headers_conformance,
    ]  # fmt: skip
    document = schemathesis.openapi.from_asgi("/openapi.json", called_by_its_name(served(whole)))
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        if operation.path.endswith("/events"):  # which has no end
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def check(case):
            case.call_and_validate(checks=checks)

        check()


class Fuzz:
    """Requests from a seed: valid ones, bent in some place."""

    def __init__(self, seed, targets, known, documents):
        self.chance, self.targets, self.known, self.documents = random.Random(seed), targets, known, documents

    def request(self):
        pick, some = self.chance.choice, self.chance.random
        method, path = pick(self.targets) if some() < 0.9 else (pick(["GET", "POST", "PUT", "BREW"]), "/" + self.text())
        path = re.sub(r"\{[^}]*\}", lambda _: pick(self.known) if some() < 0.7 else self.text(), path)
        if some() < 0.5:
            path += "?" + "&".join(f"{pick(NAMES)}={pick([self.text(), self.number(), *self.known])}" for _ in range(2))
        headers = {"content-type": pick(TYPES)} if some() < 0.15 else {}
        for name in ("prefer", "idempotency-key", "range", "if-none-match", "cookie", "content-length", "origin"):
            if some() < 0.05:
                headers[name] = pick([self.text(), self.number(), "wait=0", "bytes=5-1", "bytes=0-0,2-3"])
        return method, path, headers, self.body()

    def body(self):
        kind = self.chance.random()
        if kind < 0.15:
            return self.chance.randbytes(self.chance.randrange(200))
        value = json.loads(json.dumps(self.chance.choice(self.documents)))
        while self.chance.random() < 0.4:
            self.bend(value)
        body = json.dumps(value).encode()
        return body[: self.chance.randrange(len(body))] if kind > 0.9 else body

    def bend(self, value):
        """Change one thing somewhere within."""
        while isinstance(value, dict) and value:
            key = self.chance.choice(list(value))
            if isinstance(value[key], dict) and self.chance.random() < 0.7:
                value = value[key]
                continue
            deed = self.chance.random()
            if deed < 0.2:
                del value[key]
            elif deed < 0.4:
                value[self.text()] = self.anything()
            else:
                value[key] = self.anything()
            return

    def anything(self):
        return self.chance.choice(
            [None, True, self.text(), float(self.number()), int(float(self.number())), [], {}, [self.text()] * 3, *self.known]
        )  # fmt: skip

    def number(self):
        return self.chance.choice(["0", "-1", "1e308", "9" * 20, "3", "0.5", str(2**63), str(-(2**63))])

    def text(self):
        letters = self.chance.choice([string.printable, "../%\\\x00", "é\u202e\ud800🎲", string.digits + "abcdef"])
        return "".join(self.chance.choices(letters, k=self.chance.choice([0, 1, 5, 32, 300])))


TYPES = [
    "application/json", "application/octet-stream", "multipart/form-data; boundary=b", "text/plain", "",
    "application/json; charset=x",
]  # fmt: skip
NAMES = ["most", "first", "before", "state", "file", "name", "after", "everyone", "download", "model", "step", "x"]


async def answer(app, method, path, headers, body):
    """Status and body, of a client that goes away at once."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]
    status, content = None, b""

    async def receive():
        await asyncio.sleep(0)
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message):
        nonlocal status, content
        status = message.get("status", status)
        content += message.get("body", b"")[:10_000]

    clean = {k: v.encode("latin-1", "replace").decode("latin-1") for k, v in headers.items()}
    scope = asked(method, path.encode("utf-8", "replace").decode(), clean)
    await asyncio.wait_for(app(scope, receive, send), 20)
    return status, content


def test_ten_thousand_requests_by_chance(whole, capsys):
    app = served(whole)
    done = submit(app, {})
    finish(whole, {"rows.csv": b"a\n1\n", "a.png": b"png"})
    files = [file["id"] for file in told(ask(app, "GET", f"/v1/jobs/{done}"))["artifacts"]]
    upload = told(ask(app, "POST", "/v1/uploads", {"content-type": "application/octet-stream"}, b"x"))["id"]
    targets = [one for one in every_route(application(whole.settings)) if one[0] != "HEAD"] + [("POST", "/v1/jobs")] * 4
    train = {
        "model": "new",
        "task": "train",
        "parameters": {"budget": "1m", "size": "tiny"},
        "inputs": {"data": upload},
    }
    edit = {"model": "toy", "task": "denoise", "parameters": {"steps": 3, "seed": 1}, "inputs": {"items": upload}}
    fuzz = Fuzz(0, targets, ["toy", done, submit(app, {}), *files, upload], [SAMPLE, train, edit, {"token": "x"}, {}])
    statuses, sizes = Counter(), []

    async def storm():
        for k in range(REQUESTS):
            if k == WARM:
                sizes.append(memory()["resident"])
            request = fuzz.request()
            status, content = await answer(app, *request)
            assert status is None or status < 500, (request, status, content)
            assert b"Traceback" not in content, request
            statuses[status] += 1
        sizes.append(memory()["resident"])

    asyncio.run(storm())
    grown = (sizes[1] - sizes[0]) / 1e6
    with capsys.disabled():
        print(
            f"\n{REQUESTS:,} requests, seed 0: {dict(sorted(statuses.items(), key=str))}; memory grew by {grown:.1f} MB"
        )
    assert grown < 200
    assert statuses[200] > 200  # it is not only the walls that were met
    assert min(statuses[202], statuses[429]) > 20
    assert statuses[404] > 200
