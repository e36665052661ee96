"""Submissions of one moment share a transaction, and nothing else: not an id, not a refusal, not a defect."""

import threading
import time

import pytest
from sqlalchemy import event, select

from reverie.server.database.tables import Job
from reverie.server.queue import KeyReused, QueueFull
from reverie.server.submissions import Submissions
from tests.server.test_queue import ask

OTHERS = 8


def together(database, submits):
    """What came of each of several submissions that came while another was being written, and how often it was committed."""
    submissions, found, held, commits = Submissions(database), {}, threading.Event(), []

    def put(k, submit):
        try:
            found[k] = submissions.put(submit)
        except Exception as error:
            found[k] = error

    def first(session):
        job = ask(session, "first")
        assert held.wait(30)
        return job

    def turn(k, submit, waiting):
        thread = threading.Thread(target=put, args=(k, submit))
        thread.start()
        for _ in range(3000):
            if len(submissions._asked) == waiting and submissions._turn.locked():
                break
            time.sleep(0.01)
        return thread

    event.listen(database.engine, "commit", commits.append)
    threads = [turn("first", first, 0), *(turn(k, submit, k + 1) for k, submit in enumerate(submits))]
    held.set()
    for thread in threads:
        thread.join(30)
    return found, len(commits)


def jobs(database):
    with database.reading() as session:
        return {job.id: job.parameters["n"] for job in session.scalars(select(Job).order_by(Job.number))}


def test_those_who_come_while_others_are_written_are_committed_at_once_and_each_has_its_own_job(database):
    found, commits = together(database, [lambda s, k=k: ask(s, k) for k in range(OTHERS)])
    assert commits == 2
    assert jobs(database) == {found[k]: k for k in ("first", *range(OTHERS))}


def full(session):
    return ask(session, "none", most=1)


def reused(session):
    return ask(session, "none", key="k")  # which another has that it waits with


def broken(session):
    ask(session, "none")
    raise ValueError


@pytest.mark.parametrize(("wrong", "hears"), [(full, QueueFull), (broken, ValueError), (reused, KeyReused)])
def test_what_is_wrong_with_one_is_nothing_to_the_others(database, wrong, hears):
    submits = [lambda s, k=k: ask(s, k) for k in range(OTHERS)]
    submits[2] = lambda s: ask(s, 2, key="k")
    submits.insert(3, wrong)
    found, _ = together(database, submits)
    assert isinstance(found.pop(3), hears)
    assert list(jobs(database).values()) == ["first", *range(OTHERS)]
    assert set(jobs(database)) == set(found.values())
