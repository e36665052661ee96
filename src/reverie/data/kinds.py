"""What kind of data a path holds: decided by content, said why, or told by a person."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reverie.codecs import files, parquet, series_arrays, series_files
from reverie.codecs.rows import SEPARATORS, format_of, marked, read_workbook
from reverie.errors import ReverieError, quoted

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("image", "table", "series")
_TEXT = 1 << 16  # bytes that are looked at to tell whether text is a table
_HEAD = 1 << 20  # bytes of a table's text that are looked at to tell whether it holds series
SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx", ".xls")  # of tables, series among them
_CALLED = {".xlsx": "Excel workbook", ".xls": "Excel workbook", ".parquet": "Parquet file"}
_PICTURES = 20  # files of a folder that are looked at


class Guess(NamedTuple):
    """A kind, the file or folder that holds it, and why it is that."""

    kind: str
    place: Path
    why: str


def guess(place: Path, told: str | None = None) -> Guess | None:
    """What a file or folder holds; None where nothing speaks for a table or series, and pictures or arrays are meant.

    told: the kind that a person says it is. Raises ReverieError for a kind that does not exist.
    """
    if told is not None and told not in KINDS:
        raise ReverieError(f"--kind {told}: there are {', '.join(KINDS)}.")
    if told == "image":
        _check_no_table(place)
        return None
    found = _in_folder(place) if place.is_dir() else _in_file(place)
    if told == "table" and place.suffix.lower() in (".npy", ".npz"):
        raise ReverieError(
            f"{place} holds arrays and no table. Say --kind series, or image, or give a .csv or .parquet."
        )
    if place.suffix.lower() in _CALLED and place.is_file():
        _check_form(place, found)
    if told is not None:
        return Guess(told, found.place if found else place, "as you said")
    return _series(found) if found and found.kind == "table" else found


def _check_no_table(place: Path) -> None:
    """Refuse a table that is said to be images."""
    if not place.is_dir() and (found := _in_file(place)) and found.kind == "table":
        raise ReverieError(
            f"{place} is a table ({found.why}) and holds no images. Leave --kind out, or say --kind table."
        )


def _check_form(path: Path, found: Guess | None) -> None:
    """Refuse a file that is called a workbook or Parquet and begins or ends as nothing of that kind."""
    with path.open("rb") as file:
        known = file.read(4) in (b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
    if found is None or not known:
        raise ReverieError(
            f"{path} is called {path.suffix} and is no {_CALLED[path.suffix.lower()]}, or a damaged one. Save it again, or "
            "give it the name of what it is."
        )


def _series(found: Guess) -> Guess:
    """A table whose rows or columns follow each other in time is series."""
    if (head := _first_rows(found.place)) is None:
        return found
    if (why := series_files.reason(head)) is None:
        return found._replace(why="; ".join([found.why, *_names_odd(head)]))
    return Guess("series", found.place, f"{found.why}; {why}")


def _names_odd(head: pd.DataFrame) -> list[str]:
    """What is odd about the names of a table's columns, by its first rows."""
    said = []
    if lost := [name for name in head if re.fullmatch(r"Unnamed: \d+", name)]:
        said.append(f"a column without a name is called {', '.join(map(repr, lost[:3]))} here")
    numbers = [name for name in head if head[name].dtype.kind in "if"]
    words = [name for name in head if name not in numbers]
    if all(_is_number(name) for name in numbers) and all((head[name].astype(str) == name).any() for name in words):
        said.append(f"its first row looks like data ({', '.join(map(str, head.columns[:4]))}): write a header above it")
    return said


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first_rows(path: Path) -> pd.DataFrame | None:
    """The first rows of a table; None where it cannot be read, which whoever reads all of it says."""
    try:
        import pandas as pd

        if (form := format_of(path)) == "excel":
            head = read_workbook(path, nrows=series_files.HEAD)
        elif form == "parquet":
            head = parquet.read(path, series_files.HEAD)
        else:
            with path.open("rb") as file:
                data = file.read(_HEAD)
            if marked(data):
                return None
            text = data.decode("utf-8-sig", errors="ignore")
            whole = text[: text.rfind("\n") + 1] or text  # the last row may be cut off
            separator = max(SEPARATORS, key=text.split("\n", 1)[0].count)
            head = pd.read_csv(io.StringIO(whole), sep=separator, nrows=series_files.HEAD)
    except Exception:  # readers raise whatever damage makes them stumble on
        return None
    if head.index.names != [None] or isinstance(head.index, pd.DatetimeIndex):
        head = head.reset_index()
    head.columns = [str(c) for c in head.columns]
    return head if head.columns.is_unique else None


def _in_folder(folder: Path) -> Guess | None:
    """A folder that holds one table and no picture is that table; of one that holds nothing but several, one has to be named."""
    here = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
    if any(p.is_dir() for p in folder.iterdir() if not p.name.startswith(".")):
        return None
    tables = [found for p in here[:_PICTURES] if (found := _in_file(p))]
    if len(tables) == len(here[:_PICTURES]) > 1:
        named = ", ".join(p.name for p in here[:3]) + ", ..." * (len(here) > 3)
        raise ReverieError(
            f"{folder} holds {len(here):,} tables or series ({named}). Name one, such as {quoted(here[0])}."
        )
    if len(here) > _PICTURES:
        return None
    if len(tables) != 1 or any(_is_picture(p) for p in here):
        return None
    found = tables[0]
    return found._replace(why=f"{folder} holds no pictures and one table, {found.place.name}: {found.why}")


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
        return _in_archive(path)
    if path.suffix.lower() in SUFFIXES:
        return Guess("table", path, f"a {path.suffix.lower()} file")
    return _in_text(path, head)


def _in_archive(path: Path) -> Guess | None:
    """A workbook, or arrays of series."""
    try:
        with zipfile.ZipFile(path) as archive:
            if "xl/workbook.xml" in archive.namelist():
                sheets = re.findall(
                    r'<sheet [^>]*?name="([^"]*)"', archive.read("xl/workbook.xml").decode("utf-8", "replace")
                )
                more = f", of whose {len(sheets)} sheets the first, '{sheets[0]}', is read" if len(sheets) > 1 else ""
                return Guess("table", path, f"an Excel workbook{more}")
    except (OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):  # of damaged ones
        return None
    if path.suffix.lower() == ".npz" and (named := series_arrays.says_series(path)):
        return Guess("series", path, f"an .npz with {', '.join(named)}")
    return None


def _in_text(path: Path, head: bytes) -> Guess | None:
    """Text whose lines all hold the same number of a separator is a table, whatever it is called."""
    if encoding := marked(head):
        return Guess("table", path, f"text in {encoding}")
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
