"""Which class each file belongs to: by the folder it lies in, or by a column of a table beside the files."""

from __future__ import annotations

import csv
import io
import posixpath
from collections import Counter

from reverie.data.members import Members
from reverie.errors import ReverieError, nearest

NO_LABEL = "(none)"  # the class of a file whose cell is empty
WAYS = "folder, none or csv:COLUMN"


def by_folder(names: list[str]) -> dict[str, str] | None:
    """Label each file with its first folder below the one they all share; None where there are not two such folders.

    Raises ReverieError where some files lie in class folders and others beside them.
    """
    shared = posixpath.commonpath([posixpath.dirname(n) for n in names])
    inside = [n[len(shared) :].lstrip("/") for n in names]
    folders = {n.split("/")[0] for n in inside if "/" in n}
    if len(folders) < 2:
        return None
    if outside := [n for n, rest in zip(names, inside, strict=True) if "/" not in rest]:
        raise ReverieError(
            f"{len(outside):,} of {len(names):,} images lie beside the class folders, not in one ({some(outside)}). "
            "Move them into a class folder, or read without labels: --label-from none."
        )
    return {n: rest.split("/")[0] for n, rest in zip(names, inside, strict=True)}


def by_column(members: Members, names: list[str], column: str) -> tuple[dict[str, str], str]:
    """Label each file by a column of the .csv that has it, as `cells` finds it; an empty cell is a class, "(none)"."""
    told, table = cells(members, names, column)
    return {name: cell or NO_LABEL for name, (_, cell) in told.items()}, table


def cells(members: Members, names: list[str], column: str) -> tuple[dict[str, tuple[int, str]], str]:
    """Find each file's row and cell in a column of the .csv that has it; returns them and the table's name.

    The file names are in the table's first column that holds any: whole paths, or where these are unique, names
    without folders, or without suffix. Raises ReverieError for no table, no such column (naming those there are), a
    file without a row, and rows that contradict each other.
    """
    tables = {n: _table(members, n) for n in members.sizes if n.lower().endswith((".csv", ".tsv"))}
    if not tables:
        raise ReverieError(f"{members.path} holds no .csv to read labels from. Put one beside the files.")
    having = [n for n, rows in tables.items() if column in rows[0]]
    if len(having) != 1:
        columns = list(dict.fromkeys(c for rows in tables.values() for c in rows[0]))
        raise ReverieError(
            f"The column '{column}' is in {', '.join(having)}: which one is meant? Keep one of them."
            if having
            else f"There is no column '{column}' in {', '.join(tables)}. "
            f"The columns are: {', '.join(columns)}. Did you mean {nearest(column, columns)}?"
        )
    table, rows = having[0], tables[having[0]][1:]
    place = tables[table][0].index(column)
    known = _spellings(names)
    key = next((c for c in range(len(tables[table][0])) if any(_clean(r[c]) in known for r in rows)), None)
    if key is None:
        raise ReverieError(
            f"No column of {table} names any of the {len(names):,} images (the first is {names[0]}). Add one that does."
        )
    told: dict[str, tuple[int, str]] = {}
    for line, row in enumerate(rows, start=2):
        if (name := known.get(_clean(row[key]))) is None:
            continue
        cell = row[place].strip()
        if told.setdefault(name, (line, cell))[1] != cell:
            raise ReverieError(
                f"{table}, row {line}, column '{column}': {name} is '{cell or NO_LABEL}', but '{told[name][1] or NO_LABEL}' "
                "above. Mend the row."
            )
    if missing := [n for n in names if n not in told]:
        raise ReverieError(
            f"{len(missing):,} of {len(names):,} images have no row in {table} ({some(missing)}). "
            "Add rows for them, or take these files away."
        )
    return told, table


def _table(members: Members, name: str) -> list[list[str]]:
    """Read a table: its header, then its rows, each as long as the header."""
    try:
        text = members.read(name).decode("utf-8-sig")
        header = text.split("\n", 1)[0]
        # a name of a separator that the header has none of cannot be meant
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReverieError(f"{name} cannot be read as a table: {error}. Save it as CSV in UTF-8.") from error
    rows = [row for row in rows if row]
    if not rows:
        raise ReverieError(f"{name} is empty. Fill it, or take it away.")
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise ReverieError(
                f"{name}, row {line}: {len(row)} fields, but the header has {len(rows[0])}. Mend the row."
            )
    return [[cell.strip() for cell in rows[0]], *rows[1:]]


def _spellings(names: list[str]) -> dict[str, str]:
    """Every way a table may write a file's name -> the file; ways that mean two files are left out."""
    known: dict[str, str] = {}
    shared = posixpath.commonpath([posixpath.dirname(n) for n in names])
    for way in (str, lambda n: n[len(shared) :].lstrip("/"), posixpath.basename, lambda n: posixpath.splitext(n)[0],
                lambda n: posixpath.splitext(posixpath.basename(n))[0]):  # fmt: skip
        count = Counter(map(way, names))
        for name in names:
            if count[way(name)] == 1:
                known.setdefault(way(name), name)
    return known


def _clean(cell: str) -> str:
    return cell.strip().replace("\\", "/").removeprefix("./")


def some(names: list[str], n: int = 3) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:n]) + (f" and {len(names) - n:,} more" if len(names) > n else "")
