"""Watching jobs: one look at the database for all watchers of a process, told to each as it changes.

A watcher holds neither a connection nor a thread: it waits on an asyncio queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from reverie.errors import ReverieError
from reverie.server.database.engine import Database
from reverie.server.database.tables import FINISHED, Job
from reverie.server.views import JobTold, jobs_told

LOOK = 0.05  # seconds between looks at the database
_AT_ONCE = 500  # jobs asked after in one statement


class TooManyWatchers(ReverieError):
    """As many streams are open as may be."""

    retry_after = 5


@dataclass(frozen=True)
class Seen:
    """What a watcher is told of a job; `None` in its place: the job is gone."""

    state: str
    cancel: bool
    attempts: int
    progress: dict[str, Any] | None
    shown: int | None  # the step that its newest picture is of
    told: JobTold | None = None  # all of it, once it has ended and nothing more will come

    @property
    def standing(self) -> tuple[str, bool, int]:
        """What a change of is a change of state."""
        return self.state, self.cancel, self.attempts


News = asyncio.Queue[Seen | None]


class Watchers:
    """Who watches which job; at most `most` at a time."""

    def __init__(self, database: Database, most: int) -> None:
        self.database, self.most = database, most
        self._queues: dict[str, set[News]] = {}
        self._last: dict[str, Seen | None] = {}
        self._looking: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def count(self) -> int:
        """How many watch."""
        return sum(len(queues) for queues in self._queues.values())

    def need_room(self) -> None:
        """Raise TooManyWatchers where no other may watch."""
        if self.count >= self.most:
            raise TooManyWatchers(f"{self.most} streams are open already, and no more may be. Try again in a moment.")

    def end(self) -> None:
        """Tell all who watch, and who will, that nothing more comes. For the loop that they wait in."""
        self._tell(dict.fromkeys(self._queues))
        self._ended = True

    @contextlib.asynccontextmanager
    async def watch(self, id: str) -> AsyncIterator[News]:
        """A queue that holds the newest that was seen of a job: soon, and after each change. Raises TooManyWatchers."""
        self.need_room()
        news: News = asyncio.Queue(1)  # who is slow is told the newest alone
        if self._ended:
            news.put_nowait(None)
        elif id in self._last:
            news.put_nowait(self._last[id])
        self._queues.setdefault(id, set()).add(news)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield news
        finally:
            queues = self._queues[id]
            queues.discard(news)
            if not queues:
                del self._queues[id]
                self._last.pop(id, None)

    async def _look(self) -> None:
        """Look for as long as anybody watches; a database that is away is asked again."""
        while self._queues:
            with contextlib.suppress(Exception):
                found = await run_in_threadpool(self._read, list(self._queues))
                self._tell(found)
            await asyncio.sleep(LOOK)

    def _tell(self, found: dict[str, Seen | None]) -> None:
        for id, seen in found.items():
            if not self._ended and id in self._queues and (id not in self._last or self._last[id] != seen):
                self._last[id] = seen
                for news in self._queues[id]:
                    if news.full():
                        news.get_nowait()
                    news.put_nowait(seen)

    def _read(self, ids: list[str]) -> dict[str, Seen | None]:
        found: dict[str, Seen | None] = dict.fromkeys(ids)
        columns = (Job.id, Job.state, Job.cancel, Job.attempts, Job.progress, Job.shown)
        with self.database.reading() as session:
            for some in _parts(ids):
                seen = {row[0]: Seen(*row[1:]) for row in session.execute(select(*columns).where(Job.id.in_(some)))}
                if ended := [id for id, one in seen.items() if one.state in FINISHED]:
                    jobs = session.scalars(select(Job).where(Job.id.in_(ended))).all()
                    seen |= {told.id: replace(seen[told.id], told=told) for told in jobs_told(session, jobs)}
                found |= seen
        return found


def _parts(ids: list[str]) -> Iterable[list[str]]:
    return (ids[k : k + _AT_ONCE] for k in range(0, len(ids), _AT_ONCE))
