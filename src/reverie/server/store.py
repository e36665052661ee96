"""Files of the service, under one folder: what was uploaded, what jobs made, and what is only begun.

    uploads/ID.suffix          given by people
    artifacts/JOB-FENCE/...    made by one attempt at a job
    staging/...                not whole yet; nobody is told of it
    nowhere/                   always empty: where workers stand, so that no word of a person's is a file there

All names are made here or by the runner, never by a person. A file is moved to its place whole, and only what the database
announces counts: what a killed process left is known by that, and swept away.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from reverie.errors import ReverieError
from reverie.files import sha256, sync_folder, told_plainly, write_text
from reverie.server.claims import Claim, Made
from reverie.server.database.tables import PROCESSING, Artifact, Home, Job, Upload, new_id

SUFFIX = re.compile(r"(\.[a-z0-9]{1,8}){0,2}")
ABANDONED = 3600.0  # seconds after which an upload that no one announced is taken for the leavings of a killed process


class TooLarge(ReverieError):
    """An upload has more bytes than it may."""


class NoRoom(ReverieError):
    """The disk takes no more, or nothing may be written there."""


@dataclass(frozen=True)
class Received:
    """An upload that is whole and in its last place."""

    id: str
    place: str
    size: int
    sha256: str


class Incoming:
    """An upload that comes in parts; what was not finished is gone when it is dropped."""

    def __init__(self, id: str, staged: Path, path: Path, most: int) -> None:
        self.id, self.staged, self.path, self.most = id, staged, path, most
        self.size, self._digest = 0, hashlib.sha256()
        with _written():
            self._file = staged.open("xb")

    def write(self, chunk: bytes) -> None:
        """Add a part; raises TooLarge, and NoRoom where the disk takes no more."""
        self.size += len(chunk)
        if self.size > self.most:
            raise TooLarge(f"The upload is larger than the {self.most:,} bytes that one may have.")
        self._digest.update(chunk)
        with _written():
            self._file.write(chunk)

    def finish(self) -> Received:
        """Put it in its last place, safe on disk; raises NoRoom."""
        with _written():
            self._file.flush()
            os.fsync(self._file.fileno())
            self.staged.rename(self.path)
            sync_folder(self.path.parent)
        place = str(self.path.relative_to(self.path.parents[1]))
        return Received(self.id, place, self.size, self._digest.hexdigest())

    def drop(self) -> None:
        """Let go of what is not in its last place."""
        with suppress(OSError):  # what a full disk did not take is tried once more
            self._file.close()
        self.staged.unlink(missing_ok=True)


class Store:
    """The folder, made where it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root = root.resolve()
        self.staging, self.artifacts, self.uploads = root / "staging", root / "artifacts", root / "uploads"
        self.nowhere = root / "nowhere"
        with told_plainly(root):
            for folder in (self.staging, self.artifacts, self.uploads, self.nowhere):
                folder.mkdir(parents=True, exist_ok=True)

    def path(self, place: str) -> Path:
        """The file at a place that the database names; raises ReverieError where that leaves the store."""
        path = (self.root / place).resolve()
        if not path.is_relative_to(self.root):
            raise ReverieError(f"{place} is not a place in the store. Was the database edited?")
        return path

    def stage(self, claim: Claim) -> Path:
        """An empty folder for one attempt at a job, on the store's disk."""
        folder = self.staging / _attempt(claim)
        folder.mkdir()
        return folder

    def seal(self, claim: Claim, files: list[Path]) -> list[Made]:
        """Put the files of an attempt, which lie under its staged folder, in their last place, all at once and safe on disk.

        Raises ReverieError for what is no plain file there. Whatever else lies there is removed.
        """
        staged = self.staging / _attempt(claim)
        there = list(_under(staged))
        plain = {one.path: one.stat().st_size for one in there if one.is_file(follow_symlinks=False)}
        if odd := [file for file in files if str(file) not in plain]:
            raise ReverieError(f"{odd[0].name}: what a job keeps has to be a plain file in its own folder.")
        needed = {str(path) for file in files for path in (file, *file.parents)}
        for one in there:
            if one.path in needed:
                _sync(Path(one.path))
            elif one.is_dir(follow_symlinks=False):
                os.rmdir(one.path)
            else:
                os.unlink(one.path)
        sync_folder(staged)
        place = self.artifacts / staged.name
        made = [
            Made(
                place=str(place.relative_to(self.root) / name),
                name=str(name),
                media=mimetypes.guess_type(name)[0] or "application/octet-stream",
                size=plain[str(staged / name)],
                sha256=sha256(staged / name),
            )
            for name in (file.relative_to(staged) for file in files)
        ]
        staged.rename(place)
        sync_folder(self.artifacts)
        return made

    def discard(self, claim: Claim, announced: bool) -> None:
        """Remove what an attempt left: what was staged and, where it was not announced, what was sealed."""
        shutil.rmtree(self.staging / _attempt(claim), ignore_errors=True)
        if not announced:
            shutil.rmtree(self.artifacts / _attempt(claim), ignore_errors=True)

    def incoming(self, suffix: str, most: int) -> Incoming:
        """Begin an upload of at most `most` bytes under a new name that ends in `suffix` (.png, .tar.gz; "" for none).

        It counts once an `Upload` with its id and place is committed. Raises ReverieError.
        """
        if not SUFFIX.fullmatch(suffix):
            raise ReverieError(f"{suffix!r} is no ending of a file's name; it is to be like .png or .tar.gz.")
        id = new_id()
        return Incoming(id, self.staging / f"upload-{id}", self.uploads / f"{id}{suffix}", most)

    def upload(self, chunks: Iterable[bytes], suffix: str, most: int) -> Received:
        """The whole of an upload, from parts; see `incoming`. Raises TooLarge and ReverieError."""
        incoming = self.incoming(suffix, most)
        try:
            for chunk in chunks:
                incoming.write(chunk)
            return incoming.finish()
        finally:
            incoming.drop()

    def remove(self, places: Iterable[str]) -> None:
        """Remove files that are announced no longer, and the folders that this leaves empty."""
        for place in places:
            path = self.path(place)
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder.parent == self.root or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()

    def belong(self, session: Session) -> None:
        """Make the folder this database's own; raises ReverieError where it is another's, whose files `sweep` would remove."""
        file, home = self.root / "database", session.scalars(select(Home.id)).one()
        if not file.exists():
            with told_plainly(file):
                write_text(file, home)
        elif file.read_text(encoding="utf-8") != home:
            raise ReverieError(
                f"{self.root} holds the files of another database, and a server on this one would remove them. Give --database "
                "as before, or serve another folder. If that database is gone for good, and these files with it, remove "
                f"{self.root}."
            )

    def sweep(self, session: Session) -> list[Path]:
        """Remove what is announced by nobody and held by no claim; returns what was removed.

        What lies there is listed before the database is asked: who announces in between is seen, and kept.
        """
        attempts = [*self.staging.glob("*-*"), *self.artifacts.iterdir()]
        uploads = list(self.uploads.iterdir())
        held = {
            f"{id}-{fence}" for id, fence in session.execute(select(Job.id, Job.fence).where(Job.state == PROCESSING))
        }
        announced = {place.split("/")[1] for place in session.scalars(select(Artifact.place))}
        given = {place.split("/")[1] for place in session.scalars(select(Upload.place))}
        begun = [path for path in attempts if path.name.startswith("upload-")]
        attempts = [path for path in attempts if path not in begun]
        left = [
            path for path in attempts if path.name not in held | (announced if path.parent == self.artifacts else set())
        ]
        left += [path for path in (*uploads, *begun) if path.name not in given and _age(path) > ABANDONED]
        for path in left:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return left


@contextmanager
def _written() -> Iterator[None]:
    """Turn what the operating system says about writing an upload into a sentence for who sent it."""
    try:
        yield
    except OSError as error:
        raise NoRoom(
            f"The server's disk does not take it: {error.strerror or error}. Try again later, or tell who runs the server."
        ) from error


def _attempt(claim: Claim) -> str:
    return f"{claim.id}-{claim.fence}"


def _under(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """What lies under a folder, what a folder holds before itself; no link is followed."""
    with os.scandir(folder) as found:
        for one in list(found):
            if one.is_dir(follow_symlinks=False):
                yield from _under(one.path)
            yield one


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # a swifter sweep was here
        return 0.0
