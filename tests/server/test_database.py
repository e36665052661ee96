"""Both databases: tables as the code knows them, one clock, transactions that are whole, errors that a person can mend."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from reverie.errors import ReverieError
from reverie.server import queue
from reverie.server.database.clock import now
from reverie.server.database.engine import Database
from reverie.server.database.migrate import migrate, revisions
from reverie.server.database.tables import Base, Job


def difference(database):
    with database.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)


@pytest.mark.parametrize("first", [None, *revisions()])
def test_every_earlier_revision_comes_to_the_tables_that_the_code_knows(empty, first):
    database = Database(empty)
    assert difference(database)  # an empty database is not it
    if first is not None:
        migrate(database, first)
    migrate(database)
    migrate(database)  # and a second time nothing happens
    assert difference(database) == []
    database.close()


def test_of_several_that_start_at_once_one_migrates(empty):
    wrong = []

    def start():
        try:
            database = Database(empty)
            migrate(database)
            database.close()
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert wrong == []


def test_a_migration_that_fails_leaves_nothing(empty):
    database = Database(empty)
    whole = Base.metadata.tables["worker"].name
    with database.engine.begin() as connection:
        connection.execute(text(f"create table {whole} (x int)"))  # the fourth table of five is in the way
    with pytest.raises(Exception, match="worker"):
        migrate(database)
    assert inspect(database.engine).get_table_names() == [whole]
    database.close()


def test_a_database_of_a_later_version_is_refused(empty):
    database = Database(empty)
    migrate(database)
    with database.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(ReverieError, match="another version of Reverie"):
        migrate(database)
    database.close()


def test_the_clock_is_utc_and_runs_within_a_transaction(database):
    import time

    with database.reading() as session:
        first = session.scalars(select(now())).one()
        assert abs(first - time.time()) < 1.0
        time.sleep(0.02)
        assert 0.015 < session.scalars(select(now())).one() - first < 1.0


def test_what_fails_half_way_is_undone(database):
    def half():
        with database.writing() as session:
            queue.submit(session, owner="a", model="m", task="t", parameters={}, inputs={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    with database.reading() as session:
        assert session.scalars(select(Job)).all() == []


def test_readers_do_not_wait_for_a_writer(database):
    with database.writing() as session:
        queue.submit(session, owner="a", model="m", task="t", parameters={}, inputs={})
        with database.reading() as other:
            assert queue.waiting(other) == 0
    with database.reading() as other:
        assert queue.waiting(other) == 1


@pytest.mark.parametrize("wrong", ["mysql://a/b", "no url", "sqlite://", "sqlite:///:memory:"])
def test_what_is_no_database_for_this_is_refused(wrong):
    with pytest.raises(ReverieError, match="--database"):
        Database(wrong)


def test_a_database_that_is_away_is_named_without_its_password():
    pytest.importorskip("psycopg")
    with pytest.raises(ReverieError, match=r"x:\*\*\*@127.0.0.1:1/db does not answer") as told:
        Database("postgresql://x:secret@127.0.0.1:1/db")
    assert "secret" not in str(told.value)
