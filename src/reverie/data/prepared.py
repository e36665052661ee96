"""A folder that `reverie prepare` wrote, read back: its items, and the groups that no split may part.

CLEAN/items/       what is to be learned, under the names it had
CLEAN/quarantine/  files that cannot be read or hold NaN, as they were
CLEAN/prepare.csv  one row for each file that was there: file, rule, action, why
CLEAN/prepared.json  the rules and the group of each item
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from reverie.data.members import Members
from reverie.errors import ReverieError

FORMAT = 1
ITEMS, QUARANTINE, ROWS, ABOUT = "items/", "quarantine/", "prepare.csv", "prepared.json"


class Prepared(Members):
    """The items of a prepared folder, or of a zip of one: names are those below items/.

    groups: name -> group, or None where it was prepared without.
    """

    def __init__(self, inner: Members, root: str, groups: dict[str, str] | None) -> None:
        self._inner, self._root, self.groups = inner, root + ITEMS, groups
        own = tuple(root + part for part in (ITEMS, QUARANTINE, ROWS, ABOUT))
        self.beside = [name for name in inner.sizes if not name.startswith(own)]
        super().__init__(inner.path)

    def _list(self) -> dict[str, int]:
        start = len(self._root)
        return {n[start:]: size for n, size in self._inner.sizes.items() if n.startswith(self._root)}

    def open(self, name: str) -> BinaryIO:
        """Open one for reading."""
        return self._inner.open(self._root + name)


def inside(members: Members) -> Members:
    """The items of a prepared folder; anything else as it is. Raises ReverieError for one that a newer Reverie wrote."""
    for place in [name for name in members.sizes if name == ABOUT or name.endswith("/" + ABOUT)]:
        root = place.removesuffix(ABOUT)
        about = _description(members.read(place))
        if about is None or not all(name.startswith(root) for name in members.sizes):
            continue  # a file of that name, or a prepared folder among other data
        if about["reverie_prepared"] != FORMAT:
            raise ReverieError(
                f"{members.path} was prepared by a newer Reverie (format {about['reverie_prepared']}). Update Reverie, or "
                "prepare it again."
            )
        groups = about.get("groups")
        if groups is not None and not (isinstance(groups, dict) and all(isinstance(g, str) for g in groups.values())):
            raise ReverieError(f"{members.path}/{place}: its groups are not names by file. Prepare the data again.")
        return Prepared(members, root, groups)
    return members


def groups_of(members: Members, names: list[str]) -> list[str] | None:
    """The group of each item, or None where there are no groups; an item without one is an error."""
    told = members.groups if isinstance(members, Prepared) else None
    if told is None:
        return None
    if missing := [name for name in names if name not in told]:
        raise ReverieError(
            f"{members.path}: {len(missing):,} images were put beside the prepared ones ({', '.join(missing[:3])}) and have "
            "no group. Add them to the data that was prepared, and prepare it again."
        )
    return [told[name] for name in names]


def notes(members: Members) -> list[str]:
    """What a person should know of how a prepared folder was read."""
    if not isinstance(members, Prepared):
        return []
    said = [f"prepared by reverie prepare: see {ROWS} there"]
    if members.groups is not None:
        said.append(f"{len(set(members.groups.values())):,} groups: no group is on both sides of a split")
    if members.beside:
        some = ", ".join(members.beside[:3])
        said.append(
            f"{len(members.beside):,} files beside {ITEMS} not read ({some}): add to the input, and prepare it again"
        )
    return said


def _description(text: bytes) -> dict[str, Any] | None:
    """A prepared folder's description, or None for a file that only has its name."""
    try:
        about = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    return about if isinstance(about, dict) and "reverie_prepared" in about else None
