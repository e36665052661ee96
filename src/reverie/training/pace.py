"""Keeping a promise of time: measures what steps and pauses cost, and says how many steps fit."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from reverie.errors import ReverieError
from reverie.training.plan import Plan, seconds
from reverie.training.settings import TrainSettings

_REPLAN_AT = (0.03, 0.08, 0.15, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.97)
_FEWEST = 10  # steps, below which there is nothing to plan
_SOME = 20  # pictures, whose reading may tell how long others take
_SURE = 0.1  # share of a budget that reading takes before its rate says how long the rest will
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
    _reading: float = 0.0  # when the first picture had been read

    @classmethod
    def of(cls, settings: TrainSettings, started: float) -> Pace | None:
        """The clock of a run that has a budget; None for one of so many steps or epochs."""
        asked = settings.steps is None and settings.epochs is None
        return cls(seconds(settings.budget or "10m"), started) if asked else None

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
        if steps < _FEWEST:
            raise self._short(
                f"leaves room for {max(steps, 0)} training steps of {self.step_time:.2g} s after preparation"
            )
        return Plan(((0, steps),))

    def check(self, doing: str, ahead: float = 0.0) -> None:
        """Raise ReverieError where the budget is over with what is being done, which takes `ahead` more seconds at the least."""
        if (spent := time.monotonic() - self.started) + ahead > self.budget:
            raise self._short(f"is over before the first step: {doing} takes {spent + ahead:.3g} s")

    def check_reading(self, done: int, total: int) -> None:
        """The same while pictures are read, as soon as their rate is known; half of what the rest seems to take is sure."""
        now = time.monotonic()
        if done == 1:  # again for the pictures of a condition, which are read after the items
            self._reading = now
        if done >= _SOME and now - self.started > _SURE * self.budget:
            rest = (total - done) * (now - self._reading) / (done - 1)
            self.check("reading the data", rest / 2)

    def check_steps(self, took: list[float], to_time: int) -> None:
        """The same while steps are timed, `to_time` more; the first of them says nothing yet, as it pays for the others."""
        step = min(took) if len(took) > 1 else 0.0
        self.check(f"timing steps of {min(took):.2g} s, and taking the fewest,", (to_time + _FEWEST) * step)

    def _short(self, why: str) -> ReverieError:
        return ReverieError(
            f"The budget of {self.budget:g} s {why}. Give more time, a smaller --size or --resolution, or fewer files."
        )

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
