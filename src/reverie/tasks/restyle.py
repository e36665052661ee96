"""`reverie restyle`: noise added to an item and taken away again by the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from torch import Tensor

    from reverie.core.denoiser import Denoiser
    from reverie.core.noise import Noise
    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.tasks.parts.edits import Edits

COMMAND = "restyle"
EXAMPLES = (
    "reverie restyle runs/digits sketch.png --strength 0.6 --label 3",
    "reverie restyle runs/emoji drawings/ --strength 0.5 --samples 4 -o restyled",
)


def restyle(
    model: Model,
    items: Annotated[Any, "Items of the model's size: a file, folder, zip, .npy or .npz."],
    strength: Annotated[
        float, "0 gives the item back, 1 is a fresh draw: how much of it noise takes the place of."
    ] = 0.6,
    samples: Annotated[int, "Draws of each item."] = 1,
    label: Annotated[str | None, "Class to go to; several, as in 3,5,8, are cycled over the draws."] = None,
    condition: options.Condition = None,
    guidance: options.Guidance = None,
    steps: options.PartSteps = None,
    sampler: options.Sampler = None,
    time_grid: options.TimeGrid = None,
    seed: options.Seed = 0,
    batch: options.Batch = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Edits:
    """Noise each item and walk back with this model: style transfer, sketch to picture, one class to another (SDEdit).

    Of numbers, the noise is n = sd tan(strength 90 degrees) with sd the data's standard deviation, under every schedule: on
    Gaussian data what comes out correlates with what went in by cos(strength 90 degrees). Of tokens, it is the share that is
    lost. Source: Meng et al. 2022 (SDEdit), section 3.2.
    """
    from reverie.tasks.parts.edits import Draws, Edits, choose, decoded
    from reverie.tasks.parts.inputs import read_inputs
    from reverie.tasks.parts.needs import one_field
    from reverie.tasks.parts.strength import time_of

    one_field(model, COMMAND)
    if not 0 <= strength <= 1:
        raise ReverieError(f"--strength {strength:g}: give a number from 0 (the item itself) to 1 (a fresh draw).")
    inputs = read_inputs(model.codec, items)
    settings = choose(model, label or condition, guidance, steps, sampler, time_grid)
    asked = Draws.of(model, settings, len(inputs), samples, seed, label, condition, batch)

    if strength == 0:
        made = [[item] * samples for item in inputs.items]
    else:
        x0 = inputs.x.to(model.device)

        def noised(which: slice, denoiser: Denoiser, noise: Noise, t: Tensor) -> Tensor:
            own = x0[asked.sources(which)]
            return denoiser.process.diffuse(own, t, denoiser.process.draw(noise, own))

        fresh = strength == 1
        below = time_of(model, settings, strength)
        made = decoded(model.codec, asked.walk(asked.denoiser, on_step, None if fresh else noised, below))
    return Edits(
        verb=COMMAND, inputs=inputs, codec=model.codec, asked=asked, items=made,
        seen=[model.codec.picture(item) for item in inputs.items], options={"strength": strength},
        notes=[_said(model, strength)],
    )  # fmt: skip


def _said(model: Model, strength: float) -> str:
    from reverie.tasks.parts.strength import noise_of

    if strength in (0, 1):
        return f"strength {strength:g}: " + ("the inputs themselves" if strength == 0 else "fresh draws")
    if model.codec.field.classes is not None:
        return f"strength {strength:g}: {strength:.0%} of the tokens are lost and drawn anew"
    return (
        f"strength {strength:g}: with noise of standard deviation {noise_of(model, strength):.3g}, {model.codec.unit}"
    )
