"""Keeping a promise of time: measures what steps and pauses cost, and says how many steps fit."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from reverie.errors import ReverieError
from reverie.training.plan import Plan

_REPLAN_AT = (0.03, 0.08, 0.15, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.97)
_WORTH_IT = 0.004  # a change of the total by less than this share is left alone


@dataclass
class Pace:
    """The clock of a run with a budget.

    started: monotonic time at which the budget began. pauses: kind -> (how many are to come, seconds each), for
    validation, samples, checkpoints; finish: seconds that the end takes.
    """

    budget: float
    started: float
    step_time: float = 0.0
    cost: dict[str, float] = field(default_factory=dict)
    finish: float = 0.5
    _marks: list[float] = field(default_factory=lambda: list(_REPLAN_AT))
    _since: tuple[int, float] = (0, 0.0)  # step and stepping time at the last re-plan
    _stepping: float = 0.0

    def stepped(self, seconds: float) -> None:
        """A training step took this long."""
        self._stepping += seconds

    def paused(self, kind: str, seconds: float) -> None:
        """A pause of a kind took this long; the latest is the estimate of the next."""
        self.cost[kind] = seconds

    def steps_left(self, to_come: dict[str, int]) -> int:
        """Training steps that still fit, after the pauses to come."""
        pauses = sum(count * self.cost.get(kind, 0.0) for kind, count in to_come.items())
        left = self.budget - (time.monotonic() - self.started) - pauses - self.finish
        return int(left / self.step_time)

    def first_plan(self, to_come: dict[str, int]) -> Plan:
        """The plan after the timing warm-up; raises ReverieError when not even a few steps fit."""
        steps = self.steps_left(to_come)
        if steps < 10:
            raise ReverieError(
                f"The budget of {self.budget:.0f} s leaves room for {max(steps, 0)} training steps of "
                f"{self.step_time:.2f} s after preparation. Give more time, or choose a smaller --size or --resolution."
            )
        return Plan(((0, steps),))

    def replan(self, plan: Plan, step: int, to_come: dict[str, int]) -> Plan:
        """The same plan, or at one of a few marks a new total where the old one would miss the budget."""
        if not self._marks or plan.progress(step) < self._marks[0]:
            return plan
        while self._marks and plan.progress(step) >= self._marks[0]:
            self._marks.pop(0)
        first, before = self._since
        if step - first >= 5:
            self.step_time = (self._stepping - before) / (step - first)
            self._since = (step, self._stepping)
        total = step + max(self.steps_left(to_come), 1)
        return plan if abs(total - plan.total) <= _WORTH_IT * plan.total else plan.replanned(step, total)
