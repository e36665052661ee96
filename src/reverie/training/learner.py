"""One training step: what changes while a model learns, and nothing about when or how often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reverie import registry
from reverie.core.denoiser import Learned
from reverie.core.noise import Noise
from reverie.core.times import TimeLaw
from reverie.core.weighting import Weighting
from reverie.errors import ReverieError
from reverie.example import Example
from reverie.training.coupling import Coupling
from reverie.training.ema import Average
from reverie.training.settings import TrainSettings

_EPS_KEY = 0


@dataclass
class Learner:
    """The moving parts of a run: weights, their average, the optimiser, and how far they have come."""

    denoiser: Learned
    optimiser: torch.optim.Optimizer
    average: Average
    times: TimeLaw
    weighting: Weighting
    coupling: Coupling
    seed: int
    clip: float
    autocast: torch.dtype | None
    step: int = 0
    seen: int = 0
    skipped: int = 0  # steps whose gradient was not finite
    _bad: int = 0  # of them, in a row

    @classmethod
    def of(cls, denoiser: Learned, settings: TrainSettings) -> Learner:
        """Fresh optimiser and average for a network."""
        device = next(denoiser.parameters()).device
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
        )

    def advance(self, example: Example, lr: float) -> tuple[float, float]:
        """One step of AdamW on a batch at a learning rate; returns the loss and the gradient's norm before clipping.

        Noise and times are functions of (seed, place in the stream). A step whose gradient is not finite changes nothing
        and is counted; the second in a row raises ReverieError.
        """
        device = next(self.denoiser.parameters()).device
        torch.manual_seed((self.seed * 1_000_003 + self.step) & (2**63 - 1))  # dropout inside a network
        noise = self.noise(example)
        schedule, sigma_data = self.denoiser.process.schedule, self.denoiser.sigma_data
        t = self.times.draw(noise, schedule, sigma_data)
        example = example.to(device)
        with torch.autocast(device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            eps = self.coupling.pair(example, self.denoiser.process.draw(noise, example.x0, _EPS_KEY))
            loss = self.denoiser.loss(example, t, eps, self.weighting).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.denoiser.parameters(), self.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self._apply(bool(torch.isfinite(norm)), lr)
        self.step += 1
        self.seen += len(example.x0)
        return float(loss.detach()), float(norm)

    def noise(self, example: Example) -> Noise:
        """The randomness of a batch."""
        index = example.index if example.index is not None else torch.arange(len(example.x0))
        return Noise(torch.full_like(index, self.seed), index)

    def _apply(self, finite: bool, lr: float) -> None:
        if finite:
            self._bad = 0
            self.optimiser.step()
            self.average.update(self.denoiser.network, self.step + 1)
            return
        self.skipped += 1
        self._bad += 1
        if self._bad > 1:
            raise ReverieError(
                f"The gradient was not finite in two steps running (step {self.step}): training has diverged. "
                f"Try --lr {lr / 3:.1e}, and look at the data with `reverie info` for extreme values."
            )

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
        network.load_state_dict({k.removeprefix("raw."): v for k, v in tensors.items() if k.startswith("raw.")})
        parameters = dict(network.named_parameters())
        for key, value in tensors.items():
            if key.startswith("adamw."):
                _, moment, name = key.split(".", 2)
                p = parameters[name]
                on = value if moment == "step" and not p.is_cuda else value.to(p.device)
                self.optimiser.state[p][moment] = on
        self.average.load(average)


def mixed_precision(device: torch.device, wish: str) -> torch.dtype | None:
    """bfloat16 where the hardware has it: a CPU without bf16 units runs it many times slower than float32."""
    if wish == "float32" or (wish == "auto" and device.type != "cuda"):
        return None
    if wish == "auto" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return None
    return torch.bfloat16
