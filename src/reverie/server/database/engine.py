"""One way into either database: transactions that read, and transactions that write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from reverie.errors import ReverieError

BUSY = 30.0  # seconds that a writer waits for others on SQLite, which has one writer at a time
KINDS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}


class Database:
    """A database and its transactions: each `with` block is one, committed at its end and undone by an exception.

    SQLite: write-ahead log, every commit on disk before it is told, writers take turns from their first statement (BEGIN
    IMMEDIATE), readers wait for nobody. PostgreSQL: READ COMMITTED, rows are locked by what `queue` asks.
    """

    def __init__(self, url: str) -> None:
        """Open `url`: sqlite:///PATH or postgresql+psycopg://...; raises ReverieError where it is neither or does not answer."""
        self.url = url
        self.engine = _engine(_checked(url))
        self._reader = self.engine.execution_options(reading=True)
        one_writer = self.engine.dialect.name == "sqlite"
        self._turn = (
            threading.RLock() if one_writer else nullcontext()
        )  # SQLite's own waiting is by chance, and starves some
        with told_plainly(url), self.engine.connect() as connection:
            connection.execute(text("select 1"))

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that may write; what it read cannot change before it ends (on PostgreSQL: where it locked it)."""
        with self._turn, Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that reads, and never waits for a writer."""
        with Session(self._reader, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


@contextmanager
def told_plainly(url: str) -> Iterator[None]:
    """Turn what a database says at the start, where it cannot be opened or written, into a sentence with the way out."""
    try:
        yield
    except OperationalError as error:
        why = " ".join(str(error.orig).split())
        if (place := make_url(url)).get_backend_name() == "sqlite":
            do = "Free some space" if full(error) else "Make its folder writable"
            raise ReverieError(
                f"The database {place.database} cannot be written: {why}. {do}, or put it elsewhere: --database sqlite:///FILE."
            ) from error
        told = place.render_as_string(hide_password=True)
        raise ReverieError(f"The database {told} does not answer: {why}. Is it there and running?") from error


def full(error: DBAPIError) -> bool:
    """Whether it is for want of room on a disk that a database did not do what it was asked."""
    return any(words in str(error.orig) for words in ("disk is full", "No space left on device"))


def default_url(folder: Path) -> str:
    """The database of a service of which nothing else was said: a file under its folder."""
    return f"sqlite:///{folder.resolve() / 'server.db'}"


def _checked(url: str) -> URL:
    try:
        asked = make_url(url)
        return asked.set(drivername=KINDS[asked.drivername])
    except (ArgumentError, KeyError) as error:
        raise ReverieError(
            "--database: this is no URL of a database that Reverie knows. Give sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME."
        ) from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(url, pool_pre_ping=True, pool_size=20, connect_args={"connect_timeout": 10})
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise ReverieError(
                "PostgreSQL needs a driver that is not installed: pip install 'reverie[serve,postgresql]'."
            ) from error
    if not url.database or url.database == ":memory:":
        raise ReverieError("--database: workers are processes, so SQLite has to be a file: sqlite:///PATH.")
    url = url.set(database=str(Path(url.database).resolve()))  # wherever the process goes
    engine = create_engine(url, pool_size=20, connect_args={"timeout": BUSY, "isolation_level": None})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    for line in ("journal_mode=wal", "synchronous=full", "foreign_keys=on"):
        connection.execute(f"pragma {line}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
