"""From the name of a model, as a stranger writes it, to its folder: the one way there is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from reverie import storage
from reverie.errors import ReverieError

_PART = re.compile(
    r"[^\W_][\w.+ -]{0,99}|_[\w.+-]{0,99}"
)  # letters and digits of any script; no : % \ ~ or leading dot
_DEPTH = 4  # folders in folders


class NoModel(ReverieError):
    """There is no such model, or its name is none."""


class Damaged(ReverieError):
    """There is a model of that name, and its files are not whole."""


def lies_in(folder: Path, path: Path) -> bool:
    """Whether there is a file, in a folder or below, and by no link that leads out of it."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def place_of(runs: Path, name: str) -> Path:
    """The folder that a name stands for, under `runs` as it is on disk, whether it is there or not.

    A name is folder names joined by /. Raises NoModel for a part that is empty, hidden, `..` or holds anything but letters,
    digits, space and _ . + -, so for absolute paths, backslashes, NUL, %2e and drive letters too; and for symbolic links that
    lead out of `runs`.
    """
    parts = name.split("/")
    if len(parts) > _DEPTH or not all(_PART.fullmatch(part) and part == part.rstrip(". ") for part in parts):
        raise NoModel(
            f"{name!r:.200} is no name of a model: folder names of letters, digits and _ . + - joined by /, none of which "
            "begins with a dot."
        )
    home = runs.resolve()
    path = home.joinpath(*parts)
    if not Path(os.path.realpath(path)).is_relative_to(home):  # which links in a circle do not break
        raise NoModel(f"There is no model {name!r}.")
    return path


def model_at(runs: Path, name: str) -> Path:
    """The folder of a model that is there; raises NoModel for any other name."""
    path = place_of(runs, name)
    if not (storage.is_model(path) or (storage.is_run(path) and storage.newest_checkpoint(path))):
        raise NoModel(f"There is no model {name!r}.")
    return path


def models(runs: Path) -> Iterator[str]:
    """Names of all models and runs, in order; what `place_of` refuses is not looked into."""
    yield from _within(runs, "", _DEPTH)


def _within(runs: Path, prefix: str, depth: int) -> Iterator[str]:
    here = runs / prefix if prefix else runs
    for path in sorted(p for p in here.iterdir() if p.is_dir()) if depth else ():
        name = f"{prefix}/{path.name}" if prefix else path.name
        try:
            place_of(runs, name)
        except NoModel:
            continue
        if storage.is_model(path) or storage.is_run(path):
            yield name
        else:
            yield from _within(runs, name, depth - 1)
