"""What docs/deploy.md says is so: its flags and defaults, its unit, its backup and restore word by word, upgrade, expiry."""

import dataclasses
import re
import shutil
import subprocess
import typing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from reverie.cli.serve import command, token
from reverie.errors import ReverieError
from reverie.files import sha256
from reverie.server import queue, serving, supervisor
from reverie.server.database.engine import Database
from reverie.server.database.migrate import migrate
from reverie.server.database.tables import Artifact, Job, Upload
from reverie.server.serving import FAREWELL
from reverie.server.settings import FOLDER, Settings
from reverie.server.store import Store
from reverie.server.supervisor import MARGIN, Supervisor
from reverie.server.worker import Pace
from tests.server.conftest import binaries
from tests.server.test_supervisor import PACE, TOY, ask, ended, look, until
from tests.server.toy import content

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
TEXT = PAGE.read_text()
RUNS, BACKUP, DATABASE = "/srv/reverie/runs", "/backup", "postgresql://reverie@db.example.org/reverie"


def flag(name):
    return "--" + name.replace("_", "-")


def settings():
    return [field for field in dataclasses.fields(Settings) if field.default is not dataclasses.MISSING]


def row(field):
    meaning = typing.get_args(typing.get_type_hints(Settings, include_extras=True)[field.name])[1]
    default = "" if field.default is None else f"{field.default:,}" if type(field.default) is int else field.default
    default = str(field.default) if field.name == "port" else default
    return f"| `{flag(field.name)}` | {default} | {meaning} |"


def block(language, after):
    """The first code block of a language behind a heading."""
    return re.search(rf"```{language}\n(.*?)```", TEXT[TEXT.index(after) :], re.S)[1]


def lines_after(words):
    """The indented lines that follow some words of the page."""
    found = re.search(rf"^{re.escape(words)}\n\n((?:    .*\n)+)", TEXT, re.M)
    return [line.strip() for line in found[1].splitlines()]


def test_every_option_is_in_the_table_as_the_server_has_it():
    table = re.findall(r"^\| `--.*", TEXT[TEXT.index("## Every option") :], re.M)
    assert table == [row(field) for field in settings()]


def test_every_flag_that_the_page_names_is_one():
    known = {flag(name) for function in (command, token) for name in function.__annotations__} | {"--names"}
    known |= {flag(field.name) for field in settings()}
    commands = [
        line for line in TEXT.splitlines() if re.search(r"reverie serve |reverie token |\"reverie\", \"serve\"", line)
    ]
    named = set(re.findall(r"`(--[a-z-]+)", TEXT)) | {f for line in commands for f in re.findall(r"--[a-z-]+", line)}
    assert len(commands) >= 7
    assert named - known == set()


def test_the_unit_is_one_that_systemd_takes_and_waits_for_the_drain(tmp_path):
    unit = block("ini", "## systemd") + "[Service]\n" + block("ini", "## PostgreSQL")
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > Pace().grace + MARGIN + 2 * FAREWELL
    assert int(re.search(r"--stop-timeout (\d+)", TEXT)[1]) > Pace().grace + MARGIN + 2 * FAREWELL
    for directive in ("User=", "ProtectSystem=strict", "NoNewPrivileges=yes", "ReadWritePaths=", "KillMode=mixed"):
        assert f"\n{directive}" in unit
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the unit's directives are checked, its words are not")
    place = tmp_path / "reverie.service"
    for written, wrong in ((unit, False), (unit.replace("ProtectSystem", "Protectsystem"), True)):
        place.write_text(written.replace("/opt/reverie/bin/reverie", "/bin/true"))
        found = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", place], capture_output=True, text=True, check=False
        )
        assert (str(place) in found.stderr) == wrong, found.stderr


def test_a_server_called_by_other_names_needs_tokens(tmp_path):
    """Behind a proxy every stranger comes from this machine."""
    with pytest.raises(ReverieError, match="--token-file"):
        Settings(runs=tmp_path, names="reverie.example.org").check()
    Settings(runs=tmp_path, names="reverie.example.org", token_file=tmp_path / "tokens").check()


@pytest.fixture
def beside(empty):
    """Another database, empty, to restore into: of PostgreSQL one of its own, of SQLite none is needed."""
    if empty.startswith("sqlite"):
        yield None
        return
    admin, name = Database(empty), empty.rsplit("/", 1)[1] + "_restored"
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
        yield empty.rsplit("/", 1)[0] + "/" + name
        connection.execute(text(f"drop database {name} with (force)"))
    admin.close()


def done_as_said(lines, places, monkeypatch):
    """Run the page's own lines, at other places; tar may say by status 1 that something went meanwhile."""
    if (programs := binaries()) is not None:
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    for line in lines:
        for written, meant in places.items():
            line = line.replace(written, meant)
        found = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
        assert found.returncode <= line.startswith("tar "), f"{line}: {found.stderr}"


@pytest.mark.slow
def test_a_backup_that_was_made_while_jobs_ran_is_restored_whole(
    empty, beside, tmp_path, monkeypatch, path_of_children
):
    kind = "SQLite:" if beside is None else "PostgreSQL:"
    if beside is None and shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed: apt-get install sqlite3")
    runs, backup, again = tmp_path / "runs", tmp_path / "backup", tmp_path / "again"
    for folder in (runs / FOLDER, runs / "model", backup, again):
        folder.mkdir(parents=True)
    (runs / "model" / "model.json").write_text("{}")
    url = f"sqlite:///{runs / FOLDER / 'server.db'}" if beside is None else empty
    with Supervisor(url, runs / FOLDER, TOY, workers=2, pace=replace(PACE, grace=0.3)) as server:
        given = server.store.upload([b"whole"], ".txt", 100)
        with server.database.writing() as session:
            session.add(Upload(id=given.id, place=given.place, name="a.txt", owner="ann", size=5, sha256=given.sha256))
        first = [ask(server.database, n=n, inputs={"path": given.id}) for n in range(3)]
        ended(server.database, *first)
        long = ask(server.database, steps=10_000, seconds=0.01)
        rest = [ask(server.database, n=n, steps=4, seconds=0.02) for n in range(3, 9)]
        stuck = ask(server.database, steps=10_000, seconds=0.01)  # so that what comes after it waits
        rest += [ask(server.database, n=n) for n in range(9, 11)]
        until(lambda: look(server.database, long).state == "processing")
        plain = url.replace("+psycopg", "")
        done_as_said(lines_after(kind), {RUNS: str(runs), BACKUP: str(backup), DATABASE: plain}, monkeypatch)
    shutil.rmtree(runs)  # and nothing of it is looked at again

    target = f"sqlite:///{again / FOLDER / 'server.db'}" if beside is None else beside
    places = {RUNS: str(again), BACKUP: str(backup), DATABASE: target.replace("+psycopg", "")}
    words = "Restore, into a folder and a database that are empty, with no server running:"
    done_as_said(lines_after(words if beside is None else "or, with PostgreSQL,"), places, monkeypatch)
    restored = Database(target)
    store = again / FOLDER
    with restored.reading() as session:
        states = {job.id: job.state for job in session.scalars(select(Job))}
        announced = [*session.scalars(select(Artifact)), *session.scalars(select(Upload))]
    assert set(states) == {*first, long, *rest, stuck}
    assert {states[id] for id in first} == {"succeeded"}
    assert states[long] == "processing"
    assert {states[id] for id in rest[-2:]} == {"starting"}
    assert len(announced) >= 2 * len(first) + 1
    assert [one.place for one in announced if sha256(store / one.place) != one.sha256] == []
    assert (again / "model" / "model.json").read_text() == "{}"

    with Supervisor(target, store, TOY, workers=2, pace=PACE):
        until(lambda: look(restored, long).attempts == 2)
        with restored.writing() as session:
            [queue.cancel(session, id) for id in (long, stuck)]
        jobs = ended(restored, *first, *rest)
    assert {job.state for job in jobs} == {"succeeded"}
    with restored.reading() as session:
        Store(store).sweep(session)  # as the next start does: an attempt's files may be later than the database's copy
        files = session.scalars(select(Artifact)).all()
    assert len(files) == 2 * len(jobs)
    for file in files:
        assert (store / file.place).read_text() == content(look(restored, file.job).parameters)
    on_disk = {
        str(p.relative_to(store)) for p in store.rglob("*") if p.is_file() and not p.name.startswith("server.db")
    }
    assert on_disk == {"database", given.place, *(file.place for file in files)}
    restored.close()


@pytest.mark.slow
def test_a_password_is_taken_from_a_file_and_never_told(postgresql, tmp_path, monkeypatch):
    admin = Database(postgresql)
    with admin.engine.begin() as connection:
        connection.execute(text("create role keeper login password 'hush-1'"))
        rules = Path(connection.scalar(text("show hba_file")))
        before = rules.read_text()
        rules.write_text("host all keeper 127.0.0.1/32 scram-sha-256\n" + before)
        connection.execute(text("select pg_reload_conf()"))
    url = postgresql.replace("reverie@", "keeper@")
    file = tmp_path / "pgpass"
    monkeypatch.setenv("PGPASSFILE", str(file))
    try:
        for password, right in (("hush-2", False), ("hush-1", True)):
            file.write_text(f"127.0.0.1:*:*:keeper:{password}\n")
            file.chmod(0o600)
            if right:
                Database(url).close()
            else:
                with pytest.raises(ReverieError, match="does not answer") as told:
                    until(lambda: Database(url).close())  # the rules are read anew a moment later
                assert password not in str(told.value)
    finally:
        rules.write_text(before)
        with admin.engine.begin() as connection:
            connection.execute(text("select pg_reload_conf()"))
            connection.execute(text("drop role keeper"))
        admin.close()


OLD = """insert into job (id, owner, model, task, parameters, inputs, body, state, created, attempts, alone, fence, worker, lease,
cancel) values (:id, 'ann', 'm', 't', :parameters, '{}', '', :state, 1.0, :attempts, false, :attempts, :worker, :lease, false)"""


def test_jobs_of_an_earlier_version_s_database_are_done_by_this_one(empty, tmp_path, path_of_children):
    database = Database(empty)
    migrate(database, "0001")
    with database.engine.begin() as connection:
        for n, state in enumerate(["starting", "processing", "starting"]):
            held = (
                {"attempts": 1, "worker": "w" * 32, "lease": 1.0}
                if state == "processing"
                else {"attempts": 0, "worker": None, "lease": None}
            )
            connection.execute(text(OLD), {"id": f"{n:032x}", "parameters": f'{{"n": {n}}}', "state": state, **held})
    with Supervisor(empty, tmp_path / "store", TOY, workers=1, pace=PACE) as server:
        jobs = ended(server.database, *(f"{n:032x}" for n in range(3)))
    assert [(job.state, job.attempts) for job in jobs] == [("succeeded", 1), ("succeeded", 2), ("succeeded", 1)]
    database.close()


def test_what_is_older_than_keep_days_goes_by_itself_but_not_what_is_needed(tmp_path, monkeypatch, path_of_children):
    monkeypatch.setattr(supervisor, "TIDY", 0.1)
    monkeypatch.setattr(serving, "RUNNER", TOY)
    with serving.supervisor(Settings(runs=tmp_path, keep_days=2.0, workers=1)) as server:
        given, needed = (server.store.upload([word], ".txt", 100) for word in (b"old", b"needed"))
        with server.database.writing() as session:
            for one in (given, needed):
                session.add(Upload(id=one.id, place=one.place, name="a", owner="ann", size=one.size, sha256=one.sha256))
        old, young = (ask(server.database, n=n) for n in range(2))
        ended(server.database, old, young)
        works = ask(server.database, steps=10_000, seconds=0.01, inputs={"path": needed.id})
        with server.database.writing() as session:
            made = {
                id: [
                    server.store.path(place)
                    for place in session.scalars(select(Artifact.place).where(Artifact.job == id))
                ]
                for id in (old, young)
            }
            moment = queue.moment(session)
            for id, days in ((old, 2.01), (young, 1.99)):
                session.execute(update(Job).where(Job.id == id).values(finished=moment - days * 86_400))
            session.execute(update(Upload).values(created=moment - 2.01 * 86_400))
        first, second = (server.store.path(one.place) for one in (given, needed))
        until(lambda: not any(path.exists() for path in (*made[old], first)))
        assert all(path.is_file() for path in (*made[young], second))
        with server.database.writing() as session:
            assert set(session.scalars(select(Job.id))) == {young, works}
            queue.cancel(session, works)
        until(lambda: not second.exists())
    assert all(path.is_file() for path in made[young])
