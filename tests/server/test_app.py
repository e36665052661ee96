"""What the application answers: models, tasks, what fits and what does not."""

import io
import json
import shutil

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


@pytest.fixture
def second(runs):
    """A place for another model than toy, which is gone after the test."""
    place = runs / "second"
    place.mkdir()
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("said", ['{"a":', "[]", '{"format": 5}', '{"format": 5, "codec": "image"}', None])
def test_a_damaged_model_is_told_of_and_takes_no_other_away(app, runs, second, said):
    if said is None:
        (second / "model.json").symlink_to(runs / "toy" / "model.json")
    else:
        (second / "model.json").write_text(said)
    status, _, body = ask(app, "GET", "/v1/models")
    damaged, toy = json.loads(body)["models"]
    assert (status, toy["name"], toy["kind"], toy["damaged"]) == (200, "toy", "image", None)
    assert (damaged["name"], damaged["kind"]) == ("second", None)
    assert damaged["damaged"].startswith("second/model.json")
    assert (status := ask(app, "GET", "/v1/models/second"))[0] == 409
    assert told(status)["error"] == damaged["damaged"]


def test_stops_links_among_a_models_own_files(app, runs, second, tmp_path):
    """Its card, and what it wrote while it learned."""
    (tmp_path / "secret").write_text('{"event": "secret"}\n')
    shutil.copy(runs / "toy" / "model.json", second)
    shutil.copy(runs / "toy" / "README.md", second)
    (second / "run.json").write_text("{}")
    (second / "metrics.jsonl").write_text('{"event": "note"}\n')
    assert "reverie" in told(ask(app, "GET", "/v1/models/second"))["card"]
    assert told(ask(app, "GET", "/v1/models/second:history"))["events"] == [{"event": "note"}]
    for name in ("README.md", "metrics.jsonl"):
        (second / name).unlink()
        (second / name).symlink_to(tmp_path / "secret")
    assert told(ask(app, "GET", "/v1/models/second"))["card"] == ""
    assert told(ask(app, "GET", "/v1/models/second:history"))["events"] == []


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"model": "toy",', "no JSON"),
        (b"[" * 50_000, "nested too deeply"),
        (b'{"task": ' + b"9" * 6_000 + b"}", "too many digits"),
        (b'{"model": "\xff"}', "no UTF-8"),
        (b'{"model": "toy", "task": "sample", "model": "toy"}', "'model' twice"),
        (b'{"model": "toy", "task": "sample", "parameters": {"n": 1, "n": 1}}', "'n' twice"),
    ],
)
def test_a_body_that_cannot_be_read_says_where_and_why(app, body, what):
    status, _, answer = ask(app, "POST", "/v1/tasks:check", {}, body)
    (problem,) = json.loads(answer)["problems"]
    assert (status, problem["where"]) == (422, "body")
    assert what in problem["what"]


def test_what_a_query_asks_in_vain_is_refused(app):
    for path, where in (
        ("/v1/jobs?first=1", ["query.first"]), ("/v1/jobs?most=2&most=3", ["query.most"]), ("/v1/server?x=1", ["query.x"]),
        ("/v1/models?limit=1&after=2&first=0", ["query.limit", "query.after"]),
    ):  # fmt: skip
        status, _, body = ask(app, "GET", path)
        assert (status, [one["where"] for one in json.loads(body)["problems"]]) == (422, where), path
    assert ask(app, "GET", "/v1/jobs?most=2&state=failed")[0] == 200
    assert ask(app, "GET", f"/v1/jobs/{'0' * 32}/preview?step=7")[0] == 404


def test_problems_are_told_in_the_senders_own_words(app):
    _, _, body = check(app, model="toy", task="sample", parameters={"n": 0})
    assert [one["where"] for one in json.loads(body)["problems"]] == ["body.parameters.n"]
    _, _, body = check(app, model="toy", task="upscale")
    assert json.loads(body)["problems"] == [
        {"where": "body", "what": "items is missing: give inputs.items, an upload's id"}
    ]
