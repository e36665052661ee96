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
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from reverie.errors import ReverieError
from reverie.server import logs, queue, roll
from reverie.server.claims import Claim, Done, LostLease, Made, News
from reverie.server.contract import Canceled, Outcome, Runner, Work
from reverie.server.database.engine import Database
from reverie.server.names import GIVEN, called, laid
from reverie.server.settings import Settings
from reverie.server.store import Store
from reverie.server.told import Plainly

log = logging.getLogger(__name__)
TICK = 0.1  # seconds between looks of the heart: progress is as old as this at most
LOOK = 0.02  # seconds between looks for a wish to cancel, where steps are shorter than that
FACTS = 3.0  # seconds that what is told of a worker is old at most
SOON = 0.02  # seconds between looks for work just after there was some, and for more; later a tenth of the time without
SHARE = 10  # news are told of a tenth of the time: where the database is slow, more rarely
LINGERS = 4  # times that others are lingered for, at most
AGAIN = 0.3  # seconds of lingering, at most, after several were computed together: a tenth of what that took
IDLE = 0.0  # the sign of a worker that has nothing to do


@dataclass(frozen=True)
class Pace:
    """How workers and supervisors time themselves, in seconds."""

    lease: float = 30.0  # a job whose worker has not been heard of for so long is another's; heartbeat at a third
    hang: float = 300.0  # a worker that has made no step for so long is killed
    poll: float = 0.2  # between looks for work, at most, while there is none
    grace: float = 5.0  # what a job is given to end in when its worker is told to leave
    together: int = 1  # jobs of one batch key that are claimed at once, at most
    linger: float = 0.03  # waited for others to come, where several may be claimed, and again while they come


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
    store = Store(root)
    worker = Worker(id, Database(url), store, pace, sign)
    os.chdir(store.nowhere)
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

    def told(self, claim: Claim, progress: dict[str, Any], preview: bytes | None) -> News:
        """News as the queue takes them: without a picture that it has."""
        before = self.noted.get(claim.id)
        return News(claim, progress, None if before and before[1] is preview else preview)


class Worker:
    """The state that the two threads share."""

    def __init__(self, id: str, database: Database, store: Store, pace: Pace, sign: Sign) -> None:
        self.id, self.database, self.store, self.pace, self.sign = id, database, store, pace, sign
        self.held = Held()
        self.leaving: float | None = None  # since when
        self._looked = self._beaten = self._quiet = 0.0
        self._linger = pace.linger
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
        ended = time.monotonic()
        while self.leaving is None:
            self.sign.value = IDLE
            self._heed(runner)
            if not self._claim():
                time.sleep(min(self.pace.poll, max(SOON, (time.monotonic() - ended) / 10)))
                continue
            self._run(runner)
            ended = time.monotonic()

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
            except Exception:  # a heart that stops loses its jobs to others
                log.exception("worker %s: a heartbeat failed", self.id)

    def _beat(self) -> None:
        held, begun = self.held, time.monotonic()
        due = begun - self._beaten >= min(self.pace.lease / 3, FACTS)
        news = {id: told for id, told in list(held.news.items()) if held.noted.get(id) is not told}
        if not due and (not news or begun < self._quiet):
            return
        with self.database.writing() as session:
            if due:
                roll.seen(session, self.id, self._facts())
                held.stops |= queue.beat(session, held.claims, self.pace.lease)
            claims = [claim for claim in held.claims if claim.id in news and claim.id not in held.stops]
            held.stops |= queue.tell_all(session, [held.told(claim, *news[claim.id]) for claim in claims])
        held.noted |= news
        ended = time.monotonic()
        self._quiet = ended + (SHARE - 1) * (ended - begun)
        if due:
            self._beaten = ended

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
        """How many wait, once nobody else has come for a while or as many do as may be claimed."""
        came = time.monotonic()
        longest = came + LINGERS * self._linger
        many = self._waiting()
        while 0 < many < self.pace.together and time.monotonic() < min(came + self._linger, longest):
            time.sleep(SOON)
            before, many = many, self._waiting()
            came = time.monotonic() if many > before else came
        return many

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
        good = [claim for claim in self.held.claims if claim.id in outcomes and outcomes[claim.id].error is None]
        announced = self._announce(good, outcomes)
        for claim in self.held.claims:
            if claim not in good:
                self._undone(claim, outcomes.get(claim.id), raised)
            self.store.discard(claim, claim.id in announced)
        self._linger = self.pace.linger
        if len(self.held.claims) > 1:  # who asked together may ask again, and is not there at once
            self._linger = max(self._linger, min(AGAIN, (time.monotonic() - self.held.begun) / SHARE))
        self.held = Held()

    def _work(self, claim: Claim) -> Work:
        inputs, folder = {}, self.store.stage(claim)
        if claim.inputs:
            with self.database.reading() as session:
                places = queue.places(session, list(claim.inputs.values()), claim.owner)
                known = called(session, places)
            inputs = {
                name: laid(self.store.path(places[id]), folder / GIVEN / name, known[id].name)
                for name, id in claim.inputs.items()
            }
        return Work(claim.id, claim.model, claim.task, claim.parameters, inputs, folder)

    def _announce(self, good: Sequence[Claim], outcomes: dict[str, Outcome]) -> set[str]:
        """End jobs well, in one transaction; returns ids of those whose files were announced."""
        with ThreadPoolExecutor(max(1, len(good))) as threads:  # a disk is quicker with what it is asked for at once
            kept = list(threads.map(lambda claim: self._sealed(claim, outcomes[claim.id]), good))
        done = [
            Done(claim, self._plainly.result(outcomes[claim.id].result), made, self.held.news.get(claim.id, (None,))[0])
            for claim, made in zip(good, kept, strict=True)
            if made is not None
        ]
        with self.database.writing() as session:
            lost = queue.succeed_all(session, done)
        if lost:
            log.warning("worker %s was too late with %s", self.id, ", ".join(sorted(lost)))
        return {one.claim.id for one in done} - lost

    def _sealed(self, claim: Claim, outcome: Outcome) -> list[Made] | None:
        """A job's files in their last place; None where that cannot be, and the job is to be tried again."""
        try:
            return self.store.seal(claim, outcome.files)
        except (OSError, ReverieError) as error:
            log.exception("worker %s: %s", self.id, claim.id)
            why = self._plainly.text(f"its files could not be kept: {error}")
        with suppress(LostLease), self.database.writing() as session:
            queue.fail(session, claim, why, again=True)
        return None

    def _undone(self, claim: Claim, outcome: Outcome | None, raised: Exception | None) -> None:
        """End a job, or have it wait again, as its outcome or what was raised asks."""
        with suppress(LostLease), self.database.writing() as session:
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
