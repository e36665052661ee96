"""Jobs that are asked for at one moment are put in the queue in one transaction, whose commit waits for the disk once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from sqlalchemy.orm import Session

from reverie.errors import ReverieError
from reverie.server.database.engine import Database
from reverie.server.database.tables import Job

Submit = Callable[[Session], Job]  # `queue.submit` of one job
_Asked = tuple[Submit, Future[str]]


class Submissions:
    """Who comes while others are being written waits, and is then written with all who wait."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._asked: deque[_Asked] = deque()
        self._turn = threading.Lock()

    def put(self, submit: Submit) -> str:
        """Run `submit` in a transaction and commit it; returns the job's id. Raises what `submit` raises."""
        mine: Future[str] = Future()
        self._asked.append((submit, mine))
        with self._turn:
            if not mine.done():
                self._write([self._asked.popleft() for _ in range(len(self._asked))])
        return mine.result()

    def _write(self, asked: Sequence[_Asked]) -> None:
        found: list[str | ReverieError] = []
        try:
            with self.database.writing() as session:
                for submit, _ in asked:
                    try:
                        found.append(submit(session).id)
                    except ReverieError as refused:  # before anything was changed: it is nothing to the others
                        found.append(refused)
        except Exception as error:
            if len(asked) == 1:
                asked[0][1].set_exception(error)
                return
            for one in asked:  # one of them is at fault, and hears of it alone
                self._write([one])
            return
        for (_, future), outcome in zip(asked, found, strict=True):
            if isinstance(outcome, str):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)
