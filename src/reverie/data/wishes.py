"""`--condition label:style,number:age,image:PATH`: read as text, then from the files beside the items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from reverie.errors import ReverieError

KINDS = ("label", "number", "image")
COLUMN = "column"  # of a table, whatever it holds
WAYS = "label:COLUMN, label:folder, number:COLUMN, image:FOLDER, or any of these as KIND:NAME=COLUMN"


class Untold(ReverieError):
    """A condition that a person asked for, and that the data does not bring."""


@dataclass(frozen=True)
class Wish:
    """One condition to be read: of what kind, what it is called, and where it is: a column of a table, or a folder."""

    kind: str
    name: str
    place: str

    def __str__(self) -> str:
        """As a person would write it."""
        if self.kind == COLUMN and self.name == self.place:
            return self.place
        return f"{self.kind}:{self.place}" if self.name == self.place else f"{self.kind}:{self.name}={self.place}"


def parse(text: str | None, flag: str = "--condition") -> list[Wish]:
    """Read `label:style,number:age,image:sketch=PATH`; the name of a folder is its last part. flag: what messages call it.

    Raises ReverieError for a kind that there is not, nothing behind it, a name that is no plain word, and one given twice.
    """
    found: list[Wish] = []
    for part in filter(None, map(str.strip, (text or "").split(","))):
        kind, colon, rest = part.partition(":") if ":" in part or not part.isidentifier() else (COLUMN, ":", part)
        if kind not in (*KINDS, COLUMN) or not colon or not rest.strip():
            stated = " NAME=VALUE is for `sample` and other verbs, which are told values." if "=" in part else ""
            raise ReverieError(f"{flag} {part}: write {WAYS}.{stated}")
        name, equals, place = (word.strip() for word in rest.rpartition("="))
        if not equals:
            name = Path(place).expanduser().resolve().stem if kind == "image" else place
        if not name.isidentifier() or not place:
            raise ReverieError(
                f"{flag} {part}: '{name}' cannot be its name; give one of letters, digits and _: {kind}:NAME={place}."
            )
        if name in [wish.name for wish in found]:
            raise ReverieError(
                f"{flag} {text}: the name '{name}' is there twice. Give each its own: {kind}:NAME={place}."
            )
        found.append(Wish(kind, name, place))
    return found


def absolute(text: str | None) -> str | None:
    """The same, with the folders of pictures written so that they are found from anywhere."""
    wishes = [
        replace(w, place=str(Path(w.place).expanduser().resolve())) if w.kind == "image" else w for w in parse(text)
    ]
    return ",".join(map(str, wishes)) or None
