"""Jobs over HTTP: asked for, seen by their owner alone, listed, canceled, removed; and the files they made."""

import io
import json
import threading
import time

import numpy as np
import pytest

from reverie.server import queue, roll
from reverie.server.database.tables import Job
from reverie.server.routes import jobs
from tests.server.asking import ask, post, told
from tests.server.hands import SAMPLE, claim, finish, look, submit


def test_a_job_is_queued_and_told(app, ann):
    status, headers, body = post(app, "/v1/jobs", SAMPLE, ann)
    job = json.loads(body)
    assert (status, headers["location"]) == (202, f"/v1/jobs/{job['id']}")
    assert {k: job[k] for k in ("model", "task", "state", "parameters", "ahead", "result")} == {
        "model": "toy", "task": "sample", "state": "starting", "parameters": {"n": 1, "steps": 2}, "ahead": 0, "result": None,
    }  # fmt: skip
    second = submit(app, ann)
    assert look(app, ann, second)["ahead"] == 1


def test_a_finished_job_has_its_result_its_files_and_their_bytes(app, service, ann):
    id = submit(app, ann)
    finish(service, {"a.png": b"png", "deep/b.svg": b"<svg onload=alert(1)>", "c.html": b"<script>"})
    job = look(app, ann, id)
    assert (job["state"], job["result"]["parameters"]["seed"], job["attempts"]) == ("succeeded", 7, 1)
    assert [(f["name"], f["size"]) for f in job["artifacts"]] == [("a.png", 3), ("deep/b.svg", 21), ("c.html", 8)]
    answers = [ask(app, "GET", f["url"], ann) for f in job["artifacts"]]
    assert [(status, body) for status, _, body in answers] == [
        (200, b"png"), (200, b"<svg onload=alert(1)>"), (200, b"<script>")
    ]  # fmt: skip
    shown = [(h["content-type"], h["content-disposition"].split(";")[0]) for _, h, _ in answers]
    assert shown == [("image/png", "inline"), *[("application/octet-stream", "attachment")] * 2]
    kept = ask(app, "GET", job["artifacts"][0]["url"] + "?download=1", ann)[1]
    assert kept["content-disposition"].startswith("attachment")


def test_stops_other_owners_from_seeing_that_anything_is_there(app, service, ann, ben, eve):
    uploaded = told(ask(app, "POST", "/v1/uploads", {**ann, "content-type": "application/octet-stream"}, b"x"))["id"]
    done, running = submit(app, ann), submit(app, ann)
    finish(service, {"rows.csv": b"a,b\n1,2\n"})
    taken = claim(service)
    with service.database.writing() as session:
        queue.tell(session, taken, {"step": 1, "total": 2, "eta": 0.5}, b"png")
    file = look(app, ann, done)["artifacts"][0]["url"]
    mine = [
        f"/v1/jobs/{done}", f"/v1/jobs/{running}", f"/v1/jobs/{running}/preview", f"/v1/jobs/{done}/events",
        file, f"{file}:settings", f"{file}:rows", f"/v1/uploads/{uploaded}",
    ]  # fmt: skip
    for path in mine:
        assert ask(app, "GET", path, ann)[0] == 200, path
        assert ask(app, "GET", path, ben)[0] == 404, path
        assert ask(app, "GET", path, eve)[0] == 200, path  # an admin
        assert ask(app, "GET", path)[0] == 401, path
    refused = [
        ("POST", f"/v1/jobs/{running}:cancel"),
        ("DELETE", f"/v1/jobs/{done}"),
        ("DELETE", f"/v1/uploads/{uploaded}"),
    ]
    for method, path in refused:
        assert ask(app, method, path, ben, b"{}")[0] == 404, path
    denoise = {"model": "toy", "task": "denoise", "inputs": {"items": uploaded}}
    assert post(app, "/v1/jobs", denoise, ben)[0] == 404
    assert post(app, "/v1/jobs", denoise, ann)[0] == 202
    assert [told(ask(app, "GET", path, ben)) for path in ("/v1/jobs", "/v1/uploads", "/v1/jobs?everyone=true")] == [
        {"jobs": [], "next": None}, {"uploads": [], "next": None}, {"jobs": [], "next": None}
    ]  # fmt: skip
    assert told(ask(app, "GET", "/v1/jobs", eve))["jobs"] == []
    assert len(told(ask(app, "GET", "/v1/jobs?everyone=true", eve))["jobs"]) == 3
    assert look(app, ann, running)["state"] == "processing"


def test_the_same_key_is_the_same_job(app, ann, ben):
    first = submit(app, ann, **{"idempotency-key": "k 1"})
    assert submit(app, ann, **{"idempotency-key": "k 1"}) == first
    assert submit(app, ben, **{"idempotency-key": "k 1"}) != first
    status, _, body = post(app, "/v1/jobs", {**SAMPLE, "parameters": {"n": 3}}, {**ann, "idempotency-key": "k 1"})
    assert (status, b"another request" in body) == (409, True)
    assert post(app, "/v1/jobs", SAMPLE, {**ann, "idempotency-key": "x" * 201})[0] == 422


def test_a_full_queue_says_when_to_come_again(app, service, ann, monkeypatch):
    monkeypatch.setitem(vars(service.settings), "most_queued", 2)
    submit(app, ann), submit(app, ann)
    status, headers, body = post(app, "/v1/jobs", SAMPLE, ann)
    assert status == 429
    assert 1 <= int(headers["retry-after"]) <= 60
    assert b"2 jobs wait" in body
    assert len(told(ask(app, "GET", "/v1/jobs", ann))["jobs"]) == 2
    finish(service, {})
    submit(app, ann)


def test_pages_list_each_job_once_while_others_come(app, service, ann):
    ids = [submit(app, ann) for _ in range(5)]
    finish(service, {})
    seen, before = [], ""
    while before is not None:
        page = told(ask(app, "GET", f"/v1/jobs?most=2{before and '&before=' + before}", ann))
        seen += [job["id"] for job in page["jobs"]]
        before = page["next"]
        submit(app, ann)
    assert seen == ids[::-1]
    done = told(ask(app, "GET", "/v1/jobs?state=succeeded&task=sample&model=toy", ann))["jobs"]
    assert [job["id"] for job in done] == [ids[0]]
    assert told(ask(app, "GET", "/v1/jobs?model=other", ann))["jobs"] == []


def test_a_waiting_job_is_canceled_at_once_and_a_running_one_is_wished_to_be(app, service, ann):
    running, waiting = submit(app, ann), submit(app, ann)
    taken = claim(service)
    states = [told(post(app, f"/v1/jobs/{id}:cancel", {}, ann)) for id in (waiting, running)]
    assert [(job["state"], job["cancel"]) for job in states] == [("canceled", True), ("processing", True)]
    with service.database.reading() as session:
        assert queue.stopped(session, [taken]) == {running}
    assert ask(app, "DELETE", f"/v1/jobs/{running}", ann)[0] == 409
    assert ask(app, "DELETE", f"/v1/jobs/{waiting}", ann)[0] == 204
    assert ask(app, "GET", f"/v1/jobs/{waiting}", ann)[0] == 404
    assert post(app, f"/v1/jobs/{running}:cancel", {"why": "x"}, ann)[0] == 422


def test_a_removed_job_leaves_no_file_and_is_kept_while_another_works_on_it(app, service, ann):
    id = submit(app, ann)
    finish(service, {"a.png": b"png"})
    file = look(app, ann, id)["artifacts"][0]["id"]
    user = submit(app, ann, {"model": "toy", "task": "denoise", "inputs": {"items": file}})
    assert ask(app, "DELETE", f"/v1/jobs/{id}", ann)[0] == 409
    told(post(app, f"/v1/jobs/{user}:cancel", {}, ann))
    assert ask(app, "DELETE", f"/v1/jobs/{id}", ann)[0] == 204
    assert [p for p in service.store.root.rglob("*") if p.is_file()] == []
    assert ask(app, "GET", f"/v1/artifacts/{file}", ann)[0] == 404


@pytest.mark.parametrize(
    ("pause", "wait", "status", "state"), [(0.1, 30, 200, "succeeded"), (None, 0, 202, "starting")]
)
def test_prefer_wait_answers_when_it_has_ended(app, service, ann, monkeypatch, pause, wait, status, state):
    if pause:  # the look at all who wait has seen all there is to tell; no other is needed
        monkeypatch.setattr(jobs, "look", None)

    def work():
        for _ in range(100):
            time.sleep(pause)
            with service.database.reading() as session:
                if queue.waiting(session):
                    break
        finish(service, {"a.png": b"png"})

    hand = threading.Thread(target=work) if pause else None
    if hand:
        hand.start()
    found, headers, body = post(app, "/v1/jobs", SAMPLE, {**ann, "prefer": f"respond-async, wait={wait}"})
    if hand:
        hand.join()
    assert (found, headers["preference-applied"], json.loads(body)["state"]) == (status, f"wait={wait}", state)


def test_a_model_that_is_not_there_is_not_queued(app, ann):
    assert post(app, "/v1/jobs", {**SAMPLE, "model": "none"}, ann)[0] == 404
    assert post(app, "/v1/jobs", {**SAMPLE, "model": "../toy"}, ann)[0] == 404
    train = {"model": "new", "task": "train", "parameters": {"data": "digits", "budget": "2m"}}
    assert post(app, "/v1/jobs", train, ann)[0] == 202
    assert told(ask(app, "GET", "/v1/models/new:history", ann)) == {"events": [], "next": 0, "state": "waiting"}


def test_jobs_that_may_be_one_batch_have_one_key_and_those_like_a_file_have_none(app, service, ann):
    finished = submit(app, ann)
    finish(service, {"a.png": b"png"})
    file = look(app, ann, finished)["artifacts"][0]["id"]
    ids = [
        submit(app, ann, {**SAMPLE, "parameters": {"n": n, "steps": 2}}) for n in (1, 2)
    ] + [submit(app, ann, {**SAMPLE, "inputs": {"like": file}})]  # fmt: skip
    with service.database.reading() as session:
        keys = [session.get_one(Job, look_number(session, id)).batch_key for id in ids]
    assert keys[0] == keys[1] is not None
    assert keys[2] is None


def look_number(session, id):
    return session.query(Job.number).filter(Job.id == id).scalar()


def test_rows_are_read_a_page_at_a_time_and_settings_come_with_a_file(app, service, ann):
    series = io.BytesIO()
    np.savez(series, values=np.arange(12.0).reshape(2, 3, 2), channels=np.array(["u", "v"]), names=np.array(["p", "q"]))
    objects = io.BytesIO()
    np.savez(objects, values=np.array([{"a": 1}], dtype=object))
    settings = {"seed": 3, "reverie": "0.1.0", "at": str(service.store.root / "uploads" / "x")}
    files = {
        "t.csv": b"age,name\n1,x\n,y\n3.5,z\n", "s.npz": series.getvalue(), "o.npz": objects.getvalue(), "p.txt": b"hi",
        "made.png": b"none", "made.json": json.dumps(settings).encode(),
    }  # fmt: skip
    id = submit(app, ann)
    finish(service, files)
    urls = {f["name"]: f["url"] for f in look(app, ann, id)["artifacts"]}
    table = told(ask(app, "GET", urls["t.csv"] + ":rows?first=1&most=1", ann))
    assert table == {"columns": ["age", "name"], "total": 3, "rows": [[None, "y"]]}
    steps = told(ask(app, "GET", urls["s.npz"] + ":rows?first=2&most=2", ann))
    assert steps == {
        "columns": ["series", "time", "u", "v"],
        "total": 6,
        "rows": [["p", 2, 4.0, 5.0], ["q", 0, 6.0, 7.0]],
    }
    for name in ("o.npz", "p.txt"):
        status, _, body = ask(app, "GET", urls[name] + ":rows", ann)
        assert (status, b"Traceback" in body) == (400, False)
    assert told(ask(app, "GET", urls["made.png"] + ":settings", ann)) == {"seed": 3, "reverie": "0.1.0", "at": "x"}
    asked = told(ask(app, "GET", urls["t.csv"] + ":settings", ann))
    assert asked == {"verb": "sample", "model": "toy", "n": 1, "seed": 7}


def test_a_log_is_told_from_where_one_was_and_thinned(app, service, runs, ann):
    folder = runs / "learning"
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text("{}")
    lines = [{"event": "step", "step": k, "loss": 1.0} for k in range(5_000)]
    lines[4] = {"event": "samples", "step": 4, "ema": "samples/00000004-ema.png"}
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + '{"event": "step", "step": 5000, "loss": NaN}\ngarbage\n{"event": "st')
    try:
        found = told(ask(app, "GET", "/v1/models/learning:history", ann))
        assert (found["next"], found["state"]) == (5_002, "stopped")
        assert len(found["events"]) <= 2_001
        assert found["events"][-1] == {"event": "step", "step": 5000, "loss": None}
        (picture,) = [event for event in found["events"] if event["event"] == "samples"]
        assert picture["ema"] == "/v1/models/learning:sample?file=00000004-ema.png"
        assert told(ask(app, "GET", "/v1/models/learning:history?after=5000", ann))["events"] == [found["events"][-1]]
        assert len(told(ask(app, "GET", "/v1/models/learning:history?after=9999", ann))["events"]) > 1_000  # begun anew
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert ask(app, "GET", "/v1/models/toy:sample?file=00000004-ema.png", ann)[1]["content-type"] == "image/png"
    assert ask(app, "GET", "/v1/models/toy:sample?file=00000005-ema.png", ann)[0] == 404


def test_a_wish_for_a_model_in_memory_is_told_to_workers_once(app, service, ann):
    assert post(app, "/v1/models/toy:load", {}, ann)[0] == 202
    assert post(app, "/v1/models/none:load", {}, ann)[0] == 404
    with service.database.writing() as session:
        (first,) = roll.wishes(session, 0)
        roll.enlist(session, "w", "here", 1)
        roll.seen(session, "w", {"models": ["toy"]})
    assert (first.model, first.load) == ("toy", True)
    assert told(ask(app, "GET", "/v1/models/toy", ann))["loaded"]
    assert [m["loaded"] for m in told(ask(app, "GET", "/v1/models", ann))["models"]] == [True]
    assert post(app, "/v1/models/toy:unload", {}, ann)[0] == 202
    with service.database.reading() as session:
        assert [(w.model, w.load) for w in roll.wishes(session, first.number)] == [("toy", False)]


def test_a_session_is_a_cookie_that_scripts_cannot_read(app, ann):
    token = ann["authorization"].split()[1]
    status, headers, _ = post(app, "/v1/session", {"token": token})
    assert status == 204
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    me = told(ask(app, "GET", "/v1/me", {"cookie": cookie.split(";")[0]}))
    assert me == {"owner": "ann", "admin": False, "tokens": True}
    assert post(app, "/v1/session", {"token": token[:-1]})[0] == 401
    assert post(app, "/v1/session", {"token": "", "x": 1})[0] == 422
    assert 'reverie-token=""' in ask(app, "DELETE", "/v1/session")[1]["set-cookie"]
    assert ask(app, "GET", "/v1/me")[0] == 401
