"""The loop of a run: steps, and at marks of its progress a look, a picture, a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch

from reverie import storage
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.pictures import save_grid
from reverie.training import checkpoint, validation
from reverie.training.learner import Learner
from reverie.training.pace import Pace
from reverie.training.plan import Plan, one_cycle
from reverie.training.settings import TrainSettings, seconds
from reverie.training.setup import Job
from reverie.training.trackers import Event, Tracker
from reverie.training.validation import ITEMS

LOOKS = (0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0)  # progress at which held-out loss is measured
PICTURES = (0.15, 0.5, 1.0)  # progress at which samples are drawn
_FEW_IMAGES = 20_000  # in a run of fewer, pictures are drawn at its end alone, and looks take fewer items
_TRIAL_STEPS = 6
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
    _last_checkpoint: float = 0.0

    def __post_init__(self) -> None:
        """Without a folder there is nowhere to keep pictures."""
        self.pictures = self.pictures if self.run else ()

    def train(self) -> Model:
        """Run to the end of the plan and return the model with averaged weights; raises Interrupted after Ctrl-C."""
        self._make_plan()
        assert self.plan is not None
        for note in self.job.notes:
            self.tracker.tell(Event("note", self.learner.step, {"text": note}))
        self.tracker.tell(Event("plan", self.learner.step, self._plan_facts()))
        self._last_checkpoint = time.monotonic()
        with self._interruptible():
            self._look_where_due(None)
            while self.learner.step < self.plan.total:
                before = self.plan.progress(self.learner.step)
                self._step()
                self._replan()
                self._look_where_due(before)
                if self.stop:
                    self._checkpoint()
                    raise Interrupted
                self._checkpoint_where_due()
        return self._finish()

    def _step(self) -> None:
        assert self.plan is not None
        start = time.monotonic()
        lr = one_cycle(self.plan.progress(self.learner.step), self.job.lr)
        example = self.job.loader.batch(self.learner.seen, self.job.batch)
        loss, norm = self.learner.advance(example, lr)
        took = time.monotonic() - start
        if self.pace:
            self.pace.stepped(took)
        facts = {"loss": loss, "lr": lr, "grad_norm": norm, "seconds": took, "images": self.job.batch}
        self.tracker.tell(
            Event("step", self.learner.step, {**facts, "total": self.plan.total, "elapsed": self.elapsed})
        )

    @property
    def elapsed(self) -> float:
        """Seconds of training in all, earlier sessions included."""
        return self.elapsed_before + time.monotonic() - self.started

    def _make_plan(self) -> None:
        """Steps as asked for; a budget is turned into steps by timing a few on copies that are thrown away."""
        if self.plan is not None:
            return
        s = self.settings
        if s.steps is not None or s.epochs is not None:
            steps = max(1, round((s.epochs or 0) * len(self.job.loader) / self.job.batch))
            self.plan = Plan(((0, steps),)) if s.steps is None else Plan.parse(s.steps)
            images = self.plan.total * self.job.batch
            if images < _FEW_IMAGES:
                self.pictures = self.pictures[-1:]
                self._look_at(int(ITEMS * images / _FEW_IMAGES))
        else:
            self.pace = Pace(seconds(s.budget or "10m"), self.started)
            self._trial(self.pace)
            self.plan = self.pace.first_plan(self._to_come(0.0))

    def _trial(self, pace: Pace) -> None:
        """Time the parts of training without changing anything that counts."""
        state = {k: v.clone() for k, v in self.job.model.denoiser.state_dict().items()}
        trial = Learner.of(self.job.model.denoiser, self.settings)
        took = []
        for k in range(_TRIAL_STEPS):
            begin = time.monotonic()
            trial.advance(self.job.loader.batch(k * self.job.batch, self.job.batch), 0.0)
            took.append(time.monotonic() - begin)
        pace.step_time = min(took)  # the first pay for memory and caches, others for what else the machine does
        for kind, action in (("look", self._measure), *([("picture", self._draw)] if self.pictures else [])):
            begin = time.monotonic()
            action()
            pace.paused(kind, time.monotonic() - begin)
        self._afford_looks(pace)
        self.job.model.denoiser.load_state_dict(state)

    def _afford_looks(self, pace: Pace) -> None:
        """Look at fewer items where a short budget asks for it; how many never changes the training."""
        share = _LOOKING * pace.budget / (len(LOOKS) * pace.cost["look"])
        if share < 1:
            before = len(self.job.held_out.x)
            self._look_at(int(share * before))
            pace.cost["look"] *= len(self.job.held_out.x) / before
        if self.pictures and len(self.pictures) * pace.cost["picture"] > _LOOKING * pace.budget:
            self.pictures = self.pictures[-1:]

    def _look_at(self, count: int) -> None:
        """Measure on the first few items, at least 16."""
        self.job.held_out = self.job.held_out.first(max(16, count))
        self.job.training = self.job.training.first(max(16, count))

    def _to_come(self, progress: float) -> dict[str, int]:
        """How many pauses of each kind lie ahead."""
        return {"look": sum(m > progress for m in LOOKS), "picture": sum(m > progress for m in self.pictures)}

    def _replan(self) -> None:
        if self.pace is None or self.plan is None or self.learner.step >= self.plan.total:
            return
        new = self.pace.replan(self.plan, self.learner.step, self._to_come(self.plan.progress(self.learner.step)))
        if new is not self.plan:
            self.plan = new
            self.tracker.tell(Event("plan", self.learner.step, self._plan_facts()))

    def _plan_facts(self) -> dict[str, object]:
        assert self.plan is not None
        facts = {"plan": str(self.plan), "total": self.plan.total, "batch": self.job.batch, "lr": self.job.lr}
        return {**facts, "parameters": self.job.model.parameters, "elapsed": self.elapsed}

    def _look_where_due(self, before: float | None) -> None:
        """Measure, and draw, where a mark lies between the progress before this step and now."""
        assert self.plan is not None
        now = self.plan.progress(self.learner.step)
        if before is None:
            before = -1.0 if self.learner.step == 0 else now
        for kind, marks, action in (("look", LOOKS, self._measure), ("picture", self.pictures, self._draw)):
            if any(before < m <= now for m in marks):
                begin = time.monotonic()
                event = action()
                self.tracker.tell(event)
                if self.pace:
                    self.pace.paused(kind, time.monotonic() - begin)

    def _measure(self) -> Event:
        """Errors by noise level of raw and averaged weights, on held-out items and as many training items."""
        denoiser = self.job.model.denoiser
        times = validation.bands(self.learner.times, denoiser)
        found = {"held_out_raw": validation.errors(denoiser, self.job.held_out, times)}
        with self.averaged():
            found["held_out"] = validation.errors(denoiser, self.job.held_out, times)
            found["train"] = validation.errors(denoiser, self.job.training, times)
        facts: dict[str, object] = {k: validation.weighted(v, denoiser, times) for k, v in found.items()}
        facts["bands"] = found
        facts["items"] = len(self.job.held_out.x)
        facts["noise"] = [float(n) for n in denoiser.process.schedule.noise(times)]
        facts["baseline"] = denoiser.baseline(self.job.held_out.x)
        facts["measures"] = {"error": denoiser.process.error, "level": denoiser.process.level}
        return Event("validation", self.learner.step, {**facts, "elapsed": self.elapsed})

    def _draw(self) -> Event:
        """Pictures from raw and averaged weights, from the same noise; where they cannot be drawn, a note that says why."""
        try:
            return self._drawn()
        except ReverieError as error:
            return Event("note", self.learner.step, {"text": f"no pictures at step {self.learner.step}: {error}"})

    def _drawn(self) -> Event:
        raw = self.job.model.sample(16, seed=self.settings.seed)
        with self.averaged():
            averaged = self.job.model.sample(16, seed=self.settings.seed)
        assert self.run is not None
        facts: dict[str, object] = {"elapsed": self.elapsed}
        for name, samples in (("raw", raw), ("ema", averaged)):
            path = self.run / "samples" / f"{self.learner.step:08d}-{name}.png"
            save_grid(samples, path)
            facts[name] = str(path.relative_to(self.run))
        return Event("samples", self.learner.step, facts)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Lend the network its averaged weights for a while."""
        network = self.job.model.denoiser.network
        raw = {k: v.detach().clone() for k, v in network.state_dict().items()}
        network.load_state_dict(self.learner.average.state)
        try:
            yield
        finally:
            network.load_state_dict(raw)

    def _checkpoint_where_due(self) -> None:
        if time.monotonic() - self._last_checkpoint >= seconds(self.settings.checkpoint_every):
            self._checkpoint()

    def _checkpoint(self) -> None:
        if self.run is None:
            return
        assert self.plan is not None
        self._record()
        raw = {k: v.detach().clone() for k, v in self.learner.tensors().items()}
        state = {"split": self.job.split.hash, "elapsed": self.elapsed}
        with self.averaged():
            path = checkpoint.save(self.run, self.job.model, raw, self.learner, self.plan, state)
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
        model.denoiser.network.load_state_dict(self.learner.average.state)
        model.denoiser.eval()
        if self.run:
            storage.save(model, self.run)
        facts = {"elapsed": self.elapsed, "images": self.learner.seen, "skipped": self.learner.skipped}
        self.tracker.tell(Event("done", self.learner.step, {**facts, "plan": str(self.plan)}))
        return model

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM) ends the run after this step, saved; the second ends it at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.stop:
                raise KeyboardInterrupt
            self.stop = True

        try:
            old = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: nothing can be caught here
            old = {}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
