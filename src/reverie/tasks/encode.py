"""`reverie encode`: the deterministic latent of each input, from which `reverie decode` makes it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.tasks.parts.latents import Latents

COMMAND = "encode"
EXAMPLES = (
    "reverie encode runs/digits photo.png -o latents",
    "reverie encode runs/digits drawings/ --steps 64 -o latents",
    "reverie encode runs/emoji faces/ --condition style=noto -o latents",
)


def encode(
    model: Model,
    items: Annotated[Any, "What to encode: a file, folder, zip, .npy or .npz of the model's own size."],
    label: Annotated[
        str | None,
        "Class to tell the model, or several, cycled. Default: none, so that the latent holds the class too.",
    ] = None,
    condition: options.Condition = None,
    condition_from: Annotated[
        str,
        "Where else the data says what the items are, as `reverie train --condition` takes it: number:age.",
        options.Names.COLUMNS,
    ] = "none",
    steps: options.OdeSteps = None,
    tolerance: options.Tolerance = None,
    batch: options.Batch = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Latents:
    """Carry items up the probability-flow ODE to latents, standard normal where the model is right; no randomness.

    Writes latents.npz (z, names, settings) and latents.json. Raises ReverieError for items that do not fit the model, and for a
    model of tokens.
    """
    from reverie.storage import fingerprint
    from reverie.tasks.parts.latents import Latents, Solver, carried
    from reverie.tasks.parts.needs import gaussian
    from reverie.tasks.parts.told import read_known, stated, wish_of

    gaussian(model, COMMAND)
    solver, said = Solver.of(steps, tolerance), stated(model, 1, label, condition)
    given, names = read_known(model, items, said, condition_from=condition_from)
    told = wish_of(model, given, names, label, condition)
    z = carried(model, solver.up, given.x, told.cond, batch, on_step)
    return Latents(z.numpy(), given.names, told.values, solver, fingerprint(model), told.notes)
