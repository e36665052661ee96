"""The queue's promises, one by one, on both databases; `test_queue_model.py` takes them in any order."""

import threading
import time
from functools import partial

import pytest
from sqlalchemy import select, update

from reverie.server import queue
from reverie.server.database.tables import Artifact, Job, Upload, new_id
from reverie.server.queue import KeyReused, LostLease, Made, QueueFull, UnknownInput


def ask(session, n=0, **more):
    options = {"owner": "ann", "model": "digits", "task": "sample", "parameters": {"n": n}, "inputs": {}} | more
    return queue.submit(session, **options)


def job(database, id):
    with database.reading() as session:
        return session.scalars(select(Job).where(Job.id == id)).one()


def submitted(database, count=1, **more):
    with database.writing() as session:
        return [ask(session, n, **more).id for n in range(count)]


def claimed(database, worker="w", lease=30.0, together=1):
    with database.writing() as session:
        return queue.claim(session, worker, lease, together)


def later(database, id):
    """Let a lease end now."""
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == id).values(lease=1.0))


def test_jobs_are_claimed_in_the_order_of_asking(database):
    ids = submitted(database, 5)
    assert [claimed(database)[0].id for _ in range(5)] == ids
    assert claimed(database) == []


def test_only_jobs_of_one_key_come_together_and_never_more_than_asked(database):
    with database.writing() as session:
        keys = ["a", "b", "a", None, "a", "a"]
        ids = [ask(session, n, batch_key=k).id for n, k in enumerate(keys)]
        other = ask(session, 9, batch_key="a", model="faces").id
    assert [c.id for c in claimed(database, together=3)] == [ids[0], ids[2], ids[4]]
    assert [c.id for c in claimed(database, together=3)] == [ids[1]]
    assert [c.id for c in claimed(database, together=3)] == [ids[3]]
    assert [c.id for c in claimed(database, together=3)] == [ids[5]]
    assert [c.id for c in claimed(database, together=3)] == [other]


def test_concurrent_workers_never_claim_the_same_job(database):
    ids = submitted(database, 40)
    got, wrong = [], []

    def work(name):
        try:
            while claims := claimed(database, name, together=1):
                got.extend(c.id for c in claims)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(f"w{k}",)) for k in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert wrong == []
    assert sorted(got) == sorted(ids)


def test_who_lost_the_lease_can_change_nothing(database):
    """A slow worker comes back after its job was given to another, and to the same worker anew: its fence is of old."""
    [id] = submitted(database)
    [old] = claimed(database, "slow")
    later(database, id)
    with database.writing() as session:
        assert queue.reap(session) == [id]
    for holder in (None, "swift", "slow"):
        if holder:
            [new] = claimed(database, holder)
            assert new.fence > old.fence
        before = job(database, id)
        made = Made(f"artifacts/{new_id()}", "a.png", "image/png", 1, "0" * 64)
        attempts = [
            partial(queue.succeed, result={}, artifacts=[made]),
            partial(queue.fail, error="x", again=False),
            partial(queue.fail, error="x", again=True),
            partial(queue.tell, progress={"step": 1}),
            queue.give_back,
        ]
        for late in attempts:
            with pytest.raises(LostLease), database.writing() as session:
                late(session, old)
        with database.writing() as session:
            assert queue.beat(session, [old], 30.0) == {id}
        after = job(database, id)
        assert {c.name: getattr(before, c.name) for c in Job.__table__.c if c.name != "preview"} == {
            c.name: getattr(after, c.name) for c in Job.__table__.c if c.name != "preview"
        }
        if holder:
            with database.writing() as session:
                assert session.scalars(select(Artifact)).all() == []
                queue.give_back(session, new)


def test_a_lease_lasts_as_long_as_it_beats(database):
    [id] = submitted(database)
    claims = claimed(database, lease=0.3)
    for _ in range(4):
        time.sleep(0.12)
        with database.writing() as session:
            assert queue.beat(session, claims, 0.3) == set()
            assert queue.reap(session) == []
    time.sleep(0.35)
    with database.writing() as session:
        assert queue.reap(session, living=["w"]) == []  # its supervisor sees that it is only late
        assert queue.reap(session, living=["another"]) == [id]


def test_a_job_whose_worker_dies_three_times_has_failed_and_was_alone_after_the_first(database):
    ids = submitted(database, 3, batch_key="k")
    assert [c.id for c in claimed(database, "w", together=3)] == ids
    with database.writing() as session:
        assert queue.reap(session, "w") == ids
    for attempt in (2, 3):
        [poison] = claimed(database, "w", together=3)
        assert (poison.id, poison.attempt) == (ids[0], attempt)
        with database.writing() as session:
            queue.reap(session, "w")
    assert job(database, ids[0]).state == "failed"
    assert "3 attempts" in job(database, ids[0]).error
    for id in ids[1:]:
        [claim] = claimed(database, "w", together=3)
        assert claim.id == id
        with database.writing() as session:
            queue.succeed(session, claim, {}, [])


def test_what_is_given_back_is_first_in_line_and_is_not_held_against_it(database):
    ids = submitted(database, 2)
    for _ in range(5):
        [claim] = claimed(database)
        assert (claim.id, claim.attempt) == (ids[0], 1)
        with database.writing() as session:
            queue.give_back(session, claim)
    assert not job(database, ids[0]).alone


def test_canceling_waits_for_nobody_where_nobody_works(database):
    first, second = submitted(database, 2)
    [claim] = claimed(database)
    with database.writing() as session:
        queue.cancel(session, first)
        queue.cancel(session, second)
        assert queue.cancel(session, new_id()) is None
    assert (job(database, first).state, job(database, second).state) == ("processing", "canceled")
    assert claimed(database) == []
    with database.writing() as session:
        assert queue.beat(session, [claim], 30.0) == {first} == queue.stopped(session, [claim])
        queue.give_back(session, claim)
    assert job(database, first).state == "canceled"
    with database.writing() as session:
        assert queue.cancel(session, first).state == "canceled"


def test_a_canceled_job_whose_worker_dies_is_not_tried_again(database):
    [id] = submitted(database)
    claimed(database, "w")
    with database.writing() as session:
        queue.cancel(session, id)
        queue.reap(session, "w")
    assert job(database, id).state == "canceled"


def test_the_same_key_and_request_are_the_same_job(database):
    with database.writing() as session:
        first = ask(session, 1, key="k")
        assert ask(session, 1, key="k").id == first.id
        assert ask(session, 1, key="k", owner="bob").id != first.id  # another person's keys are their own
        for other in ({"parameters": {"n": 2}}, {"model": "faces"}, {"task": "complete"}):
            with pytest.raises(KeyReused, match="'k'"):
                ask(session, **{"parameters": {"n": 1}, "key": "k"} | other)
        assert queue.waiting(session) == 2


def test_sixteen_at_once_with_one_key_are_one_job_and_a_limit_is_exact(database):
    ids, full, wrong = [], [], []
    start = threading.Barrier(16)

    def press(n):
        start.wait()
        try:
            with database.writing() as session:
                ids.append(ask(session, 0, key="k", most=6).id)
            with database.writing() as session:
                ask(session, n, most=6)
        except QueueFull as error:
            full.append(error.retry_after)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=press, args=(n,)) for n in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert wrong == []
    assert len(ids) == 16
    assert len(set(ids)) == 1
    assert len(full) == 16 - 5
    assert all(1 <= seconds <= 60 for seconds in full)
    with database.reading() as session:
        assert queue.depth(session) == {"starting": 6, "processing": 0, "succeeded": 0, "failed": 0, "canceled": 0}


def test_inputs_are_the_owners_own_files(database):
    with database.writing() as session:
        mine = Upload(id=new_id(), place="uploads/1.png", name="../../etc/x", owner="ann", size=1, sha256="")
        session.add(mine)
        session.flush()
        assert ask(session, inputs={"path": mine.id}).inputs == {"path": mine.id}
        for inputs, owner in (({"path": mine.id}, "bob"), ({"path": new_id()}, "ann"), ({"path": "../x"}, "ann")):
            with pytest.raises(UnknownInput):
                ask(session, inputs=inputs, owner=owner)


def test_files_are_announced_with_the_job_and_expire_unless_a_waiting_job_needs_them(database):
    old, source, fresh = submitted(database, 3)
    made = {}
    for id in (old, source, fresh):
        [claim] = claimed(database)
        with database.writing() as session:
            queue.succeed(session, claim, {}, [Made(f"artifacts/{id}/a", "a", "image/png", 1, "0" * 64)])
            made[id] = session.scalars(select(Artifact.id).where(Artifact.job == id)).one()
    with database.writing() as session:
        for n, place in enumerate(("uploads/used", "uploads/unused")):
            session.add(Upload(id=str(n), place=place, name="x", owner="ann", size=1, sha256="", created=1.0))
        session.flush()
        waits = ask(session, inputs={"path": made[source], "mask": "0"}).id
        session.execute(update(Job).where(Job.id.in_([old, source])).values(finished=1.0))
    with database.writing() as session:
        assert sorted(queue.expire(session, 3600.0)) == [f"artifacts/{old}/a", "uploads/unused"]
        assert queue.expire(session, 3600.0) == []
    with database.writing() as session:
        assert set(session.scalars(select(Job.id))) == {source, fresh, waits}
        queue.cancel(session, waits)
        assert sorted(queue.expire(session, 3600.0)) == [f"artifacts/{source}/a", "uploads/used"]


def test_progress_is_seen_by_others_and_a_preview_only_while_it_is_worked_on(database):
    submitted(database)
    [claim] = claimed(database)
    with database.writing() as session:
        queue.tell(session, claim, {"step": 1}, b"png")
        queue.tell(session, claim, {"step": 2})
    with database.reading() as session:
        found = session.scalars(select(Job)).one()
        assert (found.progress, found.preview) == ({"step": 2}, b"png")
    with database.writing() as session:
        queue.succeed(session, claim, {"seed": 1}, [])
    with database.reading() as session:
        found = session.scalars(select(Job)).one()
        assert (found.progress, found.preview, found.result) == ({"step": 2}, None, {"seed": 1})
