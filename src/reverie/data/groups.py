"""Which items belong together (one person, one scene), so that no split parts them: by folder, table or file name."""

from __future__ import annotations

import posixpath
import re

from reverie.data import labels
from reverie.data.members import Members
from reverie.errors import ReverieError

WAYS = "folder, csv:COLUMN or regex:PATTERN"


def groups_of(members: Members, names: list[str], split_by: str) -> dict[str, str]:
    """Name the group of each file.

    split_by: "folder", the folder that the file itself lies in, by its own name: cats/anna/1.png and dogs/anna/2.png are
    both "anna". "csv:COLUMN", the cell of a table among the files, found as for labels; empty cells are all one group,
    "(none)", as nothing is known of them. "regex:PATTERN", what the pattern's groups match, joined by "/", or all that it
    matches where it has none, searched for in the whole name with forward slashes.

    Raises ReverieError for another way, files that have no group (naming some), and for a table as labels.by_column does.
    """
    way, _, value = split_by.partition(":")
    if way == "csv" and value:
        return labels.by_column(members, names, value)[0]
    if way == "regex" and value:
        return _by_pattern(names, value)
    if split_by != "folder":
        raise ReverieError(f"Groups cannot be had from '{split_by}'. Give {WAYS}.")
    told = {name: posixpath.basename(posixpath.dirname(name)) for name in names}
    _all_told(told, "lie in no folder", "Move them into one for each group, or split by a table or the names: " + WAYS)
    return told


def _by_pattern(names: list[str], pattern: str) -> dict[str, str]:
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise ReverieError(f"'{pattern}' is no regular expression: {error}. Mend it.") from error
    told = {}
    for name in names:
        match = search(name)
        told[name] = "" if match is None else "/".join(p or "" for p in match.groups()) or match[0]
    _all_told(told, f"do not match '{pattern}', or match it with nothing", "Widen the pattern")
    return told


def _all_told(told: dict[str, str], fault: str, remedy: str) -> None:
    if missing := [name for name, group in told.items() if not group]:
        some = ", ".join(missing[:3]) + (f" and {len(missing) - 3:,} more" if len(missing) > 3 else "")
        raise ReverieError(f"{len(missing):,} of {len(told):,} images {fault} ({some}), so have no group. {remedy}.")
