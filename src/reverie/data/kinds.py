"""What kind of data a path holds: decided by content, said why, or told by a person."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

from reverie.codecs import files
from reverie.codecs.rows import SEPARATORS
from reverie.errors import ReverieError

KINDS = ("image", "table")
_TEXT = 1 << 16  # bytes that are looked at
_PICTURES = 20  # files of a folder that are looked at


class Guess(NamedTuple):
    """A kind, the file or folder that holds it, and why it is that."""

    kind: str
    place: Path
    why: str


def guess(place: Path, told: str | None = None) -> Guess | None:
    """What a file or folder holds; None where nothing speaks for a table, and pictures or arrays are meant.

    told: the kind that a person says it is. Raises ReverieError for a kind that does not exist.
    """
    if told is not None and told not in KINDS:
        raise ReverieError(f"--kind {told}: there are {', '.join(KINDS)}.")
    if told == "image":
        return None
    if place.is_dir():
        found = _in_folder(place)
    else:
        found = _in_file(place)
    if told == "table":
        return Guess("table", found.place if found else place, "as you said")
    return found


def _in_folder(folder: Path) -> Guess | None:
    """A folder that holds one table and no picture is that table."""
    here = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
    if any(p.is_dir() for p in folder.iterdir() if not p.name.startswith(".")) or len(here) > _PICTURES:
        return None
    tables = [found for p in here if (found := _in_file(p))]
    if len(tables) != 1 or any(_is_picture(p) for p in here):
        return None
    return Guess(
        "table", tables[0].place, f"{folder} holds no pictures and one table, {tables[0].place.name}: {tables[0].why}"
    )


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        return files.sniff(file.read(32)) is not None


def _in_file(path: Path) -> Guess | None:
    try:
        with path.open("rb") as file:
            head = file.read(_TEXT)
    except OSError:
        return None  # whoever reads it says what is wrong
    if head.startswith(b"PAR1"):
        return Guess("table", path, "a Parquet file")
    if head.startswith(b"PK"):
        return Guess("table", path, "an Excel workbook") if _is_workbook(path) else None
    if path.suffix.lower() in (".csv", ".tsv", ".parquet", ".xlsx", ".xls"):
        return Guess("table", path, f"a {path.suffix.lower()} file")
    return _in_text(path, head)


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _in_text(path: Path, head: bytes) -> Guess | None:
    """Text whose lines all hold the same number of a separator is a table, whatever it is called."""
    if b"\0" in head or files.sniff(head[:32]) is not None:
        return None
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < _TEXT else "ignore")
    except UnicodeDecodeError:
        return None
    lines = text.splitlines()[:20]
    for separator in SEPARATORS:
        counts = {line.count(separator) for line in lines if line}
        if len(lines) > 2 and len(counts) == 1 and counts != {0}:
            return Guess("table", path, f"text in {counts.pop() + 1} columns between '{separator}'")
    return None
