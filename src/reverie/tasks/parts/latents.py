"""Latents: where the probability-flow ODE carries items, in units in which they are standard normal for the right model."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import reverie
from reverie import files
from reverie.core.denoiser import Denoiser, Given
from reverie.core.likelihood import decode_ode, encode_ode
from reverie.core.processes import Gaussian
from reverie.core.samplers import Step
from reverie.core.shapes import expand
from reverie.errors import ReverieError
from reverie.example import Conditions, moved, some_of
from reverie.model import Model, judging
from reverie.samples import plainly
from reverie.tasks.parts.needs import gaussian
from reverie.tasks.parts.provenance import restored
from reverie.tasks.parts.walk import slices

FILE = "latents.npz"
Watcher = Callable[[Step], None] | None


@dataclass(frozen=True)
class Solver:
    """How the ODE is walked: in so many equal steps of log n, or to a tolerance with a step size for each item."""

    steps: int = 64
    tolerance: float | None = None

    @classmethod
    def of(cls, steps: int | None, tolerance: float | None) -> Solver:
        """From what a person gave; raises ReverieError for what no solver can do, and for both at once."""
        if steps is not None and tolerance is not None:
            raise ReverieError("Give --steps or --tolerance, not both: fixed steps have no tolerance.")
        if steps is not None and steps < 1:
            raise ReverieError(f"steps = {steps}; give a whole number from 1.")
        if tolerance is not None and not 1e-8 <= tolerance <= 0.1:
            raise ReverieError(f"tolerance = {tolerance:g}; give a number from 1e-8 to 0.1 (1e-5 is usual).")
        return cls(steps or cls.steps, tolerance)

    def to_json(self) -> dict[str, Any]:
        """What a file says of it; the ODE is the model's own, unguided."""
        return {"tolerance": self.tolerance, "steps": self._fixed, "guidance": 1.0}

    @property
    def _fixed(self) -> int | None:
        """Its steps, where they are all alike."""
        return None if self.tolerance else self.steps

    @property
    def _errors(self) -> tuple[float, float]:
        """Relative and absolute error of a step; fixed steps know none."""
        return (self.tolerance or 0.0,) * 2

    @property
    def words(self) -> str:
        """How a person calls it."""
        return (
            f"{self.steps} step{'s' * (self.steps != 1)} of heun"
            if self.tolerance is None
            else f"tolerance {self.tolerance:g}"
        )

    def up(self, denoiser: Denoiser, x: Tensor) -> Tensor:
        """Data to latents, (B, *)."""
        return encode_ode(denoiser, x, *self._errors, steps=self._fixed)

    def down(self, denoiser: Denoiser, z: Tensor) -> Tensor:
        """Latents to data, (B, *)."""
        return decode_ode(denoiser, z, *self._errors, steps=self._fixed)


@dataclass
class Latents:
    """Latents with what they are of: z (N, C, *) float32; names of the items; N values of what the model was told, by name.

    model: SHA-256 of the weights that they belong to. notes: what a person should read.
    """

    z: np.ndarray
    names: list[str]
    told: dict[str, list[Any]]
    solver: Solver
    model: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.z)

    def describe(self) -> dict[str, Any]:
        """What made them, as JSON."""
        plain = {name: [plainly(value) for value in values] for name, values in self.told.items()}
        told: dict[str, Any] = {"labels": plain.pop("label")} if "label" in plain else {}
        told |= {"conditions": plain} if plain else {}
        made = {"reverie": reverie.__version__, "verb": "encode", "model_sha256": self.model, "names": self.names}
        return {**made, **told, **self.solver.to_json()}

    def save(self, folder: str | Path, about: dict[str, Any] | None = None) -> list[Path]:
        """Write latents.npz (z, names, settings as JSON) and the settings beside it as latents.json; return the paths."""
        place, settings = Path(folder) / FILE, {**self.describe(), **(about or {})}

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez_compressed(file, z=self.z, names=np.array(self.names), settings=np.array(json.dumps(settings)))

        files.write_whole(place, write)
        files.write_json(place.with_suffix(".json"), settings)
        return [place, place.with_suffix(".json")]

    @classmethod
    def read(cls, path: str | Path) -> Latents:
        """Read what `save` wrote, the folder or the file; raises ReverieError for anything else."""
        path = Path(path)
        place = path / FILE if path.is_dir() else path
        if not place.is_file():
            raise ReverieError(
                f"There are no latents at {path}. Name what `reverie encode` wrote: a folder with {FILE}."
            )
        try:
            with np.load(place, allow_pickle=False) as found:
                z, settings = found["z"], json.loads(str(found["settings"]))
            solver = Solver.of(None if settings["tolerance"] else settings["steps"], settings["tolerance"])
            told: dict[str, list[Any]] = {"label": settings["labels"]} if "labels" in settings else {}
            told |= settings.get("conditions", {})
            made = cls(z, list(settings["names"]), told, solver, settings["model_sha256"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
            raise ReverieError(
                f"{place} holds no latents that `reverie encode` wrote ({type(error).__name__} while reading it)."
            ) from error
        if z.ndim < 2 or len(z) != len(made.names) or not np.isfinite(z).all():
            raise ReverieError(f"{place} is damaged: latents of shape {z.shape} for {len(made.names)} names, or NaN.")
        return made

    def known(self, but: Collection[str]) -> dict[str, list[Any]]:
        """What the model was told, but some; raises ReverieError for a picture that is no longer as it was."""
        own = {name: values for name, values in self.told.items() if name not in but}
        return {name: [restored(value, name, "A latent") for value in values] for name, values in own.items()}

    def lines(self) -> list[str]:
        """How many, and how near to the standard normal that they should be."""
        told = f"told {', '.join(self.told)}" if self.told else "nothing told"
        spread = f"mean {self.z.mean():.3f}, standard deviation {self.z.std():.3f} (a standard normal: 0, 1)"
        return [f"{len(self)} latent{'s' * (len(self) != 1)}, {self.solver.words}, {told}", spread, *self.notes]

    def sheet(self) -> None:
        """Nothing: a latent looks like noise."""


class Between(Denoiser):
    """From what a model says told one thing to what it says told another: x0_hat = (1 - f) x0_hat_a + f x0_hat_b.

    share: f of each sample, (B,). The score is that of p_a^(1 - f) p_b^f, at every noise level.
    Source: Du et al. 2023 (Reduce, Reuse, Recycle), on products of distributions, which this is at each noise level by itself.
    """

    process: Gaussian

    def __init__(self, model: Model, a: Conditions, b: Conditions, share: Tensor) -> None:
        super().__init__()
        self.a, self.b = (Given(model.denoiser, moved(cond, model.device)) for cond in (a, b))
        self.share = share
        self.process = gaussian(model, "interpolate")

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The mixed prediction, (B, *)."""
        f = expand(self.share, x_t)
        return (1 - f) * self.a(x_t, t) + f * self.b(x_t, t)


def carried(
    model: Model,
    one_way: Callable[[Denoiser, Tensor], Tensor],
    x: Tensor,
    cond: Conditions,
    batch: int = 128,
    on_step: Watcher = None,
) -> Tensor:
    """Items or latents (N, C, *) carried one way (`Solver.up` or `.down`) in batches, told their conditions; on the CPU."""
    parts, cuts = [], slices(len(x), batch)
    with judging(model.denoiser):
        for number, which in enumerate(cuts, start=1):
            told = moved(some_of(cond, which), model.device)
            parts.append(one_way(Given(model.denoiser, told), x[which].to(model.device)).cpu())
            if on_step is not None:
                on_step(Step(number, len(cuts), 1.0, 0.0, parts[-1], None))
    return torch.cat(parts)


def errors(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The largest difference in units of x in [-1, 1], and the peak signal-to-noise ratio in dB (peak 2)."""
    difference = (x.double() - y.double()).abs()
    return float(difference.max()), float(10 * torch.log10(4 / (difference**2).mean().clamp(min=1e-20)))
