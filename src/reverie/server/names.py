"""Files by the names that people gave them: what a job reads is called so, wherever the store keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from reverie.server.database.tables import Artifact, Upload

GIVEN = "given"  # under a job's own folder: links to what it reads
_LONGEST = 120  # bytes of a name, of which a disk takes 255
_ODD = re.compile(r"[^\w.+ ()-]")  # no separator, sign of a shell, or of the words that name conditions
_HIDDEN = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class Called(NamedTuple):
    """What a person calls a file, its bytes, and whether a job made it."""

    name: str
    size: int
    made: bool


def called(session: Session, ids: Iterable[str]) -> dict[str, Called]:
    """Uploads and artifacts by their ids, as people call them; those that are gone are left out."""
    wanted = list(ids)
    found: dict[str, Called] = {}
    for table in (Upload, Artifact) if wanted else ():
        rows = session.execute(select(table.id, table.name, table.size).where(table.id.in_(wanted)))
        found |= {id: Called(name.rsplit("/", 1)[-1], size, table is Artifact) for id, name, size in rows}
    return found


def plain(name: str) -> str:
    """A name as a person gave it, without folders and signs that nobody sees; "upload" where nothing is left."""
    return _HIDDEN.sub("", re.split(r"[/\\]", name)[-1]).strip()[:200].rstrip() or "upload"


def laid(file: Path, folder: Path, name: str) -> Path:
    """A link to a file of the store, in a folder that is made, of the person's name and the ending that the store knows."""
    ending = "".join(re.findall(r"(?:\.[a-z0-9]{1,8}){1,2}$", file.name))
    stem = name[: -len(ending)] if ending and name.lower().endswith(ending) else name
    safe = _ODD.sub("_", stem).encode()[:_LONGEST].decode(errors="ignore").strip(". ") or "file"
    folder.mkdir(parents=True)
    link = folder / f"{safe}{ending}"
    link.symlink_to(file)
    return link
