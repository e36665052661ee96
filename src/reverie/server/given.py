"""Files that jobs are given, looked at by their headers before anything reads them: what would unpack to more is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

from reverie.codecs import files
from reverie.codecs.pixels import UnreadableImage
from reverie.errors import ReverieError
from reverie.server.settings import Settings

_PARQUET = b"PAR1"
_CHUNK = 1 << 20


def check_files(paths: list[Path], limits: Settings) -> None:
    """Refuse pictures of too many pixels, tables of too many rows, and archives of too many bytes; raises ReverieError."""
    for path in paths:
        with path.open("rb") as file:
            head = file.read(32)
        if files.sniff(head) is not None:
            _check_pixels(path, limits.most_pixels)
        elif head.startswith(_PARQUET):
            _check_parquet(path, limits)
        elif zipfile.is_zipfile(path):  # of pictures or arrays, and .xlsx
            _check_archive(path, limits.most_unpacked)
        else:
            _check_lines(path, limits.most_rows)


def _check_pixels(path: Path, most: int) -> None:
    try:
        with path.open("rb") as file:
            found = files.header(file, path.name)
    except UnreadableImage:  # what reads it says so better
        return
    if found.height * found.width > most:
        raise ReverieError(
            f"{path.name} has {found.width} x {found.height} pixels; this server takes {most:,} at most."
        )


def _check_parquet(path: Path, limits: Settings) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        about = ParquetFile(path).metadata
        unpacked = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
    except (pyarrow.ArrowException, OSError) as error:
        raise ReverieError(f"{path.name} cannot be read as Parquet.") from error
    _need(path, about.num_rows, limits.most_rows, "rows")
    _need(path, unpacked, limits.most_unpacked, "bytes when it is unpacked")


def _check_archive(path: Path, most: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise ReverieError(f"{path.name} cannot be read as a zip.") from error
    _need(path, unpacked, most, "bytes when it is unpacked")


def _check_lines(path: Path, most: int) -> None:
    """Lines of a text, which are its rows at most; of other files it counts what nobody reads as rows."""
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return
    with path.open("rb") as file:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
    _need(path, lines, most, "rows")


def _need(path: Path, found: int, most: int, what: str) -> None:
    if found > most:
        raise ReverieError(f"{path.name} has {found:,} {what}; this server takes {most:,} at most.")
