"""The items of a table: rows that know their columns' types, read and written as CSV, Parquet or Excel by pandas."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from reverie.codecs import parquet
from reverie.codecs.collection import Collection
from reverie.errors import ReverieError
from reverie.files import write_text, write_whole

if TYPE_CHECKING:
    import pandas as pd

INSTALL = "pip install 'reverie[table]'"
SEPARATORS = ",;\t|"
_FORMS = {b"PAR1": "parquet", b"PK\x03\x04": "excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "excel"}
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins as UTF-16's does: the longer marks first
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_COMMA = r"-?[\d.]*\d,\d+"  # a number as much of Europe writes it
_THOUSANDS = r"-?\d{1,3}(,\d{3})+(\.\d+)?"  # or as much of the world writes a large one
_MOST_SIGNED = 0.9  # of a column's cells, from which on it is one of numbers with signs
_SIGNED = r"(?=.*[%$€£])[-+]?[$€£]? ?[-+]?\d[\d.,]* ?[%$€£]?"  # a share, or a sum of money
_ZERO = re.compile(r"(?:^|[,;\t|\"])0\d", re.MULTILINE)


class Rows(Collection):
    """Rows of one table; an item is {column: value}. source: where they are from, for messages.

    told: columns that a model is told and does not learn, and what each is called.
    """

    def __init__(self, frame: pd.DataFrame, source: str = "the table", told: Mapping[str, str] | None = None) -> None:
        self.frame = frame
        self.source = source
        self.told = dict(told or {})

    @classmethod
    def of(cls, items: Any, source: str = "the table") -> Rows:
        """Rows of what a person holds: Rows, a DataFrame, or a sequence of dicts."""
        if isinstance(items, Rows):
            return items
        pd = pandas()
        return cls(items if isinstance(items, pd.DataFrame) else pd.DataFrame(list(items)), source)

    @classmethod
    def read(cls, path: Path) -> Rows:
        """Read text, Parquet or Excel, whatever the file is called; ReverieError names file, row and what to do."""
        pd, path = pandas(), Path(path)
        try:
            if (form := format_of(path)) == "parquet":
                frame = parquet.read(path)
                if frame.index.names != [None] or isinstance(frame.index, pd.DatetimeIndex):
                    frame = frame.reset_index()  # it is a column: often the dates of a series
            elif form == "excel":
                frame = read_workbook(path, dtype=object).infer_objects()  # cells of text stay text, whatever it spells
                if len(header := read_workbook(path, header=None, nrows=1)):
                    _check_names(header.iloc[0].dropna().astype(str), path)
            else:
                frame = _read_text(path)
        except ImportError as error:
            raise ReverieError(f"{path} needs {error.name}, which is not installed: {INSTALL}.") from error
        except (OSError, ValueError, csv.Error) as error:
            raise ReverieError(f"{path} cannot be read as a table ({error}). Save it again.") from error
        frame.columns = [str(c) for c in frame.columns]
        _check_names(frame.columns, path)
        _check_cells(frame, path)
        if not len(frame):
            raise ReverieError(f"{path} has no rows. Fill it.")
        return cls(frame.reset_index(drop=True), str(path))

    def __len__(self) -> int:
        return len(self.frame)

    @overload
    def __getitem__(self, k: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, k: slice) -> Rows: ...
    def __getitem__(self, k: int | slice) -> dict[str, Any] | Rows:
        """One row, or some."""
        if isinstance(k, slice):
            return Rows(self.frame.iloc[k].reset_index(drop=True), self.source, self.told)
        return {str(name): value for name, value in self.frame.iloc[k].items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[k] for k in range(len(self)))

    def take(self, index: np.ndarray) -> Rows:
        """The rows at some places, in that order."""
        return Rows(self.frame.iloc[index].reset_index(drop=True), self.source, self.told)

    @property
    def words(self) -> str:
        """What they are, for a data card."""
        return f"{self.frame.shape[1]} columns"

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return int(self.frame.memory_usage(deep=True).sum())

    def digests(self) -> list[bytes]:
        """A hash of each row's values and of how many equal rows stand above it.

        Equal rows are different people more often than copies, so that each has a side of its own in a split.
        """
        from pandas.util import hash_pandas_object

        keys = ("reverie-rows-one", "reverie-rows-two")
        parts = [hash_pandas_object(self.frame, index=False, hash_key=k, categorize=True) for k in keys]
        again = self.frame.groupby([p.to_numpy() for p in parts], sort=False).cumcount()
        keyed = np.stack([*(p.to_numpy() for p in parts), again.to_numpy().astype(np.uint64)], 1)
        return [hashlib.sha256(row.tobytes()).digest() for row in keyed]

    def letters(self) -> pd.DataFrame | None:
        """The cells of the text file that these rows were read from, as they stand there; None where there is no such file."""
        path = Path(self.source)
        if not path.is_file() or format_of(path) != "text":
            return None
        found = _parsed(path, dtype=str, keep_default_na=False)
        return found if found.shape == self.frame.shape else None

    def as_written(self, path: Path) -> Rows:
        """The same rows, each cell letter by letter as in the text file that they were read from, where they go to text again."""
        binary = Path(path).suffix.lower() in (".parquet", ".xlsx")
        letters = None if binary else self.letters()
        return self if letters is None else Rows(letters, self.source, self.told)

    def write(self, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write them whole, in the format that the suffix says, .csv where it says none; `text` goes into a .json beside it."""
        path = Path(path)
        if path.suffix.lower() not in (".csv", ".tsv", ".parquet", ".xlsx"):
            path = path.with_name(path.name + ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".parquet":
            write_whole(path, lambda p: self.frame.to_parquet(p, index=False))
        elif path.suffix.lower() == ".xlsx":
            write_whole(path, lambda p: self.frame.to_excel(p, index=False, engine="openpyxl"))
        else:
            write_text(path, self.frame.to_csv(index=False, sep="\t" if path.suffix.lower() == ".tsv" else ","))
        if text:
            write_text(path.with_suffix(".json"), next(iter(text.values())) if len(text) == 1 else json.dumps(text))
        return path


def pandas() -> Any:
    """The library that reads tables; ReverieError with the command where it is not installed."""
    try:
        import pandas

        return pandas
    except ImportError as error:
        raise ReverieError(f"Tables need pandas, which is not installed: {INSTALL}.") from error


def format_of(path: Path) -> str:
    """parquet, excel or text, by how a file begins; one that begins otherwise, as a damaged one does, is what it is called."""
    with path.open("rb") as file:
        head = file.read(8)
    called = {".parquet": "parquet", ".xlsx": "excel", ".xls": "excel"}
    return next(
        (form for mark, form in _FORMS.items() if head.startswith(mark)), called.get(path.suffix.lower(), "text")
    )


def signed(column: pd.Series) -> str:
    """What to do about a column of words of which nine in ten are numbers with a sign for percent or money; "" for any other."""
    if column.dtype.kind in "biufM" or not len(words := column.dropna().astype(str)):
        return ""
    found = words.str.fullmatch(_SIGNED)
    if found.mean() < _MOST_SIGNED:
        return ""
    k, letters = int(np.flatnonzero(column.notna())[int(np.argmax(found))]), "".join(words[found])
    signs = "".join(sorted(set(letters) & set("%$€£")))
    european = words[found].str.contains(r",\d\d?(?!\d)").any()  # the comma is the decimal one
    gone = f"[{signs} {('.' if european else ',') * (('.' if european else ',') in letters)}]"
    point = ".str.replace(',', '.')" * bool(european)
    return (
        f"'{column.name}' is taken for words: its numbers are written with {' '.join(signs)} ('{column.iloc[k]}', row {k + 2}). "
        f"Have it as numbers (in pandas: t['{column.name}'] = t['{column.name}'].str.replace(r'{gone}', '', regex=True){point}"
        ".astype(float))"
    )


def marked(data: bytes) -> str | None:
    """The encoding that a text's byte-order mark names, where it is not UTF-8; None without a mark."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)


def _read_text(path: Path) -> pd.DataFrame:
    """A CSV: UTF-8, any of four separators, every row as long as the header; digits after a leading zero stay letters."""
    frame = _parsed(path, low_memory=False)
    truths = [c for c in frame.columns if frame[c].dtype.kind in "bO" and frame[c].map(type).eq(bool).any()]
    if truths:  # true, TRUE, True: they are written back as they were
        letters = _parsed(path, dtype=str)[truths]
        for c in truths:
            if not letters[c].dropna().isin(["True", "False"]).all():
                frame[c] = letters[c]
    for name in frame.columns[[frame[c].dtype.kind == "O" or str(frame[c].dtype) == "str" for c in frame.columns]]:
        words = frame[name].dropna().astype(str)
        commas = words.str.fullmatch(_COMMA)
        if len(words) and words.str.fullmatch(_THOUSANDS + r"|-?\d{1,3}").mean() > 0.9 and commas.any():
            k = int(commas[commas].index[0])
            raise ReverieError(
                f"{path}, row {k + 2}: column '{name}' has commas between thousands ('{words[k]}'), or three decimals. "
                "Take the commas out, or write points for them."
            )
        if len(words) and commas.mean() > 0.9:
            k = int(commas[commas].index[0])
            raise ReverieError(
                f"{path}, row {k + 2}: column '{name}' is written with decimal commas ('{words[k]}'). Save the table with points."
            )
    return frame


def _parsed(path: Path, **options: Any) -> pd.DataFrame:
    data = path.read_bytes()
    if not data.strip():
        raise ReverieError(f"{path} is empty. Fill it.")
    if encoding := marked(data):
        raise ReverieError(
            f"{path} is written in {encoding}, as the mark at its beginning says (Excel: Unicode Text). Save it again as CSV in "
            f"UTF-8 (iconv -f {encoding} -t UTF-8 {path.name} > fixed.csv)."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ReverieError(
            f"{path}, row {line}: byte 0x{data[error.start]:02x} is not UTF-8. Save it again as CSV in UTF-8 "
            f"(iconv -f WINDOWS-1252 -t UTF-8 {path.name} > fixed.csv)."
        ) from error
    separator = max(SEPARATORS, key=text.split("\n", 1)[0].count)
    padded = _check_rows(text, separator, path)
    options.setdefault("dtype", dict.fromkeys(padded, str))
    pd = pandas()
    return pd.read_csv(io.StringIO(text), sep=separator, skip_blank_lines=True, **options)


def read_workbook(path: Path, **options: Any) -> pd.DataFrame:
    """The first sheet, by `pandas.read_excel`; raises ReverieError for what is no whole workbook."""
    try:
        frame: pd.DataFrame = pandas().read_excel(path, **options)
        return frame
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # its readers raise whatever damage makes them stumble on
        raise ReverieError(
            f"{path} is cut off, or a damaged Excel workbook. Copy it again from where it is whole, or save it again."
        ) from error


def _check_rows(text: str, separator: str, path: Path) -> list[str]:
    """Refuse ragged rows and repeated names of columns, which pandas would mend in silence.

    Returns the columns of digits of which some begin with a zero, as postal codes do: they are words.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = next(reader)
    _check_names([cell.strip() for cell in header], path)
    zeros = _ZERO.search(text) is not None
    padded: set[int] = set()
    begin, end = reader.line_num + 1, len(text.splitlines())
    for row in reader:
        if zeros:
            padded.update(k for k, cell in enumerate(row) if len(cell) > 1 and cell[0] == "0" and cell.isdigit())
        ragged = bool(row) and len(row) != len(header)
        if reader.line_num > begin and (ragged or (reader.line_num >= end and text.count('"') % 2)):
            raise ReverieError(
                f"{path}, row {begin}: a quotation mark opens there, and the cell goes on to row {reader.line_num}. Close it, or "
                "remove it."
            )
        begin = reader.line_num + 1
        if ragged:
            raise ReverieError(
                f"{path}, row {reader.line_num}: {len(row)} cells, but the header has {len(header)}. Mend the row, or put quotes "
                "around a cell that holds the separator."
            )
    return [header[k] for k in sorted(padded)]


def _check_cells(frame: pd.DataFrame, path: Path) -> None:
    """Refuse cells that hold several values, as those of Parquet may."""
    for name in (c for c, kind in zip(frame.columns, frame.dtypes, strict=True) if kind == "object"):
        several = frame[name].map(lambda cell: isinstance(cell, list | dict | np.ndarray))
        if several.any():
            k = int(several.argmax())
            raise ReverieError(
                f"{path}, row {k + 1}: column '{name}' holds several values in a cell ({frame[name].iloc[k]}). Make a column of "
                "each, or leave it out."
            )


def _check_names(names: Iterable[str], path: Path) -> None:
    """Refuse columns of one name, which pandas would rename or keep one of."""
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ReverieError(f"{path}, row 1: two columns are called {', '.join(map(repr, twice))}. Rename one.")
