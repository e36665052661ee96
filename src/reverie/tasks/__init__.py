"""What a trained model can do: one typed function a file. Command line and server are made from their signatures.

A task module has one public function of its own name,

    task(model, items: Annotated[Any, "help"], option: Annotated[type, "help"] = default, ..., on_step=None) -> Made

COMMAND is what it is called on the command line, and EXAMPLES are shown in its help; SEVERAL, where a module has it, says how
several wishes are computed as one batch. An Annotated parameter without a default
is what the verb works on (an array or a path in Python, a path on the command line), or, where it goes by keyword alone,
an option that must be given; one with a default is an option. What a text names beside words (a file, conditions) is said
behind its meaning, by `options.Names`.
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


class Several(NamedTuple):
    """How a verb that is asked for several times is computed as one batch.

    function(model, wishes, on_step, padded, own): what each of several wishes, its parameters by name, would be given alone;
    padded: fill up batches to so many rows, for the same bytes; own: the model's fingerprint, where it is known. usual: how many
    items a wish is for that says no n. differ: parameters that may differ among them. alone: parameters with which a wish is
    computed by itself.
    """

    function: Callable[..., list[Any]]
    usual: int
    differ: tuple[str, ...]
    alone: tuple[str, ...]


class Task(NamedTuple):
    """A verb: what it is called, its function, examples of its use, and how several are computed together, where they can be."""

    command: str
    function: Callable[..., Made]
    examples: tuple[str, ...]
    several: Several | None = None


def tasks() -> list[Task]:
    """Every verb, by scanning this folder."""
    found = []
    for place in pkgutil.iter_modules(__path__):
        if place.ispkg:  # parts that they share
            continue
        module = importlib.import_module(f"{__name__}.{place.name}")
        several = vars(module).get("SEVERAL")
        found.append(Task(module.COMMAND, getattr(module, place.name), module.EXAMPLES, several))
    return sorted(found)
