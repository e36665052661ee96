"""`reverie complete`: what is missing is filled in, what is known stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

    from reverie.core.denoiser import Denoiser
    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.samples import Settings
    from reverie.tasks.parts.edits import Draws, Edits
    from reverie.tasks.parts.gaps import Fillings

COMMAND = "complete"
EXAMPLES = (
    "reverie complete runs/digits half.png --mask right:0.5 --samples 8",
    "reverie complete runs/digits photos/ --mask hole.png --label 3,8 -o filled",
    "reverie complete runs/wage people.csv --samples 5 -o filled.csv",
    "reverie complete runs/power recent.csv --mask future:24 --samples 99 -o forecast.csv",
)

_JUMPS = "jumps:base=karras,length=5,resamplings=5"  # RePaint's resampling, as often as a small model can afford


def complete(
    model: Model,
    items: Annotated[
        Any,
        "Items of the model's size: a file, folder, zip, .npy or .npz; of tables and series a CSV, Parquet, Excel or .npz. What "
        "is to be filled counts not.",
    ],
    mask: Annotated[
        Any,
        "What to fill. Of pictures: a picture, white where (black is known); a bool .npy; or left, right, top, bottom, centre or "
        "border with a share, as in right:0.5. Beside what is empty, of tables: names of columns, or a bool .csv or .npy; of "
        "series: future:24 (steps to come), last:24, names of channels, or a bool .npy.",
    ] = None,
    samples: Annotated[int, "Completions of each item."] = 4,
    method: Annotated[
        str | None,
        "mmps (numbers), repaint or known; tokens know `known` alone; tables and series trained or known. Default: mmps; "
        "of tables and series trained, where the model was.",
    ] = None,
    label: options.Label = None,
    condition: options.Condition = None,
    condition_from: options.ConditionFrom = None,
    guidance: options.Guidance = None,
    steps: options.Steps = None,
    sampler: Annotated[
        str | None, "See `reverie list samplers`. Default: the model's own; ancestral for repaint."
    ] = None,
    time_grid: Annotated[
        str | None, "See `reverie list grids`. Default: the model's own; with jumps for repaint."
    ] = None,
    seed: options.Seed = 0,
    batch: options.Batch = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Edits | Fillings:
    """Fill in what a mask marks (inpainting, outpainting), or empty cells; what is known comes back exactly as it was given.

    mmps bends the model's mean by how its guess misses the known entries, weighed by the model's own covariance; known puts
    the known entries in the guess's place; repaint does so and goes back up again and again, for the rest to agree with them.
    Of a table or series, each draw fills all gaps together (multiple imputation); the file named first has the mean, median or
    commonest draw. A forecast is the future of a series filled in: --mask future:24.
    """
    import torch

    from reverie.tasks.parts.edits import Draws, Edits, choose, decoded, mean_of
    from reverie.tasks.parts.inputs import read_inputs
    from reverie.tasks.parts.masks import read_mask

    if model.codec.hides is not None:
        settings = choose(model, label or condition, guidance, steps, sampler, time_grid)
        return _gaps_filled(
            model, items, mask, samples, method, settings, label, condition, condition_from, seed, batch, on_step
        )
    if condition_from is not None:
        raise ReverieError(f"--condition-from {condition_from}: these items bring nothing; state it with --condition.")
    if mask is None:
        raise ReverieError("Say what to fill: --mask right:0.5, or a picture that is white where to fill.")
    inputs = read_inputs(model.codec, items)
    fill = torch.from_numpy(read_mask(mask, model.codec.field, len(inputs))).expand(len(inputs), -1, -1, -1)
    method, settings = _settled(
        model, method, choose(model, label or condition, guidance, steps, sampler, time_grid), sampler, time_grid
    )
    asked = Draws.of(model, settings, len(inputs), samples, seed, label, condition, batch)
    x = asked.walk(lambda which: _bent(asked, which, inputs.x, ~fill, method), on_step)

    known = (~fill)[:, None].expand_as(x)
    missed = float((x - inputs.x[:, None])[known].double().square().mean().sqrt())
    x = torch.where(known, inputs.x[:, None], x)
    items_made = [
        [_put_back(one, item, gap) for one in draws]
        for draws, item, gap in zip(decoded(model.codec, x), inputs.items, fill.numpy(), strict=True)
    ]
    means = mean_of(model.codec, x)
    if means is not None:
        means = [_put_back(one, item, gap) for one, item, gap in zip(means, inputs.items, fill.numpy(), strict=True)]
    return Edits(
        verb=COMMAND, inputs=inputs, codec=model.codec, asked=asked, items=items_made, means=means,
        seen=[_holed(model.codec.picture(item), gap) for item, gap in zip(inputs.items, fill.numpy(), strict=True)],
        options={"mask": mask if isinstance(mask, str) else "array", "method": method},
        notes=[
            f"filled: {int(fill.sum()):,} of {fill.numel():,} entries by {method}; the rest is as it was given (put back: "
            f"before, it was off by {missed:.2g} on average, on a scale where black is -1 and white 1)"
        ],
    )  # fmt: skip


def _gaps_filled(
    model: Model, items: Any, mask: Any, samples: int, method: str | None, settings: Settings, label: str | None,
    condition: str | None, condition_from: str | None, seed: int, batch: int, on_step: Callable[[Step], None] | None,
) -> Fillings:  # fmt: skip
    """Gaps of data that has gaps of its own, told what the items bring and what a person states."""
    from reverie.tasks.parts.edits import Draws
    from reverie.tasks.parts.gaps import filled
    from reverie.tasks.parts.told import read_known_gaps, stated

    said = stated(model, 1, label, condition)
    inputs, names, gaps = read_known_gaps(model, items, mask, said, condition_from)
    own = {name: [value for value in inputs.told[name] for _ in range(samples)] for name in names}
    asked = Draws.of(model, settings, len(inputs), samples, seed, label, condition, batch, own)
    return filled(COMMAND, model, inputs, gaps, asked, method, names, on_step)


def _settled(
    model: Model, method: str | None, settings: Settings, sampler: str | None, grid: str | None
) -> tuple[str, Settings]:
    """The method and its settings: checked, and with what RePaint walks with where nothing else is asked for."""
    from reverie.tasks.parts.needs import scores

    tokens = model.codec.field.classes is not None
    method = method or ("known" if tokens else "mmps")
    if method not in ("mmps", "repaint", "known") or (tokens and method != "known"):
        there = "known" if tokens else "mmps, repaint and known"
        raise ReverieError(f"--method {method}: for this model there {'is' if tokens else 'are'} {there}.")
    if method == "mmps":
        scores(model, "complete --method mmps")
    if method == "repaint":
        settings = settings.given(sampler=sampler or "ancestral", grid=grid or _JUMPS, steps=settings.steps)
    return method, settings


def _bent(asked: Draws, which: slice, x: Tensor, known: Tensor, method: str) -> Denoiser:
    """The denoiser of some draws that knows what is known."""
    from reverie.core.guidance import Known, Mask, MomentMatched

    denoiser, of = asked.denoiser(which), asked.sources(which)
    value, here = x[of].to(asked.model.device), known[of].to(asked.model.device)
    return MomentMatched(denoiser, Mask(here), value) if method == "mmps" else Known(denoiser, value, here)


def _put_back(made: np.ndarray, item: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """The item (H, W, C) itself but where it was to be filled, (1 or C, H, W): exact for every dtype."""
    import numpy as np

    return np.where(np.moveaxis(fill, 0, -1), made, item)


def _holed(picture: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3 or 4) with what is missing in a colour that says so."""
    import numpy as np

    colour = np.array([255, 0, 170, 255], np.uint8)[: picture.shape[2]]
    return np.where(fill.max(0)[..., None], colour, picture)
