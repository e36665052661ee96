"""Chaos: workers and whole servers are killed with -9 while jobs run; nothing is lost, done twice or left half.

A job whose worker is killed a third time has failed, by the rule for poison, so none is hit on its last attempt.
The small one is quick; the full one (500 jobs, 50 workers and 10 servers killed) is slow and prints its figures.
"""

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from reverie.files import sha256
from reverie.server import queue
from reverie.server.database.tables import FINISHED, Artifact, Job, Worker
from reverie.server.store import Store
from reverie.server.worker import Pace
from tests.server.test_supervisor import PACE, alive, ask, start, until
from tests.server.toy import content


def send(process, what):
    with suppress(ProcessLookupError):
        os.kill(process, what)


@dataclass
class Chaos:
    """Servers over one database and folder, and a hand that kills them by chance (seeded)."""

    url: str
    root: object
    pace: Pace
    chance: random.Random
    workers_killed: int = 0
    servers_killed: int = 0

    def __post_init__(self):
        self.server = start(self.url, self.root, 2, self.pace)

    def working(self, database):
        """Processes of workers that have a job in hand, each with the most attempts of its jobs."""
        attempts = select(Worker.process, func.max(Job.attempts)).join(Job, Job.worker == Worker.id)
        with database.reading() as session:
            found = session.execute(attempts.where(Job.state == "processing").group_by(Worker.process))
            return {process: most for process, most in found if alive(process)}

    def stroke(self, database, all_of_them):
        """Stand one worker that has a job in hand still, or all, until that is sure to be no job's last attempt."""
        busy = list(until(lambda: self.working(database)))
        struck = busy if all_of_them else [self.chance.choice(busy)]
        for process in struck:
            send(process, signal.SIGSTOP)
        attempts = self.working(database)
        fair = [attempts[process] < queue.ATTEMPTS for process in struck if process in attempts]
        if fair and all(fair):
            return struck
        for process in struck:
            send(process, signal.SIGCONT)
        time.sleep(0.01)
        return None

    def kill_a_worker(self, database):
        [process] = until(lambda: self.stroke(database, all_of_them=False))
        send(process, signal.SIGKILL)
        self.workers_killed += 1

    def kill_the_server(self, database):
        struck = until(lambda: self.stroke(database, all_of_them=True))
        self.server.kill()
        self.server.wait()
        for process in struck:  # they find themselves alone
            send(process, signal.SIGCONT)
        self.servers_killed += 1
        self.server = start(self.url, self.root, 2, self.pace)

    def end(self):
        self.server.terminate()
        self.server.wait(15)


def storm(url, database, root, jobs, workers, servers):
    """Submit `jobs`, kill so many workers and servers while they are done, and wait for all to end."""
    begun = time.monotonic()
    ids = [ask(database, f"k{n % 3}", n=n, steps=2, seconds=0.005) for n in range(jobs)]
    chaos = Chaos(url, root, PACE, random.Random(0))
    kills = ["worker"] * workers + ["server"] * servers
    chaos.chance.shuffle(kills)
    try:
        for k, what in enumerate(kills):  # by what is done, not by time: a quick machine too has work left to hit
            left = jobs * (1 - 0.7 * (k + chaos.chance.random()) / len(kills))
            until(lambda: undone(database) <= left)  # noqa: B023 (done at once)
            chaos.kill_the_server(database) if what == "server" else chaos.kill_a_worker(database)
        until(lambda: undone(database) == 0)
    finally:
        chaos.end()
    took = time.monotonic() - begun
    tell = f"{jobs} jobs, {chaos.workers_killed} workers and {chaos.servers_killed} servers killed, {took:.1f} s"
    return ids, tell


def undone(database):
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Job).where(Job.state.not_in(FINISHED)))


def judge(database, root, ids, tell):
    """Each job succeeded once, with its two files whole; on disk is what is announced, and nothing else."""
    store = Store(root)
    with database.writing() as session:
        while queue.reap(session):  # workers that outlived their server have left by now
            pass
    with database.reading() as session:
        store.sweep(session)
        jobs = {job.id: job for job in session.scalars(select(Job))}
        files = session.scalars(select(Artifact)).all()
    again = sum(job.fence > 1 for job in jobs.values())
    print(f"\n{tell}: {len(ids) - len(jobs)} lost, {again} done anew, {len(files)} files")
    assert set(jobs) == set(ids)
    assert [(j.state, j.error) for j in jobs.values() if j.state != "succeeded"] == []
    assert sorted((f.job, f.name) for f in files) == sorted(
        (id, name) for id in ids for name in ("a.txt", "more/b.json")
    )
    for file in files:
        path = store.path(file.place)
        assert path.read_text() == content(jobs[file.job].parameters)
        assert sha256(path) == file.sha256
    on_disk = {p for p in store.root.rglob("*") if p.is_file() and p.name != "database"}
    assert on_disk == {store.path(file.place) for file in files}
    assert again > 0, "nothing was hit: the storm proves nothing"


def test_nothing_is_lost_in_a_small_storm(url, database, tmp_path, path_of_children):
    judge(
        database,
        tmp_path / "store",
        *storm(url, database, tmp_path / "store", jobs=40, workers=4, servers=1),
    )


@pytest.mark.slow
def test_nothing_is_lost_in_a_storm(url, database, tmp_path, path_of_children, capsys):
    ids, tell = storm(url, database, tmp_path / "store", jobs=500, workers=50, servers=10)
    with capsys.disabled():
        judge(database, tmp_path / "store", ids, f"{url.split(':')[0]}: {tell}")
