"""Each test is named after what it stops, on the whole application: a route that is new is attacked too."""

import io
import json
import pickle
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reverie.server.app import behind
from reverie.server.runner import runner
from reverie.server.settings import Settings
from tests.server.asking import ask, every_route, opened, post
from tests.server.toys import Heard, job

ESCAPES = [
    "..", "../..", "%2e%2e", "%2e%2e%2f%2e%2e", "%252e%252e%252f", "..%5c..", "..\\..", "%00", "toy%00.png", "/etc/passwd",
    "%2fetc%2fpasswd", "%0d%0aX-A: b", "//etc/passwd", "C:\\", "file:%2f%2f%2fetc%2fpasswd", "~root", ".reverie-server",
    ".reverie-server/server.db",
    "toy/../../x", "toy/./model.json", "toy/samples/..", "out", "out/toy", "%c0%ae%c0%ae", "\u2025", "a" * 5000, "*",
]  # fmt: skip
WORDS = (b"root:", b"Traceback", b"SQLite format", b"weights.safetensors")


@pytest.fixture(scope="module")
def open_app(runs, routes_alone, tmp_path_factory):
    """An application without tokens: nothing but its routes themselves refuses what is asked."""
    outside = tmp_path_factory.mktemp("outside")
    shutil.copytree(runs / "toy", outside / "toy")
    (runs / "out").symlink_to(outside)
    service = opened(Settings(runs=runs))
    yield behind(routes_alone, service)
    service.database.close()
    (runs / "out").unlink()


@pytest.fixture(scope="module")
def routes(routes_alone):
    return list(every_route(routes_alone))


def test_every_route_is_seen(open_app, routes):
    known = {path for _, path in routes}
    assert {"/v1/jobs/{id}", "/v1/models/{name:path}:sample", "/v1/artifacts/{id}:rows", "/v1/uploads/{id}"} <= known
    assert ask(open_app, "GET", "/v1/models/toy")[0] == 200


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda e: e[:30])
def test_stops_path_traversal_on_every_route(open_app, routes, escape):
    for method, path in routes:
        if "{" not in path:
            continue
        target = re.sub(r"\{[^}]+\}", lambda _: escape, path)
        status, headers, body = ask(open_app, method, target, {}, b"{}")
        assert status in (400, 404, 405, 422), (method, target, status, body[:300])
        assert not any(word in body for word in WORDS)
        assert "x-a" not in headers
    for file in (escape, f"{escape}/00000004-ema.png"):
        assert ask(open_app, "GET", f"/v1/models/toy:sample?file={file}")[0] in (404, 422)
    for field in ({"model": escape}, {"model": "new", "task": "train", "parameters": {"data": escape}}):
        status = post(open_app, "/v1/jobs", {"model": "toy", "task": "sample", **field})[0]
        word = status == 202 and Path(escape).name == escape and escape[0] not in ".~%\\"
        assert status in (404, 422) or word, field  # a word that names no data


def test_stops_links_that_lead_out_of_the_runs(open_app, runs):
    picture = runs / "toy" / "samples" / "00000009-ema.png"
    picture.symlink_to("/etc/passwd")
    try:
        for path in ("/v1/models/toy:picture", "/v1/models/toy:sample?file=00000009-ema.png", "/v1/models/out/toy"):
            status, _, body = ask(open_app, "GET", path)
            assert (status, b"root:" in body) == (404, False), path
    finally:
        picture.unlink()


def test_stops_unknown_keys_in_every_body(open_app, routes_alone):
    document = routes_alone.openapi()
    bodies = [
        (method, path) for path, methods in document["paths"].items() for method, about in methods.items()
        if "application/json" in about.get("requestBody", {}).get("content", {})
    ]  # fmt: skip
    assert len(bodies) >= 5
    for method, path in bodies:
        target = path.replace("{name}", "toy").replace("{id}", "0" * 32)
        value = {"model": "toy", "task": "sample", "token": "x", "unknown": 1}
        assert ask(open_app, method.upper(), target, {}, json.dumps(value).encode())[0] == 422, path


HOSTILE = [
    b"", b"{", b"[" * 50_000, b'{"model":"\\ud800","task":"sample","\\udfff":1}', b'{"task": ' + b"9" * 6_000 + b"}",
    b'{"model": "toy", "task": "sample", "parameters": {"n": 1e999}}',
    b'{"model": "toy", "task": "sample", "parameters": {"n": NaN}}',
    b'{"model": "toy", "model": "none", "task": "sample"}', b"\xff\xfe\x00", b"null", b'"' + b"x" * 10_000 + b'"',
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_stops_bodies_that_parsers_stumble_on(open_app, body):
    for path in ("/v1/jobs", "/v1/tasks:check", "/v1/session"):
        status, _, answer = ask(open_app, "POST", path, {}, body)
        assert status in (400, 404, 422), (path, status)
        assert b"Traceback" not in answer


def test_stops_cross_site_posts_and_forms_on_every_route_that_changes(open_app, routes):
    for method, path in routes:
        if method not in ("POST", "DELETE"):
            continue
        target = path.replace("{name:path}", "toy").replace("{id}", "0" * 32)
        assert ask(open_app, method, target, {"origin": "http://evil.example"}, b"{}")[0] == 403, path
        form = {"content-type": "application/x-www-form-urlencoded"}
        if method == "POST":
            assert ask(open_app, method, target, form, b"a=b")[0] == 415, path


def test_a_defect_is_told_by_its_request_and_not_by_its_traceback(open_app, monkeypatch):
    monkeypatch.setattr("reverie.server.routes.models.models", lambda runs: 1 / 0)
    sent = []

    async def send(message):
        sent.append(message)

    import asyncio

    from tests.server.asking import asked

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    with pytest.raises(ZeroDivisionError):  # for the log of who runs it
        asyncio.run(open_app(asked("GET", "/v1/models"), receive, send))
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == 500
    assert headers[b"x-request-id"] in sent[1]["body"]
    assert b"ZeroDivision" not in sent[1]["body"]


class Canary:
    """Sings where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def canaries(place, song):
    """Files of every kind that might be opened as a pickle."""
    own = pickle.dumps(Canary(song))
    array = np.array([Canary(song)], dtype=object)
    for name in ("a.pt", "a.pkl", "a.safetensors", "a.npy", "a.png", "a.csv", "a.parquet", "a.xlsx", "a.zip", "a"):
        (place / name).write_bytes(own)
    np.save(place / "objects.npy", array, allow_pickle=True)
    np.savez(place / "objects.npz", values=array, images=array, labels=array, times=array, lengths=array)
    with zipfile.ZipFile(place / "model.pt", "w") as archive:  # as torch.save writes
        archive.writestr("archive/data.pkl", own)
        archive.writestr("archive/version", "3")
    return sorted(place.iterdir())


@pytest.fixture(scope="module")
def verbs(runs):
    limits = {"most_pixels": 10_000, "most_rows": 1_000, "most_unpacked": 1_000_000}
    return runner(Settings(runs=runs, device="cpu", threads=1, **limits))


def refused(verbs, place, task, file, name="items", **more):
    (made,) = verbs.run([job(place / "jobs", f"{task}-{file.name}", task=task, inputs={name: file}, **more)], Heard())
    assert made.error, (task, file.name)
    assert "Traceback" not in made.error
    return made.error


def test_stops_canary_pickles_in_every_loader(verbs, tmp_path, runs):
    song = tmp_path / "song"
    (tmp_path / "cage").mkdir()
    with pytest.raises(TypeError), io.BytesIO(pickle.dumps(Canary(song))) as file:
        raise TypeError(pickle.load(file).close())
    assert song.exists()  # it does sing
    song.unlink()
    for file in canaries(tmp_path / "cage", song):
        for task in ("denoise", "detect", "encode", "decode"):
            refused(verbs, tmp_path, task, file)
        refused(verbs, tmp_path, "sample", file, "like")
        refused(verbs, tmp_path, "train", file, "data", model=f"new-{file.name.replace('.', '-')}", steps="2")
    shutil.copytree(runs / "toy", runs / "cuckoo")
    (runs / "cuckoo" / "weights.safetensors").write_bytes(pickle.dumps(Canary(song)))
    try:
        (made,) = verbs.run([job(tmp_path / "jobs", "cuckoo", model="cuckoo", n=1, steps=1)], Heard())
    finally:
        shutil.rmtree(runs / "cuckoo")
    assert made.error
    assert not song.exists()


def bombs(place):
    """Small files that unpack to much: more than the limits of this test, and in form what others do with terabytes."""
    pandas = pytest.importorskip("pandas")
    Image.new("1", (4_000, 4_000)).save(place / "bomb.png")
    Image.new("1", (4_000, 4_000)).save(place / "bomb.tif", compression="group4")
    with zipfile.ZipFile(place / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(5_000_000))
    np.savez_compressed(place / "bomb.npz", images=np.zeros((50, 400, 400), np.uint8))
    frame = pandas.DataFrame({"a": np.zeros(50_000)})
    frame.to_parquet(place / "bomb.parquet")
    frame.to_csv(place / "bomb.csv")
    with zipfile.ZipFile(place / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"<c/>" * 1_000_000)
    return sorted(place.iterdir())


def test_stops_decompression_bombs_before_anything_unpacks_them(verbs, tmp_path):
    (tmp_path / "bombs").mkdir()
    for file in bombs(tmp_path / "bombs"):
        assert file.stat().st_size < 500_000
        for task, name, more in (("denoise", "items", {}), ("train", "data", {"model": "new", "steps": "2"})):
            assert "this server takes" in refused(verbs, tmp_path, task, file, name, **more), file.name


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"steps": 500, "time_grid": "jumps:resamplings=10"}, "time_grid"),
        ({"time_grid": "jumps:resamplings=999999999"}, "999999999"),
        ({"steps": 900, "sampler": "annealed-langevin:inner=100"}, "sampler"),
        ({"sampler": "adaptive:max_nfe=100000"}, "100000"),
        ({"schedule": "linear-beta-chain:T=1000000000"}, "1000000000"),
        ({"steps": 200, "sampler": "restart:repeats=1000"}, "sampler"),
    ],
)
def test_stops_walks_that_texts_make_longer_than_may_be(verbs, tmp_path, parameters, word):
    (made,) = verbs.run([job(tmp_path, "long", n=1, **parameters)], Heard())
    assert word in made.error
    assert "this server" in made.error


def test_every_whole_number_that_lengthens_a_walk_is_known():
    """An option of samplers and grids that is a whole number either multiplies the walk, or is known not to."""
    from reverie import registry
    from reverie.server.limits import AGAIN

    harmless = {"order", "predictor", "length", "T", "steps", "max_nfe"}  # bounded by themselves or as whole numbers
    for room in ("samplers", "grids"):
        for name, kind in registry.registered(room).items():
            whole = {k for k, option in registry.options(kind).items() if option.type is int}
            assert whole <= harmless | set(AGAIN[room]), name


def test_stops_a_walk_that_takes_too_long(verbs, tmp_path, monkeypatch):
    monkeypatch.setattr(verbs, "_most", 0.001)
    (made,) = verbs.run([job(tmp_path, "slow", n=1, steps=9)], Heard())
    assert "longer than" in made.error


def test_messages_name_no_folder_of_the_servers(verbs, tmp_path):
    from reverie.server.told import Plainly

    plain = Plainly(tmp_path / "runs", tmp_path / "runs" / ".reverie-server")
    store = f"{tmp_path}/runs/.reverie-server"
    said = f"{store}/uploads/ab.png and {store}/staging/{'0' * 32}-3/x.png, {tmp_path}/runs/toy"
    assert plain.text(said) == "ab.png and x.png, toy"
    assert plain.json({"lines": [said]}) == {"lines": ["ab.png and x.png, toy"]}


def digits(place, count):
    """So many pictures that the toy takes."""
    np.save(place, np.arange(count * 64, dtype=np.uint8).reshape(count, 8, 8))
    return place


@pytest.mark.parametrize(
    ("task", "more", "said"),
    [
        ("denoise", {}, "10 inputs, 4 made of each: 40 in all"),
        ("augment", {"times": 4, "condition": "label=1"}, "10 inputs, 4 made of each: 40 in all"),
        ("restyle", {"samples": 4, "label": "1"}, "10 inputs, 4 made of each: 40 in all"),
    ],
)
def test_stops_jobs_that_make_more_than_may_be(verbs, tmp_path, monkeypatch, task, more, said):
    monkeypatch.setattr(verbs, "settings", replace(verbs.settings, most_items=39))
    assert said in refused(verbs, tmp_path, task, digits(tmp_path / "ten.npy", 10), steps=1, **more)


def test_files_that_readers_stumble_on_are_refused_and_not_tried_again(verbs, tmp_path):
    """What escapes from `run` would be tried three times."""
    workbook, quotes = tmp_path / "e.xlsx", tmp_path / "q.csv"
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    quotes.write_text('age,wage\n"' + "a," * 100_000)
    for file, said in ((workbook, "damaged Excel"), (quotes, "field larger")):
        assert said in refused(verbs, tmp_path, "train", file, "data", model="new", steps="2")


def test_words_that_are_no_data_have_one_answer(verbs, tmp_path, monkeypatch):
    """Whether there is such a file where the server runs is not told, nor what else is there."""
    (tmp_path / "here.csv").write_text("a,b\n1,2\n")
    (tmp_path / "runs-of-ann").mkdir()
    monkeypatch.chdir(tmp_path)
    said = {}
    for word in ("here.csv", "runs-of-an", "away.csv"):
        (made,) = verbs.run([job(tmp_path / "jobs", word, task="train", model="new", data=word, steps="2")], Heard())
        said[word] = made.error.replace(word, "")
    assert len(set(said.values())) == 1
    assert "digits" in said["here.csv"]
    assert "ann" not in said["here.csv"]
