"""A worker's part done by hand: what it claims, tells and makes, in the order that a test wants."""

import json

from reverie.server import queue
from tests.server.asking import ask, post, told

SAMPLE = {"model": "toy", "task": "sample", "parameters": {"n": 1, "steps": 2}}


def submit(app, headers, value=SAMPLE, **more):
    """A job's id."""
    status, _, body = post(app, "/v1/jobs", value, {**headers, **more})
    assert status == 202, body
    return json.loads(body)["id"]


def claim(service, worker="w"):
    with service.database.writing() as session:
        (found,) = queue.claim(session, worker, 60.0)
    return found


def finish(service, files):
    """End the oldest job with files of these names and bytes, and return its claim."""
    taken = claim(service)
    folder = service.store.stage(taken)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    made = service.store.seal(taken, [folder / name for name in files])
    with service.database.writing() as session:
        queue.succeed(session, taken, {"lines": ["done"], "parameters": {"n": 1, "seed": 7}}, made)
    return taken


def look(app, headers, id):
    return told(ask(app, "GET", f"/v1/jobs/{id}", headers))
