"""Workers and supervisors as processes: what a person, a poison job or an operator does to them."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from reverie.server import queue, roll
from reverie.server.database.tables import FINISHED, Artifact, Job, Upload
from reverie.server.supervisor import Hand, Supervisor
from reverie.server.worker import Pace
from tests.server.toy import content

TOY = "tests.server.toy:Toy"
PACE = Pace(lease=1.0, hang=1.0, poll=0.02, grace=1.0, together=4, linger=0.0)


@pytest.fixture
def serve(url, tmp_path, path_of_children):
    """A supervisor over the test's database and folder."""

    def begin(runner=TOY, workers=2, pace=PACE):
        return Supervisor(url, tmp_path / "store", runner, workers=workers, pace=pace)

    return begin


def ask(database, batch_key=None, inputs=None, **parameters):
    with database.writing() as session:
        return queue.submit(
            session, owner="ann", model="m", task="t", parameters=parameters, inputs=inputs or {}, batch_key=batch_key
        ).id


def look(database, id):
    with database.reading() as session:
        return session.scalars(select(Job).where(Job.id == id)).one()


def until(true, seconds=300.0):
    """Wait for something that has to come about; the bound is for machines that have other things to do."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
    return found


def ended(database, *ids):
    return until(lambda: all(look(database, id).state in FINISHED for id in ids)) and [look(database, i) for i in ids]


def test_a_job_makes_the_files_that_are_announced_and_no_others(serve, database, tmp_path):
    with serve(workers=1) as supervisor:
        given = supervisor.store.upload([b"one ", b"two"], ".txt", 100)
        with database.writing() as session:
            session.add(
                Upload(id=given.id, place=given.place, name="../my.txt", owner="ann", size=7, sha256=given.sha256)
            )
        id = ask(database, n=7, inputs={"path": given.id})
        [job] = ended(database, id)
        assert (job.state, job.result) == ("succeeded", {"n": 7, "given": {"path": "one two"}, "company": 1})
        assert job.progress["step"] == job.progress["total"] == 2
        with database.reading() as session:
            files = session.scalars(select(Artifact).order_by(Artifact.rank)).all()
        assert [(f.name, f.media) for f in files] == [("a.txt", "text/plain"), ("more/b.json", "application/json")]
        for file in files:
            assert supervisor.store.path(file.place).read_text() == content({"n": 7})
            assert file.size == len(content({"n": 7}))
        on_disk = {p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.name != "database"}
        assert on_disk == {supervisor.store.path(p) for p in (*(f.place for f in files), given.place)}


@pytest.mark.slow
def test_poison_fails_after_three_attempts_and_hurts_no_other(serve, database, tmp_path):
    """A crash, a hang and a lack of memory, claimed together with harmless jobs of the same batch key."""
    trace = str(tmp_path / "trace")
    deeds = ["exit", "work", "memory", "work", "hang", "work", "refuse", "defect", "work"]
    ids = [ask(database, "k", n=n, do=do, steps=1, trace=trace) for n, do in enumerate(deeds)]
    with serve(pace=replace(PACE, lease=3.0, hang=1.5)):
        jobs = ended(database, *ids)
    assert [job.state for job in jobs] == ["succeeded" if do == "work" else "failed" for do in deeds]
    assert jobs[6].error == "the mask has another size than the picture."  # a person's error is told as it is
    company = {}
    for line in Path(trace).read_text().splitlines():
        id, _, others = line.split()
        company.setdefault(id, []).append(int(others))
    for n, do in enumerate(deeds):
        if do in ("exit", "hang", "memory", "defect"):
            assert jobs[n].attempts == 3
            assert "3 attempts" in jobs[n].error
            assert company[ids[n]][-2:] == [1, 1]  # alone, from the second on
    assert "more memory" in jobs[2].error


def test_a_cancel_is_heeded_within_one_step(serve, database, tmp_path):
    trace = tmp_path / "trace"
    with serve(workers=1):
        id = ask(database, steps=400, seconds=0.05, trace=str(trace))
        until(trace.exists)
        with database.writing() as session:
            before = len(trace.read_text().splitlines())
            queue.cancel(session, id)
        [job] = ended(database, id)
        assert job.state == "canceled"
        assert (
            len(trace.read_text().splitlines()) - before <= 2
        )  # the step it was in when it was read, and the one of the wish
        with database.reading() as session:
            assert session.scalars(select(Artifact)).all() == []


def test_progress_and_preview_are_there_while_it_works(serve, database):
    with serve(workers=1):
        id = ask(database, steps=100, seconds=0.02)

        def seen():
            with database.reading() as session:
                job = session.scalars(select(Job).where(Job.id == id)).one()
                return job.preview and (job.progress, job.preview)

        progress, preview = until(seen)
        assert 1 <= progress["step"] < progress["total"] == 100
        assert progress["eta"] > 0
        assert preview.startswith(b"picture ")
        with database.writing() as session:
            queue.cancel(session, id)


def test_workers_heed_wishes_and_say_how_they_do(serve, database):
    def facts():
        with database.reading() as session:
            return [worker.facts for worker in roll.alive(session, 60.0) if worker.facts]

    def wish(load):
        with database.writing() as session:
            roll.wish(session, "digits", load)

    wish(True)  # of before they began: it may be what they died of
    with serve(workers=2):
        until(lambda: len(facts()) == 2)
        assert [one["models"] for one in facts()] == [[], []]
        wish(True)
        until(lambda: [one["models"] for one in facts()] == [["digits"], ["digits"]])
        wish(False)
        until(lambda: [one["models"] for one in facts()] == [[], []])
        ended(database, ask(database, steps=5, seconds=0.01))
        until(lambda: sum(one["steps"] for one in facts()) == 5)
        assert sum(one["jobs"] for one in facts()) == 1
        assert sum(one["step_seconds"] for one in facts()) >= 0.04  # of four steps: the first pays for other things
        assert all(one["memory"]["resident"] > 1e6 for one in facts())


def test_what_a_job_says_names_no_folder_of_the_servers(serve, database, tmp_path):
    with serve(workers=1):
        [job] = ended(database, ask(database, do="point", at=str(tmp_path / "store" / "uploads" / "x.png")))
    assert (job.state, job.error) == ("failed", "x.png is no picture.")


@pytest.mark.slow
def test_a_long_job_outlives_many_leases(serve, database):
    with serve(workers=2, pace=Pace(lease=0.6, hang=30.0, poll=0.02)):
        id = ask(database, steps=30, seconds=0.07)
        [job] = ended(database, id)
        assert (job.state, job.attempts) == ("succeeded", 1)


@pytest.mark.slow
def test_leaving_ends_what_is_short_and_gives_back_what_is_long(serve, database):
    with serve(workers=2):
        short, long = ask(database, steps=10, seconds=0.05), ask(database, steps=10_000, seconds=0.01)
        waits = ask(database, steps=10_000, seconds=0.01)  # given back too, should a slow machine have begun it
        until(lambda: look(database, long).state == look(database, short).state == "processing")
        begun = time.monotonic()
    assert time.monotonic() - begun < 10.0
    jobs = [look(database, id) for id in (short, long, waits)]
    assert jobs[0].state == "succeeded"
    assert [(job.state, job.attempts, job.alone) for job in jobs[1:]] == [("starting", 0, False)] * 2


@pytest.mark.slow
def test_workers_whose_supervisor_is_killed_leave_by_themselves(url, database, tmp_path, path_of_children):
    id = ask(database, steps=10_000, seconds=0.01)
    with start(url, tmp_path / "store") as server:
        try:
            until(lambda: look(database, id).state == "processing")
            with database.reading() as session:
                processes = [worker.process for worker in session.scalars(select(queue.Worker))]
            assert processes
        finally:
            server.kill()
    until(lambda: not any(alive(process) for process in processes))
    assert (look(database, id).state, look(database, id).attempts) == ("starting", 0)


@pytest.mark.slow
def test_a_runner_that_cannot_be_made_is_tried_ever_more_slowly(serve, database):
    with serve("tests.server.toy:broken", workers=1) as supervisor:
        until(lambda: supervisor.hands[0].stillborn >= 2)
        assert not supervisor.ready
        assert supervisor.hands[0].due - time.monotonic() <= 30.0


@pytest.mark.slow
def test_two_machines_over_one_database_share_the_work(serve, database):
    ids = [ask(database, n=n, steps=2, seconds=0.02) for n in range(24)]
    with serve(workers=1), serve(workers=1):
        jobs = ended(database, *ids)
        with database.reading() as session:
            assert len(session.scalars(select(queue.Worker)).all()) == 2
    assert {job.state for job in jobs} == {"succeeded"}
    assert {job.attempts for job in jobs} == {1}


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start(url, root, workers=2, pace=PACE):
    """A server process of its own, as `reverie serve` is one."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.server.serve", url, str(root), str(workers), json.dumps(pace.__dict__)]
    )


def test_a_fork_server_that_was_just_killed_is_asked_once_more(serve, monkeypatch, caplog):
    asked = []

    def start(process):
        asked.append(process)
        if len(asked) == 1:
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("multiprocessing.context.ForkServerProcess.start", start)
    hand = serve(workers=1)._hire()
    assert asked == [hand.process, hand.process]
    assert not [record for record in caplog.records if record.exc_info]


def test_a_worker_that_ends_as_all_is_ended_is_neither_missed_nor_replaced(serve, monkeypatch, caplog):
    """Who ends a group of processes ends the fork server first, and with it the supervisor's sight of its workers."""
    supervisor = serve(workers=1)
    gone = SimpleNamespace(is_alive=lambda: False, exitcode=255, sentinel=None)
    supervisor.hands = [Hand("w", gone, SimpleNamespace(value=0.0))]
    monkeypatch.setattr(supervisor, "_hire", lambda: pytest.fail("a worker was started"))
    ending = threading.Timer(0.05, supervisor._leaving.set)
    ending.start()
    supervisor._look_after()
    assert caplog.records == []
