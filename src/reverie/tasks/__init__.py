"""What a trained model can do: one typed function a file. Command line and server are made from their signatures.

A task module has one public function of its own name, `task(model, option: Annotated[type, "help"] = default, ...)`, that
returns Samples; COMMAND is what it is called on the command line, and EXAMPLES are shown in its help. Parameters without
Annotated are for callers in Python only. Nothing heavy is imported at the top, so that help texts come at once.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple


class Task(NamedTuple):
    """A verb: what it is called, its function, and examples of its use."""

    command: str
    function: Callable[..., Any]
    examples: tuple[str, ...]


def tasks() -> list[Task]:
    """Every verb, by scanning this folder."""
    found = []
    for place in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{place.name}")
        found.append(Task(module.COMMAND, getattr(module, place.name), module.EXAMPLES))
    return sorted(found)
