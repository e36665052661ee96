"""Jobs that are computed together end each for itself: one that is lost, or whose files cannot be kept, takes no other along."""

import contextlib
import threading
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from reverie.server import queue, worker
from reverie.server.claims import Done, LostLease, News
from reverie.server.database.tables import Artifact, Job
from reverie.server.worker import Pace, Worker
from tests.server.test_queue import submitted
from tests.server.test_supervisor import ask, look
from tests.server.toy import Toy


@pytest.fixture
def hand(database, store):
    """A worker that this process is."""
    return Worker("w1", database, store, Pace(together=4, linger=0.0), SimpleNamespace(value=0.0))


def held(database, many=3):
    ids = [ask(database, "k", n=n) for n in range(many)]
    with database.writing() as session:
        return ids, queue.claim(session, "w1", 30.0, together=many)


def lose(database, claim):
    """Another has claimed the job meanwhile."""
    with database.writing() as session:
        job = session.scalar(select(Job).where(Job.id == claim.id))
        job.fence += 1


def test_news_and_ends_of_several_leave_out_what_is_lost(database):
    ids, claims = held(database)
    lose(database, claims[1])
    with database.writing() as session:
        assert queue.tell_all(session, [News(claim, {"step": 7}, b"png") for claim in claims]) == {ids[1]}
    with database.reading() as session:
        assert queue.stopped(session, claims) == {ids[1]}
    assert [(look(database, id).progress, look(database, id).shown) for id in ids] == [
        ({"step": 7}, 7),
        (None, None),
        ({"step": 7}, 7),
    ]
    made = [[queue.Made(f"artifacts/{id}/a", "a", "x/y", 1, "0")] for id in ids]
    with database.writing() as session:
        done = [Done(claim, {"n": k}, made[k]) for k, claim in enumerate(claims)]
        assert queue.succeed_all(session, done) == {ids[1]}
    jobs = [look(database, id) for id in ids]
    assert [job.state for job in jobs] == ["succeeded", "processing", "succeeded"]
    assert [job.result for job in jobs] == [{"n": 0}, None, {"n": 2}]
    with database.reading() as session:
        assert set(session.scalars(select(Artifact.job))) == {ids[0], ids[2]}
    with pytest.raises(LostLease), database.writing() as session:
        queue.succeed(session, claims[0], {}, [])  # it has ended


class OneOfThem(Toy):
    """Does to the second of the jobs what the test wants."""

    def __init__(self, deed):
        super().__init__()
        self.deed = deed

    def run(self, work, told):
        outcomes = super().run(work, told)
        self.deed(outcomes[1], work[1])
        return outcomes


def test_files_that_cannot_be_kept_fail_their_own_job_alone(hand, database, store):
    ids = [ask(database, "k", n=n) for n in range(3)]
    assert hand._claim()

    def link(outcome, work):
        outcome.files[0].unlink()
        outcome.files[0].symlink_to("/etc/passwd")

    hand._run(OneOfThem(link))
    jobs = [look(database, id) for id in ids]
    assert [(job.state, job.alone) for job in jobs] == [("succeeded", False), ("starting", True), ("succeeded", False)]
    assert [path for path in store.artifacts.iterdir() if path.name.startswith(ids[1])] == []
    assert list(store.staging.iterdir()) == []


def test_a_job_that_was_lost_meanwhile_leaves_no_files_and_the_others_are_announced(hand, database, store):
    ids = [ask(database, "k", n=n) for n in range(3)]
    assert hand._claim()
    lost = hand.held.claims[1]
    hand._run(OneOfThem(lambda outcome, work: lose(database, lost)))
    assert [look(database, id).state for id in ids] == ["succeeded", "processing", "succeeded"]
    with database.reading() as session:
        places = {place.split("/")[1] for place in session.scalars(select(Artifact.place))}
    assert {path.name for path in store.artifacts.iterdir()} == places == {f"{ids[0]}-1", f"{ids[2]}-1"}


@pytest.mark.parametrize(
    ("pause", "come", "taken", "ended"),
    [(0.9, 0, 1, 1.0), (0.9, 2, 3, 2.8), (0.9, 9, 4, 2.7), (1.5, 9, 1, 1.0), (0.0, 9, 4, 0.3)],
)
def test_who_comes_while_a_worker_lingers_is_taken_along(hand, database, monkeypatch, pause, come, taken, ended):
    """It waits a second after each who comes, and none where as many are there as it takes."""
    clock, due = [0.0], [pause * k for k in range(1, come + 1)]

    def sleep(seconds):
        clock[0] += seconds
        if due and due[0] <= clock[0]:
            due.pop(0)
            ask(database, "k")

    ask(database, "k")
    monkeypatch.setattr(worker, "LINGERS", float("inf"))
    monkeypatch.setattr(worker, "SOON", 0.1)
    monkeypatch.setattr(worker, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    hand._linger = 1.0
    assert hand._claim()
    assert (len(hand.held.claims), clock[0]) == (taken, pytest.approx(ended, abs=0.15))
    before = clock[0]
    monkeypatch.setattr(worker, "LINGERS", 0)
    submitted(database)
    assert hand._claim()
    assert clock[0] == before  # no longer than LINGERS says


def test_a_heart_goes_on_after_an_error_that_nobody_foresaw(hand, monkeypatch):
    """One that died of a module half imported had news, previews and wishes to cancel reach nobody any more."""
    beats = []

    def beat():
        beats.append(len(beats))
        if len(beats) == 1:
            raise AttributeError("partially initialized module")
        if len(beats) == 3:
            raise SystemExit  # which ends the thread, and nothing else

    def live():
        with contextlib.suppress(SystemExit):
            hand.heart()

    monkeypatch.setattr(hand, "_beat", beat)
    heart = threading.Thread(target=live, daemon=True)
    heart.start()
    heart.join(10)
    assert len(beats) == 3
