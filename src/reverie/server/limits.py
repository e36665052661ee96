"""How long a walk may be, however its texts would lengthen it: jumps up, inner steps, restarts, tables of a chain."""

from __future__ import annotations

import math
import re
from typing import Any

from reverie import registry
from reverie.errors import ReverieError

MORE = 10  # evaluations for each step that a sampler may take: annealed Langevin's usual ones
AGAIN = {
    "samplers": ("inner", "corrections", "repeats"),
    "grids": ("resamplings",),
}  # options that a walk is multiplied by
_TEXTS = {"sampler": "samplers", "time_grid": "grids", "schedule": "schedules"}
_NUMBER = re.compile(r"[=,]\s*(\d+)(?![\d.e])", re.IGNORECASE)


def check_walk(parameters: dict[str, Any], usual: int, most: int) -> None:
    """Refuse a walk of more than `most` steps, or of MORE times as many evaluations; `usual` steps where none are asked for.

    Whole numbers are looked at before anything is made of them: a chain of 10^9 steps would be a table of as many rows.
    Raises ReverieError that names the parameter.
    """
    steps = evaluations = parameters.get("steps") or usual
    for name, room in _TEXTS.items():
        text = parameters.get(name)
        if text is None:
            continue
        if (largest := max((int(n[:18]) for n in _NUMBER.findall(text)), default=0)) > MORE * most:
            raise ReverieError(
                f"{name} {text:.100}: {largest} is more than the {MORE * most:,} that this server allows."
            )
        made = registry.build(room, text) if room in AGAIN else None
        times = math.prod(
            getattr(made, option) for option in AGAIN.get(room, ()) if option in registry.options(type(made))
        )
        evaluations *= max(1, times)
        steps *= max(1, times) if room == "grids" else 1
        if steps > most or evaluations > MORE * most:
            raise ReverieError(
                f"{name} {text:.100} makes {max(steps, evaluations):,} steps of {parameters.get('steps') or usual:,}; this "
                f"server takes {most:,} at most, and {MORE * most:,} evaluations. Ask for fewer."
            )
