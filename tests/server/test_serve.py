"""`reverie serve` as people start it: a process that answers, works, and ends when it is told to."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial

import httpx
import pytest
import uvicorn
from sqlalchemy import select

from reverie import cli
from reverie.errors import ReverieError
from reverie.server.connections import patient
from reverie.server.database.engine import Database, default_url
from reverie.server.database.tables import Job
from reverie.server.service import Service
from reverie.server.serving import listening
from reverie.server.settings import FOLDER, Settings
from reverie.server.tokens import add_token, caller_of, read_tokens

QUICK = ["--threads", "1", "--device", "cpu", "--port", "0"]


def command(*words):
    return [sys.executable, "-m", "reverie", *map(str, words)]


@contextmanager
def serving(runs, *words, **how):
    """A server with a client for it; it is killed where the test did not end it."""
    process = subprocess.Popen(
        command("serve", runs, *QUICK, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how
    )
    try:
        line = process.stdout.readline()
        assert "Reverie serves" in line, process.stderr.read()
        with httpx.Client(base_url=line.split(" at ")[1].split()[0], timeout=60, trust_env=False) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def ended(process, how=signal.SIGTERM):
    """Tell it to end; its log."""
    begun = time.monotonic()
    process.send_signal(how)
    _, log = process.communicate(timeout=30)
    assert time.monotonic() - begun < 10
    assert process.returncode == 0
    return [json.loads(line) for line in log.splitlines()]


def test_stops_clients_that_never_end_their_request(tmp_path):
    """Nothing, half a line, and half a second request: each connection is closed, while others are answered."""
    web, place, thread = web_half(tmp_path, patience=0.3)
    try:
        for before, sent in ((b"", b""), (b"", b"GET /heal"), (b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", b"GET /")):
            with socket.create_connection(place) as slow:
                if before:
                    slow.sendall(before)
                    assert slow.recv(10_000).startswith(b"HTTP/1.1 200")
                slow.sendall(sent)
                assert httpx.get(f"http://127.0.0.1:{place[1]}/healthz", trust_env=False).status_code == 200
                slow.settimeout(10)
                with suppress(ConnectionResetError):
                    while slow.recv(10_000):
                        pass
    finally:
        web.should_exit = True
        thread.join(10)
    assert not thread.is_alive()


def web_half(folder, patience):
    """A web server of echoes in a thread, with our connections."""

    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    place = listening(Settings(runs=folder, port=0))
    config = uvicorn.Config(answer, http=patient(patience), lifespan="off", log_config=None, timeout_keep_alive=60)
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    return web, place.getsockname(), thread


def sample(**parameters):
    return {"model": "toy", "task": "sample", "parameters": parameters}


@pytest.fixture
def own(runs, tmp_path):
    """A folder of runs for one server alone."""
    shutil.copytree(runs / "toy", tmp_path / "runs" / "toy")
    return tmp_path / "runs"


@pytest.mark.slow
def test_it_works_and_what_it_leaves_undone_is_done_by_the_next(own, url):
    with serving(own, "--database", url) as (process, client):
        answer = client.post("/v1/jobs", json=sample(n=2, steps=3, seed=5), headers={"prefer": "wait=60"})
        job = answer.json()
        assert (answer.status_code, job["state"], job["result"]["parameters"]["seed"]) == (200, "succeeded", 5)
        again = client.post("/v1/jobs", json=sample(n=2, steps=3, seed=5), headers={"prefer": "wait=60"}).json()
        first, second = (client.get(one["artifacts"][0]["url"]).content for one in (job, again))
        assert first.startswith(b"\x89PNG")
        assert first == second
        assert client.get(job["artifacts"][0]["url"] + ":settings").json()["seed"] == 5
        assert client.get("/readyz").status_code == 200
        long = client.post("/v1/jobs", json=sample(n=1024, steps=1000, batch=1)).json()["id"]
        with client.stream("GET", f"/v1/jobs/{long}/events") as events:
            seen = next(
                line for line in events.iter_lines() if line.startswith("data") and '"total"' in line and "eta" in line
            )
            assert '"preview"' in seen
            waits = client.post("/v1/jobs", json=sample(n=1, steps=2)).json()["id"]
            log = ended(process)  # with a stream open
    (line,) = [one for one in log if one.get("job") == job["id"]]
    assert (line["method"], line["status"], line["owner"]) == ("POST", 200, "local")
    assert len(line["request"]) == 16
    assert not [one for one in log if "trace" in one]
    with serving(own, "--database", url) as (process, client):
        assert client.get(f"/v1/jobs/{long}").json()["attempts"] <= 1  # giving it back was no fault of its own
        client.post(f"/v1/jobs/{long}:cancel", json={})
        with client.stream("GET", f"/v1/jobs/{waits}/events") as events:
            last = [line for line in events.iter_lines() if line.startswith("data")][-1]
        assert json.loads(last.removeprefix("data: "))["state"] == "succeeded"
        assert client.get(f"/v1/jobs/{long}").json()["state"] == "canceled"
        ended(process, signal.SIGINT)


@pytest.mark.slow
def test_training_is_watched_stopped_and_gone_on_with(own, tmp_path):
    import numpy as np

    from tests.toy import bars

    items, labels = bars()
    np.savez(tmp_path / "bars.npz", images=items, labels=labels)
    raw = {"content-type": "application/octet-stream"}
    with serving(own) as (process, client):
        data = client.post(
            "/v1/uploads?name=bars.npz", content=(tmp_path / "bars.npz").read_bytes(), headers=raw
        ).json()
        train = {"model": "bars", "task": "train", "inputs": {"data": data["id"]}}
        options = {"steps": "100000", "size": "tiny", "batch": 16}
        job = client.post("/v1/jobs", json={**train, "parameters": options}).json()["id"]
        with client.stream("GET", f"/v1/jobs/{job}/events") as events:
            next(line for line in events.iter_lines() if '"step": 5' in line or '"step": 1' in line)
        history = client.get("/v1/models/bars:history").json()
        assert history["state"] == "training"
        assert any(one["event"] == "step" for one in history["events"])
        client.post(f"/v1/jobs/{job}:cancel", json={})
        until(client, job, "canceled")
        assert client.get("/v1/models/bars:history").json()["state"] == "stopped"
        assert client.get("/v1/models/bars").json()["finished"] is False
        drawn = client.post("/v1/jobs", json={**sample(n=1, steps=2), "model": "bars"}, headers={"prefer": "wait=60"})
        assert drawn.json()["state"] == "succeeded", drawn.text  # from its checkpoint
        on = client.post("/v1/jobs", json={**train, "parameters": {"resume": True}}).json()["id"]
        with client.stream("GET", f"/v1/jobs/{on}/events") as events:
            next(line for line in events.iter_lines() if line.startswith("data") and '"total": 100000' in line)
        ended(process)
    database = Database(default_url(own / FOLDER))
    with database.reading() as session:
        left = session.scalars(select(Job).where(Job.id == on)).one()
        assert (left.state, left.attempts, left.alone) == ("starting", 0, False)  # leaving was no fault of its own
    database.close()


def until(client, id, state):
    for _ in range(600):
        if (found := client.get(f"/v1/jobs/{id}").json())["state"] == state:
            return
        time.sleep(0.05)
    raise AssertionError(found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", 70_000), "--port 70000"),
        (("--host", "0.0.0.0"), "--token-file"),
        (("--workers", 0), "--workers 0"),
        (("--database", "mysql://x"), "--database"),
        (("--database", "postgresql+psycopg://x:secret@127.0.0.1:1/y"), "does not answer"),
        (("--token-file", "none"), "reverie token NAME --token-file none"),
        (("--lease", "nan"), "--lease nan"),
        (("--patience", "inf"), "--patience inf"),
        (("--most-time", "0s"), "--most-time '0s'"),
        (("--most-budget", "soon"), "--most-budget 'soon'"),
        (("--device", "xla9"), "--device xla9"),
        (("--device", "cuda:99"), "--device cuda:99"),
        (("--port", "TAKEN"), "cannot be listened at"),
    ],
)
def test_what_cannot_be_served_is_one_line(own, words, said, monkeypatch, capsys):
    monkeypatch.setattr("reverie.server.logs.begin", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = [taken.getsockname()[1] if word == "TAKEN" else word for word in words]
        monkeypatch.setattr(sys, "argv", ["reverie", "serve", str(own), *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    found = capsys.readouterr()
    assert (stop.value.code, found.out) == (2, "")
    assert said in found.err
    assert len(found.err.splitlines()) == 1
    assert "secret" not in found.err


def test_a_run_is_not_served_in_place_of_its_folder(own):
    with pytest.raises(ReverieError, match=f"toy is a run itself.*reverie serve {own}"):
        Service.open(Settings(runs=own / "toy"))
    assert not (own / "toy" / FOLDER).exists()


def test_a_folder_that_cannot_be_written_is_said_as_one(own, monkeypatch):
    """SQLite's own words for a disk that is read-only, or full."""
    for why, do in (
        ("attempt to write a readonly database", "writable"),
        ("database or disk is full", "Free some space"),
    ):
        monkeypatch.setattr("reverie.server.database.engine._prepare_sqlite", partial(refusing, why))
        with pytest.raises(ReverieError, match=f"cannot be written: {why}.*{do}.*--database sqlite:///FILE"):
            Database(default_url(own))


def refusing(why, *_):
    raise sqlite3.OperationalError(why)


def test_a_folder_that_is_not_there_is_not_served(tmp_path):
    with pytest.raises(ReverieError, match="is not a folder"):
        Settings(runs=tmp_path / "none").check()


def test_help_and_a_missing_extra_need_none_of_the_servers_packages(tmp_path):
    code = (
        "import sys\n"
        "for name in ('uvicorn', 'fastapi', 'sqlalchemy', 'alembic', 'torch'): sys.modules[name] = None\n"
        "import reverie\n"
        "from reverie import cli\n"
        "cli.main()\n"
    )

    def run(*words):
        return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)

    shown = run("serve", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "--most-queued" in shown.stdout
    assert "reverie serve runs --port 9000" in " ".join(shown.stdout.split())
    missing = run("serve", str(tmp_path))
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)
    assert "pip install 'reverie[serve]'" in missing.stderr


def test_a_token_is_printed_once_and_its_hash_is_kept(tmp_path):
    path = tmp_path / "tokens"
    first, second = add_token(path, "ann", "admin"), add_token(path, "ben", "user")
    assert path.stat().st_mode & 0o777 == 0o600
    assert {(c.owner, c.admin) for c in read_tokens(path).values()} == {("ann", True), ("ben", False)}
    assert not any(token in path.read_text() for token in (first, second))
    for words in (("../a", "user"), ("eve", "root"), ("", "user")):
        with pytest.raises(ReverieError, match="scope"):
            add_token(path, *words)
    assert len(read_tokens(path)) == 2


def test_the_command_prints_the_token_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reverie", "token", "ann", "--token-file", str(tmp_path / "tokens")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    token = capsys.readouterr().out.strip()
    assert stop.value.code == 0
    assert caller_of(read_tokens(tmp_path / "tokens"), token).owner == "ann"


@pytest.mark.slow
def test_all_processes_told_to_end_at_once_is_an_end_like_any_other(own):
    """As `timeout`, systemd and a terminal do; while a job is watched and an upload comes, and workers have hardly begun."""
    with serving(own, start_new_session=True) as (process, client):
        id = client.post("/v1/jobs", json=sample(n=64, steps=1000, batch=1)).json()["id"]
        with client.stream("GET", f"/v1/jobs/{id}/events") as events:
            lines = events.iter_lines()
            next(lines)
            with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
                slow.sendall(
                    b"POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n"
                    b"content-length: 9\r\n\r\nhalf"
                )
                time.sleep(0.3)
                os.killpg(process.pid, signal.SIGTERM)
                assert list(lines)  # the rest, to a proper end
                log = ended(process)
    assert {one["said"] for one in log if one["level"] != "info"} <= {
        "Cancel 1 running task(s), timeout graceful shutdown exceeded"  # of the upload alone
    }
    assert not [one for one in log if "trace" in one]
