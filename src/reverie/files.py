"""Writing so that nothing is ever half written: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from reverie.errors import ReverieError

LOCK = ".lock"
_SYNCED = ContextVar("synced", default=True)


def sync_folder(path: Path) -> None:
    """Make renames in a folder survive a power cut."""
    with contextlib.suppress(PermissionError, IsADirectoryError):  # Windows has no handle on folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def synced_later() -> Iterator[None]:
    """Within, what is written is whole but not yet safe on disk: for who syncs all of it at once, as the server's store does."""
    token = _SYNCED.set(False)
    try:
        yield
    finally:
        _SYNCED.reset(token)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place in one step.

    Raises ReverieError when the disk is full or the place cannot be written to; what was there before stays.
    """
    if path.exists() and not path.is_file():  # a folder, or a device, which a rename would replace for everybody
        raise ReverieError(f"{path} is there already and is not an ordinary file; choose another place.")
    with told_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            if _SYNCED.get():
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
            if _SYNCED.get():
                sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole; keys keep their order, NaN is refused."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole."""
    write_whole(path, lambda p: p.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; anything else is an error that names the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ReverieError(
            f"{path} is not valid JSON ({error}). Was it edited, or cut off while being copied?"
        ) from error
    except OSError as error:
        raise ReverieError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not isinstance(value, dict):
        raise ReverieError(f"{path} holds a JSON {type(value).__name__}, not an object.")
    return value


def write_folder(path: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` make a folder under a temporary name, sync all of it, then rename it to `path`, which must be new."""
    with told_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
        try:
            fill(temporary)
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            temporary.chmod(0o755)
            sync_folder(temporary)
            temporary.rename(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against a second writer; the operating system lets go when this process ends, however it ends.

    Raises ReverieError that names the process which holds it. The lock's file stays: it is the lock on it that counts.
    """
    with told_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+", encoding="utf-8")
    with file:
        if not _taken(file):
            file.seek(0)
            raise ReverieError(
                f"{folder} is being written to by {file.read().strip() or 'another process'}. Wait until it has ended, stop it, "
                "or choose another folder."
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
        yield


def _taken(file: IO[str]) -> bool:
    """Whether the lock on an open file is ours now; on a file system that has no locks it is."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 30)  # a byte beyond the text, which others are to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def sweep(folder: Path) -> int:
    """Remove what a killed writer left behind in a folder; returns how many."""
    left = list(folder.glob(".*.tmp")) if folder.is_dir() else []
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return len(left)


def must_end(path: Path, suffix: str) -> None:
    """Refuse a place of another kind than what will be written there: another file's name was meant, and it would be lost."""
    if path.suffix.lower() != suffix:
        raise ReverieError(
            f"{path}: what is written there is {suffix}; give a name that ends so, and no other file is lost."
        )


@contextlib.contextmanager
def told_plainly(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing into a sentence with the place and the way out."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        do = "Free some space, or choose" if error.errno == errno.ENOSPC else "Choose"
        raise ReverieError(f"{path} cannot be written: {why}. {do} another place.") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
