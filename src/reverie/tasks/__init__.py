"""What a trained model can do: one typed function a file. Command line and server are made from their signatures.

A task module has one public function of its own name,

    task(model, items: Annotated[Any, "help"], option: Annotated[type, "help"] = default, ..., on_step=None) -> Made

COMMAND is what it is called on the command line, and EXAMPLES are shown in its help. An Annotated parameter without a default
is what the verb works on (an array or a path in Python, a path on the command line), or, where it goes by keyword alone,
an option that must be given; one with a default is an option.
Options that several verbs have are in `parts/options.py`, and written `options.Label`. Other parameters are for callers in
Python only, but for `run`, the model's folder, which the command line gives to a task that asks for it, and `on_step`, which
is told of progress. Nothing heavy is imported at the top, so that help texts come at once.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image


class Made(Protocol):
    """What a verb gives: it writes itself as files, says in a few lines what it is, and shows itself."""

    def save(self, folder: Path, about: dict[str, Any]) -> list[Path]:
        """Write everything, `about` added to the settings kept with it; return the paths, the first one to look at first."""

    def lines(self) -> list[str]:
        """What a person should read."""

    def sheet(self) -> Image | None:
        """All of it as one picture, or None where there is nothing to look at."""


class Task(NamedTuple):
    """A verb: what it is called, its function, and examples of its use."""

    command: str
    function: Callable[..., Made]
    examples: tuple[str, ...]


def tasks() -> list[Task]:
    """Every verb, by scanning this folder."""
    found = []
    for place in pkgutil.iter_modules(__path__):
        if place.ispkg:  # parts that they share
            continue
        module = importlib.import_module(f"{__name__}.{place.name}")
        found.append(Task(module.COMMAND, getattr(module, place.name), module.EXAMPLES))
    return sorted(found)
