"""One training step: what changes while a model learns, and nothing about when or how often."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reverie import registry
from reverie.core.denoiser import Learned
from reverie.core.noise import Noise
from reverie.core.times import TimeLaw
from reverie.core.weighting import Weighting
from reverie.errors import ReverieError
from reverie.example import Example, State, count, each
from reverie.training.coupling import Coupling
from reverie.training.distributed import ALONE, Group, join
from reverie.training.ema import Average
from reverie.training.settings import TrainSettings

_EPS_KEY = 0


@dataclass
class Learner:
    """The moving parts of a run: weights, their average, the optimiser, and how far they have come.

    accumulate: parts that a batch is computed in, one after the other, their gradients summed: less memory, the same step.
    group: the processes that share each batch. shared: the denoiser whose gradients they average; itself where it is alone.
    """

    denoiser: Learned
    optimiser: torch.optim.Optimizer
    average: Average
    times: TimeLaw
    weighting: Weighting
    coupling: Coupling
    seed: int
    clip: float
    autocast: torch.dtype | None
    accumulate: int = 1
    group: Group = ALONE
    shared: Learned | None = None
    step: int = 0
    seen: int = 0
    skipped: int = 0  # steps whose loss or gradient was not finite
    bad: int = 0  # of them, in a row until now
    returns: int = 0  # times that it went back to an earlier state for them
    good: int = 0  # the step whose state it would go back to

    @classmethod
    def of(cls, denoiser: Learned, settings: TrainSettings) -> Learner:
        """Fresh optimiser and average for a network."""
        device, group = next(denoiser.parameters()).device, join()
        matrices = [p for p in denoiser.parameters() if p.requires_grad and p.ndim > 1]
        vectors = [p for p in denoiser.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        fused = device.type in ("cpu", "cuda")  # a quarter of the time of the plain loop on a CPU
        return cls(
            denoiser,
            torch.optim.AdamW([g for g in groups if g["params"]], lr=0.0, betas=(0.9, 0.99), fused=fused),
            Average(registry.build("ema", settings.ema), denoiser.network),
            registry.build("times", str(settings.chosen("times"))),
            registry.build("weightings", str(settings.chosen("weighting"))),
            registry.build("couplings", settings.coupling),
            settings.seed,
            settings.clip,
            mixed_precision(device, settings.precision),
            settings.accumulate or 1,
            group,
            group.parallel(denoiser),
        )

    def rows(self, batch: int) -> slice:
        """The items of a batch that this process needs: its part, or all where noise is paired over the whole batch."""
        return slice(0, batch) if self.coupling.whole else self.group.part(batch)

    def advance(self, example: Example, lr: float, batch: int | None = None) -> tuple[float, float]:
        """One step of AdamW on a batch at a learning rate; returns the loss and the gradient's norm before clipping.

        example: the `rows` of a batch of `batch` items, by default all of them.

        Noise and times are functions of (seed, place in the stream). A step whose loss or gradient is not finite changes
        nothing and is counted. Raises ReverieError where not even one item fits into a GPU's memory.
        """
        device = next(self.denoiser.parameters()).device
        noise = self.noise(example)
        t = self.times.draw(noise, self.denoiser.process.schedule, self.denoiser.sigma_data)
        example = example.to(device)
        eps = self.coupling.pair(example, self.denoiser.process.draw(noise, example.x0, _EPS_KEY))
        batch = batch or len(t)
        mine = self.group.part(batch) if self.coupling.whole else slice(0, len(t))
        total = self._gradient(example.part(mine), t[mine], each(lambda e: e[mine], eps), batch)
        loss = self.group.mean(total)
        norm = nn.utils.clip_grad_norm_(self.denoiser.parameters(), self.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self._apply(bool(torch.isfinite(norm)) and math.isfinite(loss))
        self.step += 1
        self.seen += batch
        return loss, float(norm)

    def noise(self, example: Example) -> Noise:
        """The randomness of a batch."""
        index = example.index if example.index is not None else torch.arange(count(example.x0))
        return Noise(torch.full_like(index, self.seed), index)

    def _gradient(self, example: Example, t: Tensor, eps: State, batch: int) -> Tensor:
        """Leave the gradient of the mean loss in the weights; where a GPU's memory is too small, in twice as many parts."""
        while True:
            try:
                return self._in_parts(example, t, eps, batch)
            except torch.OutOfMemoryError as error:
                if self.accumulate >= len(t):
                    raise ReverieError(
                        "The device has too little memory for a single item. Give a smaller --resolution or --size."
                    ) from error
            self.accumulate = min(2 * self.accumulate, len(t))
            torch.cuda.empty_cache()

    def _in_parts(self, example: Example, t: Tensor, eps: State, batch: int) -> Tensor:
        """Sum over parts of (share of the batch) (mean loss), and its gradient averaged over processes: the batch's own.

        So it is where every item's loss is its own; networks with dropout or batch statistics see other draws.
        """
        device, count = next(self.denoiser.parameters()).device, len(t)
        shared = self.shared or self.denoiser
        torch.manual_seed(
            (self.seed * 1_000_003 + self.step + (self.group.rank << 40)) & (2**63 - 1)
        )  # dropout inside a network
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=device)
        size = -(-count // self.accumulate)
        for first in range(0, count, size):
            some = slice(first, first + size)
            last = first + size >= count
            mixed = torch.autocast(device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None)
            with self.group.averaging(shared, last), mixed:
                each_loss = shared.loss(example.part(some), t[some], each(lambda e: e[some], eps), self.weighting)  # noqa: B023
                loss = each_loss.mean() * self.group.weight(len(t[some]), batch)
            loss.backward()
            total = total + loss.detach()
        return total

    def _apply(self, finite: bool) -> None:
        if not finite:
            self.skipped += 1
            self.bad += 1
            return
        self.bad = 0
        self.optimiser.step()
        self.average.update(self.denoiser.network, self.step + 1)

    def tensors(self) -> dict[str, Tensor]:
        """Weights and the optimiser's moments by name; the average is saved as the model itself."""
        found = {f"raw.{k}": v for k, v in self.denoiser.network.state_dict().items()}
        for name, p in self.denoiser.network.named_parameters():
            for key, value in self.optimiser.state.get(p, {}).items():
                found[f"adamw.{key}.{name}"] = value
        return found

    def restore(self, tensors: dict[str, Tensor], average: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave, and the average."""
        network = self.denoiser.network
        self.optimiser.state.clear()
        network.load_state_dict({k.removeprefix("raw."): v for k, v in tensors.items() if k.startswith("raw.")})
        parameters = dict(network.named_parameters())
        for key, value in tensors.items():
            if key.startswith("adamw."):
                _, moment, name = key.split(".", 2)
                p = parameters[name]
                if moment == "step":
                    on = value.to(p.device) if p.is_cuda else value
                else:  # laid out as the weights are: the fused step goes over both as they lie in memory
                    on = torch.empty_like(p).copy_(value)
                self.optimiser.state[p][moment] = on
        self.average.load(average)


def mixed_precision(device: torch.device, wish: str) -> torch.dtype | None:
    """bfloat16 where the hardware has it: a CPU without bf16 units runs it many times slower than float32."""
    if wish == "float32" or (wish == "auto" and device.type != "cuda"):
        return None
    if wish == "auto" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return None
    return torch.bfloat16
