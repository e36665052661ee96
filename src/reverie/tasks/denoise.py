"""`reverie denoise`: what a noisy item was, on average and in draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from torch import Tensor

    from reverie.core.samplers import Step
    from reverie.core.schedules import Schedule
    from reverie.model import Model
    from reverie.tasks.parts.edits import Draws, Edits
    from reverie.tasks.parts.walk import Start

COMMAND = "denoise"
EXAMPLES = (
    "reverie denoise runs/digits noisy.png --sigma 0.2 --samples 4",
    "reverie denoise runs/digits noisy/ --sigma auto -o clean",
)

_LEAST, _MOST, _LEVELS = 0.01, 2.0, 32  # where sigma is looked for, in even steps of its logarithm
_DOWN = 50  # a walk's last noisy stop is the noise level by so much


def denoise(
    model: Model,
    items: Annotated[Any, "Noisy items of the model's size: a file, folder, zip, .npy or .npz."],
    sigma: Annotated[
        str,
        "Standard deviation of the noise, black being -1 and white 1 (of series: in standard deviations of the data); or auto: "
        "estimated for each item.",
    ] = "auto",
    samples: Annotated[int, "Draws of what each item may have been, beside their mean."] = 4,
    label: options.Label = None,
    condition: options.Condition = None,
    guidance: options.Guidance = None,
    steps: Annotated[int, "Steps from the noise level down to 0."] = 32,
    seed: options.Seed = 0,
    batch: options.Batch = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Edits:
    """Remove white noise: the mean of what each item may have been, and draws of it.

    The mean is one evaluation of the model, E[x0 | x0 + sigma eps], and the best guess in squared error; it is smoother than
    any item. The draws look like items and differ by what the noise has hidden: the reverse-time SDE is walked down from
    the item itself, which alone draws from p(x0 | x_t); a sampler of the ODE would give one and the same.
    """
    from dataclasses import replace

    import torch

    from reverie.core.samplers import counted
    from reverie.core.shapes import expand
    from reverie.tasks.parts.edits import Draws, Edits, choose, decoded
    from reverie.tasks.parts.inputs import read_inputs
    from reverie.tasks.parts.needs import scores
    from reverie.tasks.parts.walk import slices

    schedule = scores(model, COMMAND).schedule
    inputs = read_inputs(model.codec, items)
    settings = choose(model, label or condition, guidance, steps, "dpmpp-2m-sde", "karras")
    asked = Draws.of(model, settings, len(inputs), samples, seed, label, condition, batch)
    levels = _levels(asked, inputs.x.to(model.device), sigma, model.codec.unit)
    times = schedule.time_of_noise(levels)
    _check_reach(schedule, levels, inputs.names)
    x_t = expand(schedule.alpha(times).to(inputs.x), inputs.x) * inputs.x

    alike = bool((levels == levels[0]).all())  # one walk for all, or one each, from where it begins
    parts = slices(len(inputs), len(inputs) if alike else 1)
    grids = [f"karras:n_max={float(n)!r},n_min={float(n) / _DOWN!r}" for n in levels]
    own = [{"sigma": float(n), "grid": g} for n, g in zip(levels, grids, strict=True)]
    draws = []
    for number, rows in enumerate(parts):
        part = replace(asked.part(rows), settings=replace(settings, grid=grids[rows.start]))
        start = _from(x_t[rows].to(model.device), part)
        draws.append(part.walk(part.denoiser, counted(on_step, number, len(parts)), start))
    means = _means(asked, x_t, times)
    return Edits(
        verb=COMMAND, inputs=inputs, codec=model.codec, asked=asked, items=decoded(model.codec, torch.cat(draws)),
        seen=[model.codec.picture(item) for item in inputs.items], options={"sigma_asked": sigma},
        means=[model.codec.decode(one) for one in means.numpy()], each=own,
        notes=[_said(levels, sigma, model.codec.unit), *inputs.notes],
    )  # fmt: skip


def _from(x_t: Tensor, part: Draws) -> Start:
    """Every draw starts at the item itself, as the process scales it."""
    return lambda which, *_: x_t[part.sources(which)]


def _levels(asked: Draws, x: Tensor, sigma: str, unit: str) -> Tensor:
    """The noise level of each item, (N,) float64 on the CPU."""
    import torch

    from reverie.core.level import noise_level
    from reverie.model import judging
    from reverie.tasks.parts.walk import slices

    if sigma != "auto":
        return torch.full((len(x),), _number(sigma, unit), dtype=torch.float64)
    levels = torch.logspace(math.log10(_LEAST), math.log10(_MOST), _LEVELS, dtype=torch.float64)
    once = asked.once()
    with judging(asked.model.denoiser):
        parts = [noise_level(once.denoiser(k), x[k], levels, once.part(k).noise) for k in slices(len(x), asked.batch)]
    return torch.cat(parts)


def _number(sigma: str, unit: str) -> float:
    try:
        value = float(sigma)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ReverieError(
            f"--sigma {sigma}: give a number above 0, {unit} (of pictures 25 of 255 levels are 0.196), or auto."
        )
    return value


def _check_reach(schedule: Schedule, levels: Tensor, names: list[str]) -> None:
    """Refuse noise beyond what the model was trained to see."""
    most = float(schedule.noise(schedule.noisiest(float(levels.max()))))
    if float(levels.max()) > most * (1 + 1e-6):
        raise ReverieError(
            f"{names[int(levels.argmax())]} has noise of sigma = {float(levels.max()):.3g}; this model's schedule reaches "
            f"{most:.3g} only. Train with a schedule that goes further."
        )


def _means(asked: Draws, x_t: Tensor, times: Tensor) -> Tensor:
    """E[x0 | x_t] of each item, on the CPU: the mean over what its draws are told, one evaluation where they are told nothing."""
    import torch

    from reverie.model import judging
    from reverie.tasks.parts.walk import slices

    each = asked if asked.wish.cond else asked.once()
    parts = []
    with judging(asked.model.denoiser):
        for which in slices(len(x_t) * each.samples, asked.batch):
            rows = each.sources(which)
            parts.append(each.denoiser(which)(x_t[rows].to(asked.model.device), times[rows]).cpu())
    return torch.cat(parts).unflatten(0, (len(x_t), each.samples)).mean(1)


def _said(levels: Tensor, sigma: str, unit: str) -> str:
    low, high = float(levels.min()), float(levels.max())
    found = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    ends = int(((levels <= _LEAST * 1.001) | (levels >= _MOST * 0.999)).sum()) if sigma == "auto" else 0
    beyond = f"; {ends} of {len(levels)} at the end of the range {_LEAST:g} to {_MOST:g}, and beyond it perhaps" * (
        ends > 0
    )
    return f"noise: sigma = {found}, {unit}" + ", estimated" * (sigma == "auto") + beyond
