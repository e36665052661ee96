"""The loop of a run: steps, and at marks of its progress a look, a picture, a checkpoint."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor

from reverie import storage
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.training import checkpoint
from reverie.training.ahead import Ahead
from reverie.training.keeping import Keeper
from reverie.training.learner import Learner
from reverie.training.looks import Looks
from reverie.training.pace import Pace
from reverie.training.plan import LOWER, RETURNS, Plan, good_due, one_cycle
from reverie.training.settings import TrainSettings, seconds
from reverie.training.setup import Job
from reverie.training.trackers import Event, Tracker
from reverie.training.validation import BANDS, ITEMS

LOOKS = (0.0, 0.05, 0.15, 0.3, 0.4, 0.5, 0.625, 0.75, 0.875, 1.0)  # progress at which held-out loss is measured
PICTURES = (0.15, 0.5, 1.0)  # progress at which samples are drawn
_FEW_IMAGES = 20_000  # in a run of fewer, pictures are drawn at its end alone, and looks take fewer items
_TRIAL_STEPS = 6
_SAME_WISH = 1.0  # seconds: one Ctrl-C reaches a process of several twice, from the terminal and from what started it
_LOOKING = 0.04  # share of a budget that looks may take; fewer items are looked at where they would take more


class Interrupted(Exception):
    """Ctrl-C came: all is saved, and the run can go on."""


@dataclass
class Trainer:
    """Drives a learner along a plan; what it does between steps never changes the steps."""

    job: Job
    settings: TrainSettings
    tracker: Tracker
    run: Path | None
    learner: Learner
    plan: Plan | None = None
    pace: Pace | None = None
    started: float = field(default_factory=time.monotonic)
    elapsed_before: float = 0.0
    stop: bool = False
    pictures: tuple[float, ...] = PICTURES
    keeper: Keeper = field(default_factory=Keeper)
    step_time: float = 0.0
    _last_checkpoint: float = 0.0
    _good: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None  # what to go back to, where there is no folder

    def __post_init__(self) -> None:
        """Without a folder there is nowhere to keep pictures; on a GPU batches are read ahead."""
        self.pictures = self.pictures if self.run else ()
        card = self.job.model.device.type == "cuda"
        self._ahead = Ahead(self.job.loader, self.job.batch, early=card, pinned=card)

    @property
    def looks(self) -> Looks:
        """What it looks with."""
        return Looks(self.job, self.learner, self.run)

    def train(self) -> Model:
        """Run to the end of the plan and return the model with averaged weights; raises Interrupted after Ctrl-C.

        Raises ReverieError where loss or gradient keep being no finite numbers.
        """
        fresh = self.plan is None
        if fresh:
            self.make_plan()
            for note in self.job.notes:
                self.tracker.tell(Event("note", 0, {"text": note}))
        assert self.plan is not None
        self.tracker.tell(Event("plan" if fresh else "resumed", self.learner.step, self.plan_facts()))
        self._last_checkpoint = time.monotonic()
        with self._interruptible():
            if fresh:
                self._look_where_due(-1.0)
                self._keep_good()
            while self.learner.step < self.plan.total:
                before = self.plan.progress(self.learner.step)
                self._step()
                stop = self._replan()
                self._look_where_due(before)
                self._keep_good_where_due()
                if stop:
                    self._checkpoint()
                    raise Interrupted
                self._checkpoint_where_due()
        return self._finish()

    def _step(self) -> None:
        assert self.plan is not None
        start = time.monotonic()
        lr = one_cycle(self.plan.progress(self.learner.step), self.job.lr) * LOWER**self.learner.returns
        parts = self.learner.accumulate
        loss, norm = self._advance(self.learner, self.learner.seen, lr)
        took = time.monotonic() - start
        if self.pace:
            self.pace.stepped(took)
        facts = {"loss": loss, "lr": lr, "grad_norm": norm, "seconds": took, "images": self.job.batch}
        self.tracker.tell(
            Event("step", self.learner.step, {**facts, "total": self.plan.total, "elapsed": self.elapsed})
        )
        if self.learner.accumulate != parts:
            text = f"out of memory: each batch of {self.job.batch} is computed in {self.learner.accumulate} parts from here"
            self.tracker.tell(Event("note", self.learner.step, {"text": text}))
        if self.learner.bad > 1:
            self._go_back(lr)

    def _keep_good_where_due(self) -> None:
        """Before any other checkpoint of this step, so that what is gone back to never depends on the clock."""
        assert self.plan is not None
        if self.learner.bad == 0 and good_due(self.plan, self.learner.step, self.learner.good):
            self._keep_good()

    def _keep_good(self) -> None:
        """Remember this step's state as the one to go back to."""
        self.learner.good = self.learner.step
        if self.run:
            self._checkpoint()
            return
        raw, average = self.learner.tensors(), self.learner.average.state
        self._good = _copied(raw), _copied(average)

    def _go_back(self, lr: float) -> None:
        """Two steps running were not finite: the last good state again, and less learning rate; the data goes on."""
        learner = self.learner
        if learner.returns >= RETURNS:
            raise ReverieError(
                f"Training has diverged: loss or gradient were not finite in two steps running (step {learner.step}), after "
                f"{RETURNS} returns to an earlier state with less learning rate. Try --lr {self.job.lr * LOWER**RETURNS:.1e}, "
                "and look at the data with `reverie info` for extreme values."
            )
        learner.returns, learner.bad = learner.returns + 1, 0
        state = checkpoint.read(checkpoint.place(self.run, learner.good)) if self.run else self._good
        assert state is not None
        learner.restore(*state)
        facts = {"to": learner.good, "lr": lr * LOWER, "left": RETURNS - learner.returns}
        self.tracker.tell(Event("rollback", learner.step, facts))

    def _advance(self, learner: Learner, seen: int, lr: float) -> tuple[float, float]:
        """One step on the batch after `seen` items, of which this process takes its part."""
        rows = learner.rows(self.job.batch)
        return learner.advance(self._ahead.batch(seen + rows.start, rows.stop - rows.start), lr, self.job.batch)

    @property
    def elapsed(self) -> float:
        """Seconds of training in all, earlier sessions included."""
        return self.elapsed_before + time.monotonic() - self.started

    def make_plan(self) -> None:
        """Steps as asked for; a budget is turned into steps by timing a few on copies that are thrown away."""
        s, self.pace = self.settings, Pace.of(self.settings, self.started)
        if self.pace is None:
            steps = max(1, round((s.epochs or 0) * len(self.job.loader) / self.job.batch))
            self.plan = Plan(((0, steps),)) if s.steps is None else Plan.parse(s.steps)
            images = self.plan.total * self.job.batch
            if images < _FEW_IMAGES:
                self.pictures = self.pictures[-1:]
                self._look_at(int(ITEMS * images / _FEW_IMAGES))
            self._time_steps(2)
        else:
            pace = self.pace
            self._trial(pace)
            self.plan = Plan.parse(self.learner.group.agree(lambda: str(pace.first_plan(self._to_come(0.0)))))

    def go_on(self, folder: Path) -> None:
        """Take up a run where a checkpoint left it; raises ReverieError where the data is not the same."""
        self.plan, state = checkpoint.restore(folder, self.learner)
        if state.get("split") != self.job.split.hash:
            raise ReverieError(
                f"The data of {self.run} has changed since it was started (split {self.job.split.hash}, was "
                f"{state.get('split')}), so it cannot go on exactly. Put the old data back, or start anew: `reverie train "
                "PATH --from RUN -o NEW`."
            )
        self.elapsed_before, self.step_time = float(state["elapsed"]), float(state["step_time"])
        self.job.held_out, self.job.training = (
            items.first(count)
            for items, count in zip((self.job.held_out, self.job.training), state["looks"], strict=True)
        )
        self.pictures = tuple(state["pictures"])
        self.keeper = Keeper.read(folder, state.get("kept", {}))
        if self.run is None:  # another process writes
            self._good = checkpoint.read(checkpoint.place(folder.parent.parent, self.learner.good))

    def _time_steps(self, count: int) -> None:
        """What a step takes, without changing anything that counts: the least of a few, done on copies."""
        state = {k: v.clone() for k, v in self.job.model.denoiser.state_dict().items()}
        trial = Learner.of(self.job.model.denoiser, self.settings)
        took = []
        for k in range(count):
            begin = time.monotonic()
            self._advance(trial, k * self.job.batch, 0.0)
            took.append(time.monotonic() - begin)
            if self.pace:
                self.pace.check_steps(took, count - k - 1)
        self.learner.accumulate = trial.accumulate
        self.step_time = min(took)  # the first pay for memory and caches, others for what else the machine does
        self.job.model.denoiser.load_state_dict(state)

    def _trial(self, pace: Pace) -> None:
        """Time the parts of training."""
        self._time_steps(_TRIAL_STEPS)
        pace.step_time = self.step_time
        for kind, action in (("look", self.looks.measure), *([("picture", self.looks.draw)] if self.pictures else [])):
            begin = time.monotonic()
            action(self.elapsed)
            pace.paused(kind, time.monotonic() - begin)
        self._afford_looks(pace)

    def _afford_looks(self, pace: Pace) -> None:
        """Look at fewer items where a short budget asks for it; how many never changes the training."""
        share = _LOOKING * pace.budget / (len(LOOKS) * pace.cost["look"])
        if share < 1:
            before = len(self.job.held_out)
            self._look_at(int(share * before))
            pace.cost["look"] *= len(self.job.held_out) / before
        if self.pictures and len(self.pictures) * pace.cost["picture"] > _LOOKING * pace.budget:
            self.pictures = self.pictures[-1:]

    def _look_at(self, count: int) -> None:
        """Measure on the first few items, at least 16."""
        self.job.held_out = self.job.held_out.first(max(16, count))
        self.job.training = self.job.training.first(max(16, count))

    def _to_come(self, progress: float) -> dict[str, int]:
        """How many pauses of each kind lie ahead."""
        return {"look": sum(m > progress for m in LOOKS), "picture": sum(m > progress for m in self.pictures)}

    def _replan(self) -> bool:
        """Keep the plan in step with the clock, the first process' for all; returns whether any process was asked to stop."""
        assert self.plan is not None
        new, group = self.plan, self.learner.group
        if self.pace is not None and group.leads and self.learner.step < new.total:
            new = self.pace.replan(new, self.learner.step, self._to_come(new.progress(self.learner.step)))
        changed, stop = group.any(new is not self.plan, self.stop)
        if changed:
            self.plan = Plan.parse(group.agree(lambda: str(new)))
            self.tracker.tell(Event("plan", self.learner.step, self.plan_facts()))
        return stop

    def plan_facts(self) -> dict[str, object]:
        """What is ahead: steps, batch and its parts, memory at most, seconds left."""
        assert self.plan is not None
        facts = {"plan": str(self.plan), "total": self.plan.total, "batch": self.job.batch, "lr": self.job.lr}
        return {
            **facts,
            "parameters": self.job.model.parameters,
            "trained_on": len(self.job.loader),
            "kind": self.job.model.card["kind"],
            "accumulate": self.learner.accumulate,
            "memory": self.job.memory,
            "left": self._left(),
            "elapsed": self.elapsed,
        }

    def _left(self) -> float:
        """Seconds that the rest will take: what is left of a budget, or by the time of a step."""
        if self.pace:
            return max(self.pace.budget - self.elapsed, 0.0)
        assert self.plan is not None
        to_come = self._to_come(self.plan.progress(self.learner.step))
        looked = len(self.job.held_out) + len(self.job.training)
        steps = self.plan.total - self.learner.step
        items = 3 * steps * self.job.batch  # passes of an item: one forwards, and backwards as long as two
        items += to_come["look"] * BANDS * 2 * looked + to_come["picture"] * self.looks.drawing
        return items * self.step_time / (3 * self.job.batch)

    def _look_where_due(self, before: float) -> None:
        """Measure, and draw, where a mark lies between the progress before this step and now."""
        assert self.plan is not None
        if not self.learner.group.leads:
            return
        now = self.plan.progress(self.learner.step)
        for kind, marks, action in (("look", LOOKS, self.looks.measure), ("picture", self.pictures, self.looks.draw)):
            if any(before < m <= now for m in marks):
                begin = time.monotonic()
                event = action(self.elapsed)
                self.tracker.tell(event)
                if kind == "look" and self.settings.weights == "best":
                    self.keeper.see(event, self.learner.average.state)
                if self.pace:
                    self.pace.paused(kind, time.monotonic() - begin)

    def _checkpoint_where_due(self) -> None:
        if time.monotonic() - self._last_checkpoint >= seconds(self.settings.checkpoint_every):
            self._checkpoint()

    def _checkpoint(self) -> None:
        if self.run is None:
            return
        assert self.plan is not None
        self._record()
        state = {
            "split": self.job.split.hash,
            "elapsed": self.elapsed,
            "step_time": self.step_time,
            "looks": [len(self.job.held_out), len(self.job.training)],
            "pictures": self.pictures,
        }
        how_many, lend = self.settings.keep, self.looks.averaged
        path = checkpoint.save(
            self.run, self.job.model, self.learner, self.plan, lend, how_many, self.keeper.write, state
        )
        self._last_checkpoint = time.monotonic()
        self.tracker.tell(Event("checkpoint", self.learner.step, {"path": str(path.relative_to(self.run))}))

    def _record(self) -> None:
        """What the model remembers of its training."""
        self.job.model.record = {
            "step": self.learner.step,
            "images_seen": self.learner.seen,
            "skipped_steps": self.learner.skipped,
            "plan": str(self.plan),
            "batch": self.job.batch,
            "lr": self.job.lr,
            "seed": self.settings.seed,
            "elapsed": round(self.elapsed, 1),
            "device": str(self.job.model.device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "settings": self.settings.to_json(),
        }

    def _finish(self) -> Model:
        model = self.job.model
        self._checkpoint()
        self._record()
        model.denoiser.network.load_state_dict(self._ending())
        model.denoiser.eval()
        if self.run:
            storage.save(model, self.run)
        facts = {"elapsed": self.elapsed, "images": self.learner.seen, "skipped": self.learner.skipped}
        self.tracker.tell(Event("done", self.learner.step, {**facts, "plan": str(self.plan)}))
        return model

    def _ending(self) -> dict[str, Tensor]:
        """The averaged weights that the model has in the end: of the best look where it is better than the last beyond doubt."""
        average, group = self.learner.average.state, self.learner.group
        found = self.keeper.verdict(self.learner.step)
        if not group.any(bool(found))[0]:
            return average
        if found:
            self.job.model.record["weights"] = found
            self.tracker.tell(Event("kept", self.learner.step, found))
        return self.keeper.shared(group, list(average))

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM) ends the run after this step, saved; a later one ends it at once."""
        asked = math.inf

        def ask(number: int, frame: FrameType | None) -> None:
            nonlocal asked
            if time.monotonic() - asked > _SAME_WISH:
                raise KeyboardInterrupt
            asked, self.stop = min(asked, time.monotonic()), True

        try:
            old = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: nothing can be caught here
            old = {}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in tensors.items()}
