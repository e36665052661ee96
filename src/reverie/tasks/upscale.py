"""`reverie upscale`: larger pictures whose block means are the small one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from torch import Tensor

    from reverie.codecs import Codec
    from reverie.core.denoiser import Denoiser
    from reverie.core.guidance import Downsample
    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.tasks.parts.edits import Draws, Edits

COMMAND = "upscale"
EXAMPLES = (
    "reverie upscale runs/digits small.png --factor 2 --samples 8",
    "reverie upscale runs/photos small/ --factor 4 -o large",
)

_METHODS = ("auto", "trained", "mmps", "pigdm", "dps")
_ROUNDS = 20  # of making block means right and clipping to what a file can hold


def upscale(
    model: Model,
    items: Annotated[Any, "Pictures of 1/factor of the model's size: a file, folder, zip, .npy or .npz."],
    factor: Annotated[int, "How many times larger each side becomes: the model's size / the pictures' size."] = 4,
    samples: Annotated[int, "Draws of each picture, beside their mean."] = 4,
    method: Annotated[
        str,
        "trained, by a model that was told small pictures (--condition image:...); mmps, pigdm or dps by any; or auto.",
    ] = "auto",
    label: options.Label = None,
    condition: options.Condition = None,
    guidance: options.Guidance = None,
    steps: options.Steps = None,
    sampler: options.Sampler = None,
    time_grid: options.TimeGrid = None,
    seed: options.Seed = 0,
    batch: options.Batch = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Edits:
    """Draw large pictures that the small one is the block means of (super-resolution).

    The mean over draws is the best guess in squared error, and smoother than any picture; each draw looks like one. Block
    means of what is written equal the small picture to within the rounding of both; by a model that was trained with small
    pictures as a condition (`auto` takes it where there is one of the inputs' size) they are as it has learned.
    """
    import numpy as np
    import torch

    from reverie.core.guidance import Downsample
    from reverie.tasks.parts.edits import Draws, Edits, choose, decoded, mean_of
    from reverie.tasks.parts.inputs import read_inputs, resized
    from reverie.tasks.parts.needs import pictures

    height, width = pictures(model, COMMAND)
    if factor < 2 or height % factor or width % factor:
        raise ReverieError(
            f"--factor {factor}: give a whole number from 2 that divides the model's {height}x{width} pixels on both sides."
        )
    small = resized(model.codec, height // factor, width // factor)
    name, blocks = _told_small(model, small), Downsample(factor)
    method = _method(model, method, name)
    inputs = read_inputs(small, items)
    shown = [item for item in inputs.items for _ in range(samples)]
    told = {name: shown} if method == "trained" and name else None
    settings = choose(model, label or condition or name, guidance, steps, sampler, time_grid)
    asked = Draws.of(model, settings, len(inputs), samples, seed, label, condition, batch, told)
    if method == "trained":
        x = asked.walk(asked.denoiser, on_step)
    else:
        x = asked.walk(lambda which: _bent(asked, which, inputs.x, blocks, method), on_step)
        x = consistent(x.flatten(0, 1), inputs.x.repeat_interleave(samples, 0), blocks).unflatten(0, x.shape[:2])

    made = decoded(model.codec, x)
    encoded = torch.from_numpy(np.stack([model.codec.encode(one) for draws in made for one in draws]))
    off = (blocks.apply(encoded) - inputs.x.repeat_interleave(samples, 0)).abs().max()
    seen = [small.picture(item).repeat(factor, 0).repeat(factor, 1) for item in inputs.items]
    return Edits(
        verb=COMMAND, inputs=inputs, codec=model.codec, asked=asked, items=made, means=mean_of(model.codec, x), seen=seen,
        options={"factor": factor, "method": method},
        notes=[
            f"{height // factor}x{width // factor} to {height}x{width} by {method}: block means lie within {float(off):.2g} of "
            "the inputs, where black is -1 and white 1"
        ],
    )  # fmt: skip


def _told_small(model: Model, small: Codec) -> str | None:
    """The condition of the model that is a picture of the small size, where it has one."""
    from reverie.data.known import KnownPicture

    for name, one in model.conditions.items():
        if isinstance(one, KnownPicture) and one.codec.field.shape == small.field.shape:
            return name
    return None


def _method(model: Model, method: str, name: str | None) -> str:
    """What `auto` means for this model; refuses what it cannot do."""
    from reverie.tasks.parts.needs import scores

    if method not in _METHODS:
        raise ReverieError(f"--method {method}: there are {', '.join(_METHODS)}.")
    if method == "trained" and name is None:
        raise ReverieError(
            "--method trained needs a model that was told pictures of this size: reverie train LARGE/ --condition image:SMALL/."
        )
    found = ("trained" if name else "mmps") if method == "auto" else method
    if found != "trained":
        scores(model, COMMAND)
    return found


def consistent(x: Tensor, y: Tensor, blocks: Downsample) -> Tensor:
    """The x in [-1, 1] near to a given one, (B, *), whose block means are y: shifted block by block and clipped, in turn.

    Source: Irani & Peleg 1991 (back-projection), for block means.
    """
    import torch

    shape, one = tuple(x.shape), torch.ones((), dtype=torch.float64)
    for _ in range(_ROUNDS):
        x = x.clamp(-1, 1)
        x = x + blocks.adjoint(blocks.solve(y - blocks.apply(x), shape, one, 0.0), shape)
    return x.clamp(-1, 1)


def _bent(asked: Draws, which: slice, y: Tensor, blocks: Downsample, method: str) -> Denoiser:
    """The denoiser of some draws that has seen the small picture."""
    from reverie.core.guidance import DPS, MomentMatched, PiGDM

    kinds = {"mmps": MomentMatched, "pigdm": PiGDM, "dps": DPS}
    return kinds[method](asked.denoiser(which), blocks, y[asked.sources(which)].to(asked.model.device))
