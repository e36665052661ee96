"""Model: codec + denoiser + what it was trained on, saved as a folder from which nothing is executed.

model.json            codec, process, parameterisation, network, conditions, defaults, training record, data card
weights.safetensors   averaged (EMA) weights of the network, and the data's moments under `process.`
README.md             the model card
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reverie import registry, storage
from reverie.codecs import Codec
from reverie.codecs.base import Field
from reverie.conditions import Asked, Knowledge
from reverie.core.denoiser import Denoiser, Given, Learned, Rescheduled
from reverie.core.grids import Grid
from reverie.core.guidance import ClassifierFree
from reverie.core.noise import Noise
from reverie.core.processes import Process
from reverie.core.samplers import Sampler, Step, counted, sample
from reverie.core.schedules import Schedule
from reverie.data.dataset import Data
from reverie.data.known import KnownLabel
from reverie.errors import ReverieError
from reverie.example import Conditions, State, conditions_joined, each, joined, moved, some_of, some_state, to_arrays
from reverie.samples import Samples, Settings, check_seed
from reverie.typed import checked

Start = Callable[[Denoiser, Noise, Tensor], State]  # (denoiser, noise, time t () float64) -> x_t


class Wanted(NamedTuple):
    """What one of several asks of `Model.draw`: n samples of a seed from number `first` on, and what they are told by name."""

    n: int
    conditions: Mapping[str, Any] = {}
    seed: int = 0
    first: int = 0


@contextmanager
def judging(denoiser: Learned) -> Iterator[None]:
    """A denoiser as it is used: nothing is dropped at random, and no gradients are kept."""
    training, _ = denoiser.training, denoiser.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        denoiser.train(training)


@dataclass
class Model:
    """A trained diffusion model of one kind of data, on one device.

    conditions: what it is told, by name: labels, numbers, pictures; one called "label" gives `classes`.
    defaults: how it samples unless told otherwise. record: how it was trained. card: what it was trained on.
    """

    codec: Codec
    denoiser: Learned
    conditions: Knowledge = field(default_factory=Knowledge)
    defaults: Settings = field(default_factory=Settings)
    record: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the labels, in the order of their numbers; none where it has none."""
        return self._label.classes

    @property
    def frequencies(self) -> list[float]:
        """How often each label was seen in training, as shares."""
        return self._label.frequencies

    @property
    def _label(self) -> KnownLabel:
        label = self.conditions.get("label")
        return label if isinstance(label, KnownLabel) else KnownLabel([])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.denoiser.parameters()).device

    @property
    def parameters(self) -> int:
        """How many weights the network has."""
        return sum(p.numel() for p in self.denoiser.parameters())

    def to(self, device: str | torch.device) -> Model:
        """Move the weights; returns the model itself."""
        self.denoiser.to(device)
        return self

    @checked
    def sample(
        self,
        n: int = 16,
        *,
        label: str | int | Sequence[str | int] | None = None,
        conditions: Mapping[str, Any] | None = None,
        steps: int | None = None,
        sampler: Sampler | str | None = None,
        grid: Grid | str | None = None,
        guidance: float | None = None,
        interval: tuple[float, float] | None = None,
        temperature: float | None = None,
        schedule: Schedule | str | None = None,
        seed: int = 0,
        first: int = 0,
        batch: int = 128,
        on_step: Callable[[Step], None] | None = None,
        spread: Callable[[Sequence[Callable[[], State]]], list[State]] | None = None,
    ) -> Samples:
        """Draw n new items.

        label: one class for all, or one for each. conditions: the same for every condition by name, {"style": "noto",
        "age": [30, 40], "sketch": array or path}; None tells nothing. What is left open is drawn from the combinations that
        training items had, in their proportions; a picture must be given.
        steps: steps of the sampler. guidance: scale of classifier-free guidance, 1 for none; interval: the (low, high) of
        n = sigma / alpha in which it acts. temperature: scale of all noise drawn, see `Noise`.
        schedule: sample under another than the model was trained with, by matching log_snr.
        seed: whole number; sample k of a seed is the same however many are drawn, and `first` starts at a later k.
        batch: how many are computed at once; changes nothing but memory and time. spread: who computes the batches, such as
        `Group.spread` of several processes; by default, one after the other here.
        Raises ReverieError for a class or condition that does not exist, or a choice that does not fit the model.
        """
        chosen = self.defaults.given(
            steps=steps, sampler=sampler, grid=grid, guidance=guidance, interval=interval, temperature=temperature,
            schedule=schedule,
        )  # fmt: skip
        if n < 1 or batch < 1 or first < 0:
            raise ReverieError(
                f"{n} samples in batches of {batch} from number {first} were asked for; give whole numbers from 1, first from 0."
            )
        check_seed(seed)
        if label is not None and "label" in (conditions or {}):
            raise ReverieError("The label was given twice, as label and among the conditions. Give it once.")
        wanted = {**({} if label is None else {"label": label}), **(conditions or {})}
        [made] = self.draw([Wanted(n, wanted, seed, first)], chosen, batch, on_step=on_step, spread=spread)
        return made

    def draw(
        self,
        wanted: Sequence[Wanted],
        settings: Settings,
        batch: int = 128,
        *,
        padded: bool = False,
        on_step: Callable[[Step], None] | None = None,
        spread: Callable[[Sequence[Callable[[], State]]], list[State]] | None = None,
    ) -> list[Samples]:
        """Draw what several asked for, one after the other in common batches; each gets what it would get alone, to rounding.

        padded: every batch has `batch` rows, the last one's repeated: so a sample's bits depend on its place alone.
        Raises ReverieError for a class or condition that does not exist.
        """
        asked = [self.conditions.ask(w.n, w.conditions, w.seed, w.first) for w in wanted]
        noise = Noise.joined([Noise.of(w.seed, w.n, w.first, settings.temperature) for w in wanted])
        cond = conditions_joined([one.cond for one in asked])
        jobs, n = [], len(noise.index)
        for start in range(0, n, batch):  # fixed cuts: what is computed together depends on n and batch alone
            rows = torch.arange(start, start + batch if padded else min(start + batch, n)).clamp(max=n - 1)
            watcher = counted(on_step, start // batch, -(-n // batch))
            jobs.append(partial(self._draw, noise.some(rows), some_of(cond, rows), settings, watcher))
        found = joined(spread(jobs) if spread and not self.codec.joint else [job() for job in jobs])
        made, start = [], 0
        for w, told in zip(wanted, asked, strict=True):
            x = to_arrays(some_state(found, slice(start, start + w.n)))
            made.append(self._samples(x, w, told, settings))
            start += w.n
        return made

    def _samples(self, x: Any, wanted: Wanted, told: Asked, settings: Settings) -> Samples:
        """Encoded samples as items, with what they were told."""
        items = self.codec.with_conditions(self.codec.decode_all(x), told.values)
        others = {k: v for k, v in told.values.items() if k != "label"}
        label = told.values.get("label")
        return Samples(items, label, x, self.codec, settings, wanted.seed, wanted.first, others, told.notes)

    def condition(self, labels: Tensor) -> Conditions:
        """The network's conditions for class numbers (B,) of "label"; all others, where there are any, told to nobody."""
        wanted = {**dict.fromkeys(self.conditions), "label": labels.tolist()}
        return moved(self.conditions.ask(len(labels), wanted, 0).cond, self.device)

    def told(self, data: Data) -> Conditions:
        """The network's conditions for items of a data set: all that the model knows of, as the data has them."""
        return moved(self.conditions.encode(data.columns), self.device)

    def check_told(self, data: Data) -> None:
        """Refuse data that does not tell, in the same classes, all that the model knows of; what else it tells is left alone."""
        self.conditions.check({name: c for name, c in data.columns.items() if name in self.conditions}, "the model")

    def process(self, settings: Settings) -> Process:
        """The process that is walked back: the model's own, under the schedule that was asked for."""
        return self.guided({}, settings).process

    def guided(self, cond: Conditions, settings: Settings) -> Denoiser:
        """The denoiser that a sampler walks with: told its conditions, guided and rescheduled where asked for."""
        cond = moved(cond, self.device)
        denoiser: Denoiser = Given(self.denoiser, cond)
        if cond and settings.guidance != 1:
            denoiser = ClassifierFree(self.denoiser, cond, settings.guidance, interval=settings.interval)
        if settings.schedule is not None:
            denoiser = Rescheduled(denoiser, registry.build("schedules", settings.schedule))
        return denoiser

    def encode(self, items: Sequence[Any] | np.ndarray) -> Any:
        """Items as the network sees them: an array (N, C, *), float32 or int64 tokens, or {field: array}."""
        return self.codec.encode_all(items)

    def empty(self, n: int) -> State:
        """A state of n samples, of the right shapes, kinds and device, with nothing in it."""

        def of(field: Field) -> Tensor:
            kind = torch.float32 if field.classes is None else torch.int64
            return torch.empty(n, *field.shape, dtype=kind, device=self.device)

        found = {name: of(field) for name, field in self.codec.fields.items()}
        return found if self.codec.joint else next(iter(found.values()))

    def _draw(
        self, noise: Noise, cond: Conditions, settings: Settings, on_step: Callable[[Step], None] | None
    ) -> State:
        """One batch of encoded samples."""
        return self.walk(self.guided(cond, settings), noise, settings, on_step)

    def walk(
        self,
        denoiser: Denoiser,
        noise: Noise,
        settings: Settings,
        on_step: Callable[[Step], None] | None = None,
        start: Start | None = None,
        below: float | None = None,
    ) -> State:
        """Walk one batch back to t = 0, encoded, on the CPU: (B, C, *), float32 or int64 tokens, or {field: tensor}.

        denoiser: from `guided`, with whatever guidance around it. noise: of each of the B. start: x_t at the first time; by
        default the prior. below: leave out the part of the grid above this time t, and start there (for starts that are not
        pure noise).
        """
        with judging(self.denoiser):
            process, sampler = denoiser.process, settings.build_sampler()
            self.check_walk(sampler, process)
            times = settings.build_grid().times(process.schedule, settings.steps)
            if below is not None:
                times = torch.cat([times.new_tensor([below]), times[times < below]])
            like = self.empty(len(noise.index))
            x = process.prior(like, noise, times[0]) if start is None else start(denoiser, noise, times[0])
            return each(Tensor.cpu, sample(denoiser, sampler, times, x, noise, on_step))

    def check_walk(self, sampler: Sampler, process: Process) -> None:
        """Refuse a process that the sampler cannot treat, and noise on the way for a model trained with chosen noise.

        What such a model says is no score.
        """
        sampler.check(process)
        coupling = self.record.get("settings", {}).get("coupling", "independent")
        if coupling.partition(":")[0] != "independent" and sampler.order is None:
            raise ReverieError(
                f"This model was trained with --coupling {coupling}, so that it knows the flow's ODE and no score; the sampler "
                f"{type(sampler).__name__} draws noise and needs one. Use heun, dpmpp-2m, euler or another that walks the ODE."
            )

    @checked
    def save(self, path: str | Path) -> Path:
        """Write the model folder; a folder that is there and is no model is refused. Returns its path."""
        return storage.save(self, Path(path))
