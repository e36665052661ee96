"""The queue against a model of it small enough to read: any order of what workers, people and deaths can do, on SQLite.

The model keeps, for each job, its state, its attempts and who holds it; after each step the database must say the same.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select, update

from reverie.server import queue
from reverie.server.database.tables import Artifact, Job
from reverie.server.queue import ATTEMPTS, LostLease, Made

WORKERS = ["w1", "w2"]


class Machine(RuleBasedStateMachine):
    """Claims are kept after they are used: every one of old is tried again and again."""

    database = None
    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.jobs = {}  # id -> what the model knows, in the order of asking
        with self.database.writing() as session:
            session.execute(delete(Artifact))
            session.execute(delete(Job))

    @rule(key=st.sampled_from(["a", "b", None]))
    def submit(self, key):
        with self.database.writing() as session:
            id = queue.submit(session, owner="o", model="m", task="t", parameters={}, inputs={}, batch_key=key).id
        self.jobs[id] = {"state": "starting", "attempts": 0, "holder": None, "alone": False, "wish": False, "key": key}

    @rule(target=claims, worker=st.sampled_from(WORKERS), together=st.integers(1, 3))
    def claim(self, worker, together):
        line = [id for id, job in self.jobs.items() if job["state"] == "starting"]
        alike = {"key": self.jobs[line[0]]["key"], "alone": False} if line else {}
        company = [id for id in line if alike["key"] and self.jobs[id] == self.jobs[id] | alike]
        expected = company if line[:1] == company[:1] else line[:1]
        with self.database.writing() as session:
            found = queue.claim(session, worker, 30.0, together)
        assert [c.id for c in found] == expected[:together]
        for c in found:
            self.jobs[c.id] |= {"state": "processing", "attempts": self.jobs[c.id]["attempts"] + 1, "holder": c}
        return found[0] if found else None

    @rule(claim=claims, how=st.sampled_from(["succeed", "fail", "again", "back", "tell"]))
    def finish(self, claim, how):
        if claim is None:
            return
        job = self.jobs[claim.id]
        made = Made(f"artifacts/{claim.id}-{claim.fence}/a", "a", "x/y", 1, "0")
        act = {
            "succeed": lambda s: queue.succeed(s, claim, {}, [made]),
            "fail": lambda s: queue.fail(s, claim, "bad", again=False),
            "again": lambda s: queue.fail(s, claim, "bad", again=True),
            "back": lambda s: queue.give_back(s, claim),
            "tell": lambda s: queue.tell(s, claim, {"step": claim.fence}),
        }[how]
        if job["holder"] is not claim:
            with pytest.raises(LostLease), self.database.writing() as session:
                act(session)
            return
        with self.database.writing() as session:
            act(session)
        if how == "succeed":
            job |= {"state": "succeeded", "holder": None}
        elif how == "fail":
            job |= {"state": "failed", "holder": None}
        elif how == "again":
            self.retry(job)
        elif how == "back":
            job |= {"state": "canceled" if job["wish"] else "starting", "holder": None, "attempts": job["attempts"] - 1}

    def retry(self, job):
        state = "canceled" if job["wish"] else "failed" if job["attempts"] >= ATTEMPTS else "starting"
        job |= {"state": state, "holder": None, "alone": True}

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker):
        held = [id for id, job in self.jobs.items() if job["holder"] and job["holder"].worker == worker]
        with self.database.writing() as session:
            assert queue.reap(session, worker) == held
        for id in held:
            self.retry(self.jobs[id])

    @rule(claim=consumes(claims))
    def outlast_the_lease(self, claim):
        if claim is None or self.jobs[claim.id]["holder"] is not claim:
            return
        with self.database.writing() as session:
            session.execute(update(Job).where(Job.id == claim.id).values(lease=1.0))
            assert queue.reap(session) == [claim.id]
        self.retry(self.jobs[claim.id])

    @rule(claim=claims)
    def beat(self, claim):
        if claim is None:
            return
        job = self.jobs[claim.id]
        with self.database.writing() as session:
            stop = job["holder"] is not claim or job["wish"]
            assert queue.beat(session, [claim], 30.0) == ({claim.id} if stop else set())

    @rule(pick=st.integers(0, 20))
    def cancel(self, pick):
        if not self.jobs:
            return
        id = list(self.jobs)[pick % len(self.jobs)]
        job = self.jobs[id]
        with self.database.writing() as session:
            queue.cancel(session, id)
        if job["state"] == "starting":
            job["state"] = "canceled"
        if job["state"] in ("processing", "canceled"):
            job["wish"] = True

    @invariant()
    def agree(self):
        with self.database.reading() as session:
            found = session.scalars(select(Job).order_by(Job.number)).all()
            files = list(session.scalars(select(Artifact.job)))
        said = [(j.id, j.state, j.attempts, j.alone, j.worker) for j in found]
        known = [
            (id, j["state"], j["attempts"], j["alone"], j["holder"] and j["holder"].worker)
            for id, j in self.jobs.items()
        ]
        assert said == known
        assert sorted(files) == sorted(id for id, j in self.jobs.items() if j["state"] == "succeeded")


@pytest.mark.parametrize("runs", [pytest.param(8, id="few"), pytest.param(150, id="many", marks=pytest.mark.slow)])
def test_any_order_of_events_is_as_the_model_says(runs, database):
    machine = type("MachineOfThisDatabase", (Machine,), {"database": database})
    options = settings(
        max_examples=runs, stateful_step_count=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=options)
