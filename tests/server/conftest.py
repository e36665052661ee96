"""Databases of both kinds: a file of SQLite, and a PostgreSQL that these tests start, on loopback, as another than root; and a
folder of runs with one small model in it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("sqlalchemy", reason="the server's packages are not installed: pip install 'reverie[serve]'")
from sqlalchemy import text

from reverie.pictures import save_sheet
from reverie.server.app import application, behind
from reverie.server.database.engine import Database
from reverie.server.database.migrate import migrate
from reverie.server.settings import Settings
from reverie.server.store import Store
from reverie.server.tokens import new_token
from reverie.server.told import Plainly
from reverie.training.settings import TrainSettings
from reverie.training.setup import prepare
from tests.server.asking import opened
from tests.toy import data

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


def binaries():
    """Where PostgreSQL's programs are, the newest first; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: -float(p.parts[-3]))
    on_path = shutil.which("initdb")
    return found[0].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """The URL of a cluster's first database, for this session of tests alone."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql-15")
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'reverie[postgresql]'")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and setpriv is not installed")
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/reverie-postgresql-XXXXXX"], text=True).strip())
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    if other:
        os.chown(folder, 65534, 65534)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        [*other, programs / "initdb", "-D", folder / "data", "-U", "reverie", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    server = subprocess.Popen(
        [*other, programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    try:
        url = f"postgresql+psycopg://reverie@127.0.0.1:{port}/postgres"
        until, ready = time.monotonic() + 20, [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < until, "PostgreSQL does not start"
            time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=KINDS)
def empty(request, tmp_path):
    """The URL of a database of one test's own, without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'server.db'}"
        return
    whole = request.getfixturevalue("postgresql")
    name = f"t{os.urandom(6).hex()}"
    admin = Database(whole)
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
        yield whole.rsplit("/", 1)[0] + "/" + name
        connection.execute(text(f"drop database {name} with (force)"))
    admin.close()


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqlite") / "server.db"
    made = Database(f"sqlite:///{path}")
    migrate(made)
    made.close()
    return path


@pytest.fixture(scope="session")
def postgresql_with_tables(postgresql):
    made = Database(postgresql)
    migrate(made)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    """The URL of a database with tables, in which nothing is."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_with_tables"), tmp_path / "server.db")
        return f"sqlite:///{tmp_path / 'server.db'}"
    made = request.getfixturevalue("postgresql_with_tables")
    with made.engine.begin() as connection:
        connection.execute(text("truncate job, artifact, upload, token, worker, wish"))
    return made.url


@pytest.fixture
def database(url):
    found = Database(url)
    yield found
    found.close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def path_of_children(monkeypatch):
    """Worker processes find the tests' runners."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """RUNS/toy knows three labels; 8x8 grey pictures of 8 bits."""
    place = tmp_path_factory.mktemp("runs")
    job = prepare(data(), TrainSettings.of({"size": "tiny", "batch": 16, "threads": 1, "device": "cpu"}))
    model = job.model
    torch.manual_seed(0)
    with torch.no_grad():  # as good as trained here: all that it is told matters
        for weights in model.denoiser.parameters():
            weights += 0.05 * torch.randn_like(weights)
    model.save(place / "toy")
    save_sheet(model.sample(3, steps=1).sheet(), place / "toy" / "samples" / "00000004-ema.png")
    return place


PEOPLE = {"ann": "user", "ben": "user", "eve": "admin"}


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """A token file, and the headers with which each person asks."""
    made = {name: new_token(name, scope) for name, scope in PEOPLE.items()}
    path = tmp_path_factory.mktemp("people") / "tokens"
    path.write_text("".join(line + "\n" for _, line in made.values()))
    return path, {name: {"authorization": f"Bearer {token}"} for name, (token, _) in made.items()}


@pytest.fixture
def service(url, runs, tmp_path, people):
    """A service over the test's database, whose files are its own; nobody works for it."""
    settings = Settings(runs=runs, database=url, token_file=people[0], most_upload=2_000_000, most_body=100_000)
    here = opened(settings)
    store = Store(tmp_path / "store")
    yield replace(here, store=store, plainly=Plainly(runs.resolve(), store.root))
    here.database.close()


@pytest.fixture(scope="session")
def routes_alone():
    """The application, made once: its service is given to it by each test."""
    return application(Settings(runs="runs"))


@pytest.fixture
def app(service, routes_alone):
    return behind(routes_alone, service)


@pytest.fixture
def ann(people):
    return people[1]["ann"]


@pytest.fixture
def ben(people):
    return people[1]["ben"]


@pytest.fixture
def eve(people):
    return people[1]["eve"]
