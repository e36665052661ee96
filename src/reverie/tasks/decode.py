"""`reverie decode`: items from their latents, the inverse of `reverie encode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.tasks.parts.items import Items

COMMAND = "decode"
EXAMPLES = ("reverie decode runs/digits latents -o again",)


def decode(
    model: Model,
    latents: Annotated[Any, "What `reverie encode` wrote: a folder, or its latents.npz."],
    label: Annotated[str | None, "Class to tell the model, or several, cycled. Default: what encode told."] = None,
    condition: Annotated[
        str | None,
        "What else to tell: style=noto,age=40; | cycles several. Default: what encode told.",
        options.Names.TOLD,
    ] = None,
    steps: Annotated[int | None, "Equal steps in log n, 2 evaluations each. Default: as encode did."] = None,
    tolerance: options.Tolerance = None,
    batch: options.Batch = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Items:
    """Carry latents down the probability-flow ODE to items; in Python also `Latents` that were changed on the way.

    Raises ReverieError for latents of another model or shape.
    """
    import torch

    from reverie.samples import told_plainly
    from reverie.storage import fingerprint
    from reverie.tasks.parts.items import Items, plain_name
    from reverie.tasks.parts.latents import Latents, Solver, carried
    from reverie.tasks.parts.needs import gaussian
    from reverie.tasks.parts.provenance import origin
    from reverie.tasks.parts.told import stated, wish

    gaussian(model, COMMAND)
    found, own = latents if isinstance(latents, Latents) else Latents.read(latents), fingerprint(model)
    if found.model != own:
        raise ReverieError(
            f"These latents belong to another model: its weights are {found.model[:12]}, this model's {own[:12]}. "
            "Decode with the model that encoded them."
        )
    shape = model.codec.field.shape
    if found.z.shape[1:] != shape:
        raise ReverieError(f"The latents are {found.z.shape[1:]} each, the model's items {shape}.")
    solver = found.solver if tolerance is None and steps is None else Solver.of(steps, tolerance)
    said = stated(model, len(found), label, condition)
    told = wish(model, len(found), {**found.known(but=said), **said})
    x = carried(model, solver.down, torch.as_tensor(found.z, dtype=torch.float32), told.cond, batch, on_step)
    made = {**origin(COMMAND, model), **solver.to_json()}
    facts = [{**made, "input": name, **told_plainly(told.at(k))} for k, name in enumerate(found.names)]
    items = model.codec.with_conditions(model.codec.decode_all(x.numpy()), told.values)
    names = [plain_name(k, name) for k, name in enumerate(found.names)]
    return Items(items, names, facts, model.codec, [f"{len(items)} decoded, {solver.words}", *told.lines()])
