"""What the application answers: models, tasks, what fits and what does not."""

import io
import json

import pytest
from PIL import Image

from reverie.server.app import application, behind
from reverie.server.settings import Settings
from reverie.tasks import tasks
from tests.server.asking import ask, opened, told


@pytest.fixture(scope="module")
def app(runs, routes_alone):
    service = opened(Settings(runs=runs))
    yield behind(routes_alone, service)
    service.database.close()


def check(app, **job):
    return ask(app, "POST", "/v1/tasks:check", {}, json.dumps(job).encode())


def test_it_lives(app):
    assert told(ask(app, "GET", "/healthz"))["status"] == "ok"


def test_models_are_listed_and_shown(app):
    assert [one["name"] for one in told(ask(app, "GET", "/v1/models"))["models"]] == ["toy"]
    assert told(ask(app, "GET", "/v1/models?first=1"))["models"] == []
    found = told(ask(app, "GET", "/v1/models/toy"))
    assert (found["kind"], found["finished"], found["picture"]) == ("image", True, True)
    assert found["conditions"]["label"]["classes"] == ["0", "1", "2"]
    assert "reverie" in found["card"]
    assert found["defaults"]["sampler"]
    status, headers, body = ask(app, "GET", "/v1/models/toy:picture")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(body)).size[0] > 8


@pytest.mark.parametrize(
    "name", ["none", "../toy", "..%2ftoy", "%2e%2e/toy", "..\\toy", "/etc", "toy/../toy", "toy\x00", "toy/checkpoints"]
)
def test_stops_path_traversal(app, name):
    for path in (f"/v1/models/{name}", f"/v1/models/{name}:picture"):
        status, _, body = ask(app, "GET", path)
        assert status == 404
        assert b"Traceback" not in body
    assert check(app, model=name, task="sample")[0] == 404


def test_every_task_is_in_the_openapi_document_and_in_the_list(app, runs):
    document = told(ask(app, "GET", "/openapi.json"))
    assert document == application(Settings(runs=runs)).openapi()
    names = {"train", *(task.command for task in tasks())}
    job = document["paths"]["/v1/tasks:check"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert job["discriminator"]["mapping"].keys() == names
    steps = document["components"]["schemas"]["SampleParameters"]["properties"]["steps"]
    assert "Steps of the sampler" in steps["description"]
    assert steps["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1000}
    listed = told(ask(app, "GET", "/v1/tasks"))
    assert listed.keys() == names
    assert all(one["meaning"] and one["request"]["properties"] for one in listed.values())


def test_a_request_is_held_against_the_verb_it_is_for(app):
    assert check(app, model="toy", task="sample", parameters={"n": 2})[0] == 204
    status, _, body = check(app, model="toy", task="sample", parameters={"n": "2", "film": "/tmp/a.gif"})
    assert status == 422
    assert {one["where"].split(".")[-1] for one in json.loads(body)["problems"]} == {"n", "film"}
    assert b"/tmp/a.gif" not in body
    for wrong in ({"task": "sample"}, {"model": "toy", "task": "dream"}, {"model": "toy", "task": "denoise"}, {}):
        assert check(app, **wrong)[0] == 422
    assert ask(app, "POST", "/v1/tasks:check", {}, b"{")[0] == 422
    assert ask(app, "POST", "/v1/tasks:check", {}, [b"{" * 600_000, b"{" * 600_000])[0] == 413


def test_asks_nothing_of_other_machines(app):
    for path in ("/docs", "/redoc"):  # whose pages load scripts from elsewhere
        assert ask(app, "GET", path)[0] == 404
