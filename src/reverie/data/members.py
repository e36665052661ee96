"""Where the files are: a folder, a zip of one (never unpacked to disk), or one file; alike from outside."""

from __future__ import annotations

import os
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import BinaryIO, cast

from reverie.errors import ReverieError

RATIO = 200  # a member that unpacks to more than this times its size in the zip, and to more than BOMB, is refused
BOMB = 64 * 2**20
TOTAL = 64  # nor may all of them unpack to more than this times the zip, and to more than 16 BOMB: real images do not


class Members(ABC):
    """Files by name: paths with forward slashes, relative to the root, sorted; `hidden` counts those left out.

    Hidden are names that begin with a dot, and what a Mac adds to a zip (__MACOSX).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hidden = 0
        self.sizes = dict(sorted(self._list().items()))

    @abstractmethod
    def _list(self) -> dict[str, int]:
        """Sizes in bytes by name, hidden ones left out and counted."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open one for reading; the stream can seek."""

    def read(self, name: str) -> bytes:
        """All bytes of one."""
        with self.open(name) as file:
            return file.read()


class Folder(Members):
    """A folder, with what lies in folders below it; links are followed, each place is entered once."""

    def _list(self) -> dict[str, int]:
        found, entered = {}, {os.path.realpath(self.path)}
        for place, folders, files in os.walk(self.path, followlinks=True, onerror=_refuse):
            inside = Path(place).relative_to(self.path)
            shown = sorted(f for f in folders if not _is_hidden(f))
            self.hidden += len(folders) - len(shown) + sum(map(_is_hidden, files))
            real = {f: os.path.realpath(os.path.join(place, f)) for f in shown}
            folders[:] = [f for f in shown if real[f] not in entered]
            entered.update(real.values())
            for file in files:
                if not _is_hidden(file):
                    whole = Path(place, file)
                    found[(inside / file).as_posix()] = whole.stat().st_size if whole.exists() else 0
        return found

    def open(self, name: str) -> BinaryIO:
        """Open one for reading."""
        return (self.path / name).open("rb")


class Zip(Members):
    """A zip archive, read in place; one that is encrypted, damaged, or unpacks to absurd sizes is refused."""

    def _list(self) -> dict[str, int]:
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise ReverieError(f"{self.path} cannot be read as a zip: {error}. Make or download it again.") from error
        files = [info for info in self._zip.infolist() if not info.is_dir()]
        if locked := [info.filename for info in files if info.flag_bits & 1]:
            raise ReverieError(
                f"{self.path} is encrypted ({locked[0]} needs a password). Unpack it, and give the folder."
            )
        packed, unpacked = sum(i.compress_size for i in files), sum(i.file_size for i in files)
        worst = max(files, key=lambda i: i.file_size, default=None)
        if worst and worst.file_size > max(BOMB, RATIO * worst.compress_size):
            raise ReverieError(_bomb(self.path, worst.filename, worst.compress_size, worst.file_size))
        if unpacked > max(16 * BOMB, TOTAL * packed):
            raise ReverieError(_bomb(self.path, "all of it", packed, unpacked))
        names = [info.filename.replace("\\", "/") for info in files]
        if odd := next((name for name in names if name.startswith("/") or ".." in name.split("/")), None):
            raise ReverieError(
                f"{self.path} holds {odd!r:.200}, a name that leads out of where it would be unpacked. Make it again."
            )
        if len(set(names)) < len(names):
            name, times = Counter(names).most_common(1)[0]
            raise ReverieError(f"{self.path} holds {times} files of one name, {name!r:.200}. Give each its own.")
        self._names = dict(zip(names, files, strict=True))
        shown = {n: i.file_size for n, i in self._names.items() if not any(map(_is_hidden, n.split("/")))}
        self.hidden = len(self._names) - len(shown)
        return shown

    def open(self, name: str) -> BinaryIO:
        """Open one for reading."""
        return cast(BinaryIO, self._zip.open(self._names[name]))


class Single(Members):
    """One file alone."""

    def _list(self) -> dict[str, int]:
        return {self.path.name: self.path.stat().st_size}

    def open(self, name: str) -> BinaryIO:
        """Open it for reading."""
        return self.path.open("rb")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _refuse(error: OSError) -> None:
    raise ReverieError(f"{error.filename} cannot be read: {error.strerror}. Change its permissions, or move it away.")


def _bomb(path: Path, what: str, packed: int, unpacked: int) -> str:
    return (
        f"{path}: {what} unpacks from {packed:,} to {unpacked:,} bytes, which no real images do (a zip bomb?). "
        "If it is meant, unpack it, and give the folder."
    )
