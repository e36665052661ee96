"""Bring a database to the tables of this version, whoever comes first."""

from __future__ import annotations

import functools
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

from reverie.errors import ReverieError
from reverie.server.database.engine import Database, told_plainly

LOCK = 7_265_766_572  # of PostgreSQL's advisory locks; SQLite's one writer is lock enough


def configuration(connection: Connection | None = None) -> Config:
    """What Alembic is told: where the migrations are, and over which connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def revisions() -> list[str]:
    """Names of all revisions, oldest first."""
    return [r.revision for r in ScriptDirectory.from_config(configuration()).walk_revisions()][::-1]


def migrate(database: Database, to: str = "head") -> None:
    """Bring the tables to revision `to`, whole or not at all; of several that ask at once, one does it.

    Raises ReverieError where the database was made by a later version.
    """
    with told_plainly(database.url), database.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        try:
            command.upgrade(configuration(connection), to)
        except CommandError as error:
            raise ReverieError(
                f"The database is of another version of Reverie ({error}). Install that version, or give another --database."
            ) from error


def at_head(database: Database) -> bool:
    """Whether the tables are those of this version."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == _head()


@functools.cache
def _head() -> str | None:
    return ScriptDirectory.from_config(configuration()).get_current_head()
