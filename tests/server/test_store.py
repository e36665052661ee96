"""The store: files appear whole or not at all, stay in their folder, and what nobody announced is swept away."""

import os

import pytest

from reverie.errors import ReverieError
from reverie.server import queue
from reverie.server.database.engine import Database
from reverie.server.database.migrate import migrate
from reverie.server.database.tables import Upload
from reverie.server.queue import Made
from reverie.server.store import ABANDONED, TooLarge
from reverie.server.supervisor import Supervisor
from tests.server.test_queue import claimed, submitted

# SQLite alone is enough here: what is tested is the disk


@pytest.fixture
def claim(database):
    submitted(database)
    return claimed(database)[0]


@pytest.fixture(params=["sqlite"])
def url(tmp_path, sqlite_with_tables):
    import shutil

    shutil.copy(sqlite_with_tables, tmp_path / "server.db")
    return f"sqlite:///{tmp_path / 'server.db'}"


def files(store):
    return sorted(str(p.relative_to(store.root)) for p in store.root.rglob("*") if not p.is_dir())


def test_only_what_is_kept_is_sealed_and_comes_back_equal(store, claim):
    folder = store.stage(claim)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "a.png").write_bytes(b"123")
    (folder / "deep" / "scratch").write_bytes(b"x")
    (folder / "void" / "void").mkdir(parents=True)
    (folder / "link").symlink_to("/etc/passwd")
    [made] = store.seal(claim, [folder / "deep" / "er" / "a.png"])
    assert (made.name, made.media, made.size) == ("deep/er/a.png", "image/png", 3)
    assert store.path(made.place).read_bytes() == b"123"
    assert files(store) == [made.place]
    store.remove([made.place])
    assert list(store.artifacts.iterdir()) == []


@pytest.mark.parametrize("name", ["../outside", "link", "folder", "absent", "by/way"])
def test_what_is_no_plain_file_of_the_job_is_never_kept(store, claim, name):
    folder = store.stage(claim)
    (store.root / "outside").write_text("x")
    (store.staging / "outside").write_text("x")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(store.root / "outside")
    (folder / "by").symlink_to(store.root)
    (store.root / "way").write_text("x")
    with pytest.raises(ReverieError, match="plain file"):
        store.seal(claim, [folder / name])
    assert list(store.artifacts.iterdir()) == []


@pytest.mark.parametrize("place", ["../x", "/etc/passwd", "artifacts/../../x", "uploads/link"])
def test_a_place_outside_is_refused(store, place):
    (store.uploads / "link").symlink_to("/etc/passwd")
    with pytest.raises(ReverieError, match="not a place in the store"):
        store.path(place)


def test_an_upload_is_there_whole_or_not_at_all(store):
    given = store.upload(iter([b"ab", b"cd"]), ".tar.gz", 4)
    assert store.path(given.place).read_bytes() == b"abcd"
    assert (given.size, given.place) == (4, f"uploads/{given.id}.tar.gz")

    def broken():
        yield b"ab"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.upload(broken(), ".png", 100)
    with pytest.raises(TooLarge):
        store.upload([b"ab", b"cde"], ".png", 4)
    for suffix in ("/../x", ".PNG", ".a/b", "png", ".a.b.c", ".\0", "."):
        with pytest.raises(ReverieError, match="ending"):
            store.upload([b"a"], suffix, 4)
    assert files(store) == [given.place]


def test_the_sweep_takes_what_nobody_announced_and_nothing_else(store, database, claim):
    kept = store.upload([b"kept"], ".png", 9)
    fresh, lost = store.upload([b"fresh"], ".png", 9), store.upload([b"lost"], ".png", 9)
    (store.staging / "upload-ab").write_text("half")
    for path in (store.path(kept.place), store.path(lost.place), store.staging / "upload-ab"):
        os.utime(path, (1, 1 + ABANDONED))
    with database.writing() as session:
        session.add(Upload(id=kept.id, place=kept.place, name="k", owner="ann", size=4, sha256=kept.sha256))
        session.add(Upload(id=lost.id[::-1], place="uploads/another", name="k", owner="ann", size=4, sha256=""))
    folder = store.stage(claim)
    (folder / "begun").write_text("x")
    gone = store.artifacts / f"{claim.id}-0"
    gone.mkdir()
    (gone / "a").write_text("of an earlier attempt")
    with database.reading() as session:
        assert len(store.sweep(session)) == 3
    assert files(store) == sorted([f"staging/{folder.name}/begun", kept.place, fresh.place])
    [made] = store.seal(claim, [folder / "begun"])
    with database.reading() as session:
        assert store.sweep(session) == []  # sealed, and about to be announced
    with database.writing() as session:
        queue.succeed(session, claim, {}, [made])
    with database.reading() as session:
        assert store.sweep(session) == []
    assert isinstance(made, Made)
    assert made.place in files(store)


def test_a_folder_whose_files_another_database_knows_is_refused_before_they_are_swept(store, database, tmp_path):
    """A second server on another database had taken all artifacts of the first for left-overs."""
    for _ in range(2):
        with database.reading() as session:
            store.belong(session)
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    migrate(other)
    with other.reading() as session, pytest.raises(ReverieError, match="holds the files of another database"):
        store.belong(session)
    other.close()
    with pytest.raises(ReverieError, match="holds the files of another database"):
        Supervisor(f"sqlite:///{tmp_path / 'other.db'}", store.root, "reverie.server.runner:runner", None)
