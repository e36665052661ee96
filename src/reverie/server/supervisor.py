"""The supervisor: keeps workers alive, gives a dead one's jobs back at once, and tidies up.

Workers come from a fork server that has imported this room and nothing heavier, so that a new one is there in some milliseconds.
Several supervisors, on one machine or many, may share a database: leases tell them apart, and need nobody to be told of anybody.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType

from reverie.server import queue, roll, worker
from reverie.server.database.engine import Database
from reverie.server.database.migrate import migrate
from reverie.server.database.tables import new_id
from reverie.server.settings import Settings
from reverie.server.store import Store
from reverie.server.worker import IDLE, Maker, Pace, Sign

log = logging.getLogger(__name__)
TICK = 0.2  # seconds between looks for workers that hang; a death is seen at once
MARGIN = 2.0  # seconds beyond the grace after which a worker that was told to leave is killed
TIDY = 60.0  # seconds between looks for files and jobs that are too old
SETTLE = (
    0.1  # seconds that a worker is dead before its place is filled: who ends all processes at once ends this one too
)
PATIENCE = 30.0  # seconds between tries, at most, at a worker that dies before its first look for work


@dataclass
class Hand:
    """One worker's place: who fills it, and how often in a row who filled it died before its first look for work."""

    id: str
    process: ForkServerProcess
    sign: Sign
    stillborn: int = 0
    due: float = 0.0  # not before then is a dead one's place filled


class Supervisor:
    """`workers` processes over one database and one folder; use it as a context, or `run` it.

    `runner` is "module:function", and the function makes a Runner from `settings`. Files of ended jobs,
    and uploads, are kept `keep` seconds.
    """

    def __init__(
        self, url: str, root: Path, runner: str, settings: Settings | None = None, *,
        workers: int = 1, pace: Pace | None = None, keep: float = 7 * 86400.0,
    ) -> None:  # fmt: skip
        self.url, self.root, self.workers, self.keep = url, root, workers, keep
        self.maker = Maker(runner, settings)
        self.pace = pace or Pace()
        self.store = Store(root)
        self.database = Database(url)
        migrate(self.database)
        with self.database.reading() as session:
            self.store.belong(session)
        self.hands: list[Hand] = []
        self._leaving = threading.Event()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["reverie.server.worker"])
        self._dead: list[str] = []
        self._reaped = self._tidied = 0.0
        self._watch = threading.Thread(target=self._look_after, daemon=True)

    def __enter__(self) -> Supervisor:
        """Start the workers."""
        self.hands = [self._hire() for _ in range(self.workers)]
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have workers end what they are on, or give it back; all are gone within the grace and two seconds."""
        self._leaving.set()
        self._watch.join()
        for hand in self.hands:
            hand.process.terminate()
        until = time.monotonic() + self.pace.grace + MARGIN
        for hand in self.hands:
            hand.process.join(max(0.0, until - time.monotonic()))
            hand.process.kill()
            hand.process.join()
            self._dead.append(hand.id)
        self._trying(self._reap)
        self.database.close()

    @property
    def ready(self) -> bool:
        """Whether every worker has begun to look for work."""
        return all(hand.process.is_alive() and not math.isnan(hand.sign.value) for hand in self.hands)

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C. For the main thread of a process."""
        asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())
        with self:
            while not asked.wait(TICK):  # a wait without end would keep Python from its signal handlers
                pass

    def _hire(self) -> Hand:
        id = new_id()
        sign = self._context.Value("d", math.nan, lock=False)
        process = self._context.Process(
            target=worker.main, args=(id, self.url, self.root, self.maker, self.pace, sign), name=f"worker {id}",
        )  # fmt: skip
        try:
            process.start()
        except (ConnectionError, EOFError):  # the fork server was killed, and the next try starts another
            log.warning("the fork server is gone: it is started anew")
            process.start()
        return Hand(id, process, sign)

    def _look_after(self) -> None:
        while not self._leaving.is_set():
            alive = [hand.process.sentinel for hand in self.hands if hand.process.is_alive()]
            if len(alive) == len(self.hands):
                connection.wait(alive, timeout=TICK)
            else:
                time.sleep(TICK / 4)
            if any(not hand.process.is_alive() for hand in self.hands) and self._leaving.wait(SETTLE):
                break
            self._trying(self._look)

    def _look(self) -> None:
        for place, hand in enumerate(self.hands):
            if hand.process.is_alive():
                self._end_if_hanging(hand)
            else:
                self._replace(place, hand)
        if self._dead or time.monotonic() - self._reaped > self.pace.lease / 3:
            self._reap()
        if time.monotonic() - self._tidied > TIDY:
            self._tidy()

    def _end_if_hanging(self, hand: Hand) -> None:
        if hand.sign.value != IDLE and time.monotonic() - hand.sign.value > self.pace.hang:
            log.warning("worker %s made no step for %g s: it is killed", hand.id, self.pace.hang)
            hand.process.kill()
            hand.process.join()

    def _replace(self, place: int, hand: Hand) -> None:
        """Fill a dead worker's place: at once, or, after ones that could not even begin, ever more slowly."""
        if not hand.due:
            log.warning("worker %s ended with code %s", hand.id, hand.process.exitcode)
            self._dead.append(hand.id)
            hand.stillborn = hand.stillborn + 1 if math.isnan(hand.sign.value) else 0
            hand.due = time.monotonic() + (min(PATIENCE, 2.0 ** (hand.stillborn - 2)) if hand.stillborn else 0.0)
        if time.monotonic() >= hand.due:
            new = self._hire()
            new.stillborn = hand.stillborn
            self.hands[place] = new

    def _reap(self) -> None:
        living = [hand.id for hand in self.hands if hand.process.is_alive()]
        with self.database.writing() as session:
            lost = [id for dead in self._dead for id in queue.reap(session, dead)] + queue.reap(session, living=living)
        self._dead, self._reaped = [], time.monotonic()
        if lost:
            log.warning("taken from workers that are gone: %s", ", ".join(lost))

    def _tidy(self) -> None:
        self._tidied = time.monotonic()
        with self.database.writing() as session:
            old = queue.expire(session, self.keep)
            roll.forget(session, max(TIDY, 10 * self.pace.lease))
        self.store.remove(old)
        with self.database.reading() as session:
            self.store.sweep(session)

    def _trying(self, do: Callable[[], None]) -> None:
        """Do what has to be done, and outlive what goes wrong: a database or a disk that is away is there at a later look."""
        try:
            do()
        except Exception:
            log.exception("the supervisor goes on, after an error")
