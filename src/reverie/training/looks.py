"""What is looked at while a model learns: errors on held-out items, and samples; it never changes the steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reverie.errors import ReverieError
from reverie.example import each
from reverie.pictures import save_sheet
from reverie.samples import Samples
from reverie.training import validation
from reverie.training.learner import Learner
from reverie.training.setup import Job
from reverie.training.trackers import Event

_MORE_DRAWN, _FEW_STEPS = 32, 50  # drawn beside the pictures to be compared with the data, by samplers of so few steps
_COMPARED = 2000  # training items that samples are compared with, at most


@dataclass(frozen=True)
class Looks:
    """Looks at a learner's raw and averaged weights. run: where pictures are kept."""

    job: Job
    learner: Learner
    run: Path | None

    @property
    def drawing(self) -> int:
        """About how many passes of an item through the network `draw` takes: two a step, as samplers of order 2 need."""
        steps = self.job.model.defaults.steps
        return (2 * 16 + (_MORE_DRAWN if steps <= _FEW_STEPS else 0)) * 2 * steps

    def measure(self, elapsed: float) -> Event:
        """Errors by noise level of raw and averaged weights, on held-out items and as many training items."""
        denoiser = self.job.model.denoiser
        times = validation.bands(self.learner.times, denoiser)
        found = {"held_out_raw": validation.errors(denoiser, self.job.held_out, times)}
        with self.averaged():
            each_item = validation.item_errors(denoiser, self.job.held_out, times)
            found["held_out"] = each_item.mean(1).tolist()
            found["train"] = validation.errors(denoiser, self.job.training, times)
            asked = set(self.job.model.conditions) - set(self.job.model.codec.own)  # what a series is long is no label
            labels = validation.label_errors(denoiser, self.job.held_out, times) if asked else {}
        facts: dict[str, object] = {k: validation.weighted(v, denoiser, times) for k, v in found.items()}
        facts["bands"] = found
        facts["items"] = len(self.job.held_out)
        facts["by_item"] = (each_item * denoiser.output_scale(times)[:, None]).mean(0).tolist()
        facts["noise"] = [float(n) for n in denoiser.process.schedule.noise(times)]
        facts["baseline"] = denoiser.baseline(self.job.held_out.x)
        facts["measures"] = {"error": denoiser.process.error, "level": denoiser.process.level}
        facts["labels"] = labels
        return Event("validation", self.learner.step, {**facts, "elapsed": elapsed})

    def draw(self, elapsed: float) -> Event:
        """Pictures from raw and averaged weights, from the same noise; where they cannot be drawn, a note that says why."""
        try:
            return self._drawn(elapsed)
        except ReverieError as error:
            return Event("note", self.learner.step, {"text": f"no pictures at step {self.learner.step}: {error}"})

    def _drawn(self, elapsed: float) -> Event:
        raw = self._sampled(16)
        with self.averaged():
            averaged = self._sampled(16)
            facts = self._inspected(averaged)
        assert self.run is not None
        facts["elapsed"] = elapsed
        for name, samples in (("raw", raw), ("ema", averaged)):
            path = self.run / "samples" / f"{self.learner.step:08d}-{name}.png"
            save_sheet(samples.sheet(), path)
            facts[name] = str(path.relative_to(self.run))
        return Event("samples", self.learner.step, facts)

    def _sampled(self, n: int, first: int = 0) -> Samples:
        """Draw some; a model that is told pictures is told all that is known of the held-out items, one after the other."""
        told = None
        if self.job.model.conditions.pictures:
            told = self.job.asked.told(np.arange(first, first + n) % len(self.job.asked))
        return self.job.model.sample(n, conditions=told, seed=self.job.settings.seed, first=first)

    def _inspected(self, drawn: Samples) -> dict[str, object]:
        """How items drawn compare with the data; more are drawn for it where the sampler takes few steps."""
        model, loader = self.job.model, self.job.loader
        found = self._numbers(drawn.x)
        if model.defaults.steps <= _FEW_STEPS:
            found = np.concatenate([found, self._numbers(self._sampled(_MORE_DRAWN, len(drawn)).x)])
        training, held_out = loader.encoded(range(min(len(loader), _COMPARED))), self.job.held_out.x
        as_arrays = (each(torch.Tensor.numpy, state) for state in (held_out, training))
        return {"compared": validation.sample_facts(found, *map(self._numbers, as_arrays))}

    def _numbers(self, x: Any) -> np.ndarray:
        """Encoded items as one array: of several fields, as the codec compares them."""
        return self.job.model.codec.numbers(x) if isinstance(x, dict) else x

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
