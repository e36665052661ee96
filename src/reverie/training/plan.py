"""From a wish (a budget of time, steps or epochs) to a plan in steps, on which learning rate and averages depend alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from reverie.errors import ReverieError

LOWER = 1 / 3  # of the learning rate, at each return to an earlier state
RETURNS = 3  # of them, at most
_GOOD_SHARE, _GOOD_STEPS = 0.05, 25  # of a run, and steps, from one state that it may return to until the next


@dataclass(frozen=True)
class Plan:
    """How many steps there will be: (step, total) events, the first at step 0, each later one a change of mind.

    All that is scheduled is a function of `progress`, which runs from 0 to 1 and never jumps; the same events give the
    same run, bit for bit.
    """

    events: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """Steps in all, by the last event."""
        return self.events[-1][1]

    def progress(self, step: int) -> float:
        """Share of the run done before this step, in [0, 1]: linear between events."""
        done = 0.0
        for (start, total), following in zip(self.events, (*self.events[1:], None), strict=True):
            end = step if following is None else min(step, following[0])
            if end <= start:
                break
            done += (1 - done) * (end - start) / max(total - start, 1)
        return min(done, 1.0)

    def replanned(self, step: int, total: int) -> Plan:
        """The same plan, with a new total from this step on."""
        return Plan((*self.events, (step, max(total, step + 1))))

    def __str__(self) -> str:
        """As `--steps` reads it: 1200, or with changes, 1200,400:1150."""
        first, *rest = self.events
        return ",".join([str(first[1]), *(f"{step}:{total}" for step, total in rest)])

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read what `str` writes; raises ReverieError for anything else."""
        if not re.fullmatch(r"\d+(,\d+:\d+)*", text):
            raise ReverieError(f"--steps {text}: give a whole number, or a plan as a report prints it (1200,400:1150).")
        first, *rest = text.split(",")
        events = [(0, int(first)), *((int(a), int(b)) for a, b in (part.split(":") for part in rest))]
        if events[0][1] < 1:
            raise ReverieError(f"--steps {text}: give a whole number from 1.")
        starts = [s for s, _ in events]
        if starts != sorted(set(starts)) or any(total <= start for start, total in events):
            raise ReverieError(
                f"--steps {text}: each change must come later than the one before, and end after it begins."
            )
        return cls(tuple(events))


def seconds(text: str | float, name: str = "--budget") -> float:
    """Read a duration: 90, 90s, 10m, 1.5h, 1h30m -> seconds; `name` is what errors call it."""
    if isinstance(text, int | float):
        return float(text)
    parts = re.fullmatch(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m(?:in)?)?(?:([\d.]+)s?)?", text.strip())
    if not text.strip() or parts is None:
        raise ReverieError(f"{name} '{text}' is not a duration; write 90s, 10m or 1h30m.")
    try:
        total = sum(float(v) * unit for v, unit in zip(parts.groups(), (86400, 3600, 60, 1), strict=True) if v)
    except ValueError as error:
        raise ReverieError(f"{name} '{text}' is not a duration; write 90s, 10m or 1h30m.") from error
    if total <= 0:
        raise ReverieError(f"{name} '{text}' is no time at all; write 90s, 10m or 1h30m.")
    return total


def one_cycle(progress: float, peak: float, warm: float = 0.1, start: float = 0.04, end: float = 1e-4) -> float:
    """Learning rate at a share of the run: a cosine from start * peak up to the peak, then one down to end * start * peak.

    Source: Smith & Topin 2018 (Super-Convergence), in the cosine form of PyTorch's OneCycleLR.
    """

    def cosine(a: float, b: float, share: float) -> float:
        return b + (a - b) * (1 + math.cos(math.pi * share)) / 2

    if progress < warm:
        return cosine(start * peak, peak, progress / warm)
    return cosine(peak, end * start * peak, min((progress - warm) / (1 - warm), 1.0))


def good_due(plan: Plan, step: int, last: int) -> bool:
    """Whether a state to return to is due, `last` the step of the one before: by steps alone, never by the clock."""
    return step - last >= _GOOD_STEPS and plan.progress(step) - plan.progress(last) >= _GOOD_SHARE
