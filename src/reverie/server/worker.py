"""A worker: a process that claims jobs, has a runner do them, and holds them by its heartbeat meanwhile.

Two threads: the main one runs jobs; the heart beats and notes progress. Told to leave (SIGTERM, or its supervisor is gone), a
worker claims no more; after `Pace.grace` seconds the heart gives back what has not ended by then, and ends the process.
"""

from __future__ import annotations

import importlib
import logging
import os
import platform
import resource
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from reverie.errors import ReverieError
from reverie.server import logs, queue, roll
from reverie.server.contract import Canceled, Outcome, Runner, Work
from reverie.server.database.engine import Database
from reverie.server.queue import Claim, LostLease
from reverie.server.settings import Settings
from reverie.server.store import Store
from reverie.server.told import Plainly

log = logging.getLogger(__name__)
TICK = 0.1  # seconds between looks of the heart: progress is as old as this at most
LOOK = 0.02  # seconds between looks for a wish to cancel, where steps are shorter than that
FACTS = 3.0  # seconds that what is told of a worker is old at most
LINGERS = 10  # of its moments that a worker waits for more jobs of a batch, at most
IDLE = 0.0  # the sign of a worker that has nothing to do


@dataclass(frozen=True)
class Pace:
    """How workers and supervisors time themselves, in seconds."""

    lease: float = 30.0  # a job whose worker has not been heard of for so long is another's; heartbeat at a third
    hang: float = 300.0  # a worker that has made no step for so long is killed
    poll: float = 0.2  # between looks for work, while there is none
    grace: float = 5.0  # what a job is given to end in when its worker is told to leave
    together: int = 1  # jobs of one batch key that are claimed at once, at most
    linger: float = 0.02  # waited before claiming, where several may be claimed, for others to come


class Sign(Protocol):
    """Memory shared with the supervisor: time of the last step, by the machine's monotonic clock; NaN before the first look."""

    value: float


@dataclass(frozen=True)
class Maker:
    """How a worker comes by its runner: by the name "module:function", so that the supervisor need not import what computes."""

    name: str
    settings: Settings | None

    def make(self) -> Runner:
        """Import the function and have it make one."""
        module, _, function = self.name.partition(":")
        made: Runner = getattr(importlib.import_module(module), function)(self.settings)
        return made


def main(id: str, url: str, root: Path, maker: Maker, pace: Pace, sign: Sign) -> None:
    """Be a worker until told to leave."""
    logs.begin()
    worker = Worker(id, Database(url), Store(root), pace, sign)
    signal.signal(signal.SIGTERM, lambda *_: worker.leave())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the supervisor says what it means
    threading.Thread(target=worker.heart, daemon=True).start()
    worker.work(maker.make())


@dataclass
class Held:
    """What is being worked on; one object for each claim, so that a beat that comes late speaks of what it meant."""

    claims: Sequence[Claim] = ()
    stops: set[str] = field(default_factory=set)
    news: dict[str, tuple[dict[str, Any], bytes | None]] = field(default_factory=dict)
    noted: dict[str, tuple[dict[str, Any], bytes | None]] = field(default_factory=dict)  # news that the database has
    begun: float = 0.0


class Worker:
    """The state that the two threads share."""

    def __init__(self, id: str, database: Database, store: Store, pace: Pace, sign: Sign) -> None:
        self.id, self.database, self.store, self.pace, self.sign = id, database, store, pace, sign
        self.held = Held()
        self.leaving: float | None = None  # since when
        self._looked = self._beaten = 0.0
        self._counts = {"jobs": 0, "steps": 0, "step_seconds": 0.0}
        self._last: tuple[int, float] | None = None  # the last step of what is worked on, and when it was
        self._runner: Runner | None = None
        self._heeded = 0  # the newest wish for models in memory that it knows of
        self._plainly = Plainly(store.root.parent, store.root)

    def leave(self) -> None:
        """Claim no more, and end."""
        self.leaving = self.leaving or time.monotonic()

    def work(self, runner: Runner) -> None:
        """Claim and run until told to leave."""
        self._runner = runner
        with self.database.writing() as session:
            roll.enlist(session, self.id, platform.node(), os.getpid())
            roll.seen(session, self.id, self._facts())
            self._heeded = roll.newest_wish(session)
        while self.leaving is None:
            self.sign.value = IDLE
            self._heed(runner)
            if not self._claim():
                time.sleep(self.pace.poll)
                continue
            self._run(runner)

    def step(self, id: str, step: int, total: int, preview: bytes | None = None) -> None:
        """What a runner is told with: see `contract.Told`."""
        self.sign.value = moment = time.monotonic()
        held = self.held
        self._count(step, moment)
        eta = (moment - held.begun) * (total - step) / max(step, 1)
        before = held.news[id][1] if id in held.news else None
        held.news[id] = ({"step": step, "total": total, "eta": round(eta, 3)}, preview or before)
        if moment - self._looked >= LOOK:
            self._looked = moment
            with self.database.reading() as session:
                held.stops |= queue.stopped(session, held.claims)
        if id in held.stops:
            raise Canceled(id)

    def _count(self, step: int, moment: float) -> None:
        """Count a step once, though each job of a batch is told of it; the first pays for loading, and is not timed."""
        if self._last is None:
            self._counts["steps"] += 1
        elif self._last[0] != step:
            self._counts["steps"] += 1
            self._counts["step_seconds"] += moment - self._last[1]
        self._last = (step, moment)

    def _facts(self) -> dict[str, Any]:
        """How it does, for others to read."""
        runner = self._runner
        own = {"models": runner.loaded, "evaluations": runner.evaluations} if runner is not None else {}
        return {**self._counts, **own, "memory": memory(), "host": platform.node(), "busy": bool(self.held.claims)}

    def _heed(self, runner: Runner) -> None:
        """Read models into memory, or let go of them, as was wished since the last look."""
        with self.database.reading() as session:
            wishes = roll.wishes(session, self._heeded)
        for wish in wishes:
            self.sign.value = time.monotonic()
            runner.keep(wish.model, wish.load)
            self._heeded = wish.number
        if wishes:
            with self.database.writing() as session:
                roll.seen(session, self.id, self._facts())

    def heart(self) -> None:
        """Beat while the process lives."""
        parent = parent_process()
        watched = [parent.sentinel] if parent is not None else []
        while True:
            if self.leaving is None and watched:
                if connection.wait(watched, timeout=TICK):
                    self.leave()
            else:
                time.sleep(TICK)
            if self.leaving is not None and time.monotonic() - self.leaving > self.pace.grace:
                self._abandon()
            try:
                self._beat()
            except SQLAlchemyError as error:  # the lease outlives a database that is away for a moment
                log.warning("worker %s: the database did not take a heartbeat: %s", self.id, error)

    def _beat(self) -> None:
        held = self.held
        due = time.monotonic() - self._beaten >= min(self.pace.lease / 3, FACTS)
        news = {id: told for id, told in list(held.news.items()) if held.noted.get(id) is not told}
        if not due and not news:
            return
        with self.database.writing() as session:
            if due:
                roll.seen(session, self.id, self._facts())
                held.stops |= queue.beat(session, held.claims, self.pace.lease)
            for claim in held.claims:
                if claim.id in news and claim.id not in held.stops:
                    self._note(session, held, claim, news[claim.id])
        held.noted |= news
        if due:
            self._beaten = time.monotonic()

    def _note(self, session: Session, held: Held, claim: Claim, told: tuple[dict[str, Any], bytes | None]) -> None:
        progress, preview = told
        before = held.noted.get(claim.id)
        try:
            queue.tell(session, claim, progress, None if before and before[1] is preview else preview)
        except LostLease:
            held.stops.add(claim.id)

    def _abandon(self) -> None:
        for claim in self.held.claims:
            try:
                with self.database.writing() as session:
                    queue.give_back(session, claim)
            except (LostLease, SQLAlchemyError) as error:
                log.warning("worker %s could not give back %s: %s", self.id, claim.id, error)
            self.store.discard(claim, announced=True)  # what is sealed may be announced by now: the sweep knows
        os._exit(0)

    def _claim(self) -> bool:
        if not self._gathered():
            return False
        with self.database.writing() as session:
            claims = queue.claim(session, self.id, self.pace.lease, self.pace.together)
        self._beaten = self.sign.value = moment = time.monotonic()
        self.held = Held(claims, begun=moment)
        self._last = None
        self._counts["jobs"] += len(claims)
        return bool(claims)

    def _gathered(self) -> int:
        """How many jobs wait; where several may be claimed, once no more have come for a moment, or there are enough."""
        waiting = self._waiting()
        for _ in range(LINGERS if waiting and self.pace.together > 1 else 0):
            before = waiting
            time.sleep(self.pace.linger)
            waiting = self._waiting()
            if waiting <= before or waiting >= self.pace.together:
                break
        return waiting

    def _waiting(self) -> int:
        with self.database.reading() as session:
            return queue.waiting(session)

    def _run(self, runner: Runner) -> None:
        outcomes: dict[str, Outcome] = {}
        raised: Exception | None = None
        try:
            outcomes = {outcome.id: outcome for outcome in runner.run([self._work(c) for c in self.held.claims], self)}
        except Canceled as canceled:
            raised = canceled
        except Exception as error:
            log.exception("worker %s: %s", self.id, ", ".join(claim.id for claim in self.held.claims))
            raised = error
        for claim in self.held.claims:
            announced = False
            try:
                announced = self._finish(claim, outcomes.get(claim.id), raised)
            except LostLease as lost:
                log.warning("too late: %s", lost)
            self.store.discard(claim, announced)
        self.held = Held()

    def _work(self, claim: Claim) -> Work:
        with self.database.reading() as session:
            places = queue.places(session, list(claim.inputs.values()), claim.owner)
        inputs = {name: self.store.path(places[id]) for name, id in claim.inputs.items()}
        return Work(claim.id, claim.model, claim.task, claim.parameters, inputs, self.store.stage(claim))

    def _finish(self, claim: Claim, outcome: Outcome | None, raised: Exception | None) -> bool:
        """End one job as its outcome, or what was raised, asks; returns whether files were announced."""
        if outcome is not None and outcome.error is None:
            return self._succeed(claim, outcome)
        with self.database.writing() as session:
            if outcome is not None and outcome.error is not None:
                queue.fail(session, claim, self._plainly.text(outcome.error), again=False)
            elif (
                isinstance(raised, Canceled)
                or claim.id in self.held.stops
                or (raised is None and self.leaving is not None)
            ):
                queue.give_back(session, claim)
            elif isinstance(raised, ReverieError):
                queue.fail(
                    session, claim, self._plainly.text(str(raised)), again=len(self.held.claims) > 1
                )  # whose fault was it?
            else:
                queue.fail(session, claim, self._plainly.text(_told(raised)), again=True)
        return False

    def _succeed(self, claim: Claim, outcome: Outcome) -> bool:
        try:
            made = self.store.seal(claim, outcome.files)
        except (OSError, ReverieError) as error:
            log.exception("worker %s: %s", self.id, claim.id)
            with self.database.writing() as session:
                queue.fail(session, claim, self._plainly.text(f"its files could not be kept: {error}"), again=True)
            return False
        with self.database.writing() as session:
            if claim.id in self.held.news:
                queue.tell(session, claim, self.held.news[claim.id][0])
            queue.succeed(session, claim, self._plainly.json(outcome.result), made)
        return True


def _told(raised: Exception | None) -> str:
    if raised is None:
        return "the runner said nothing of it"
    if isinstance(raised, MemoryError):
        return "it asked for more memory than there is"
    return f"{type(raised).__name__}: {raised}"


def memory() -> dict[str, int]:
    """Bytes that this process has in memory, and on an accelerator that it has begun to use."""
    torch = sys.modules.get("torch")  # a worker that computes nothing has not imported it
    try:
        card = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
    except AttributeError:  # another thread is importing it at this moment
        card = False
    on_card = {"accelerator": int(torch.cuda.memory_allocated())} if torch is not None and card else {}
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {"resident": pages * os.sysconf("SC_PAGE_SIZE"), **on_card}
    except OSError:  # no Linux: the most that it ever had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"resident": peak * (1 if sys.platform == "darwin" else 1024), **on_card}
