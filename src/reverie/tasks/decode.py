"""`reverie decode`: items from their latents, the inverse of `reverie encode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError

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
    steps: Annotated[int | None, "Equal steps in log n, 2 evaluations each. Default: as encode did."] = None,
    tolerance: Annotated[float | None, "In the place of steps: error allowed in a step of an adaptive solver."] = None,
    batch: Annotated[int, "How many are computed at once."] = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Items:
    """Carry latents down the probability-flow ODE to items; in Python also `Latents` that were changed on the way.

    Raises ReverieError for latents of another model or shape.
    """
    import torch

    from reverie.storage import fingerprint
    from reverie.tasks.parts.items import Items, plain_name
    from reverie.tasks.parts.latents import Latents, Solver, carried
    from reverie.tasks.parts.needs import gaussian
    from reverie.tasks.parts.told import asked_labels, known_labels

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
    labels = asked_labels(model, label, len(found))
    if labels is None and found.labels is not None:
        labels = known_labels(model, found.labels)
    x = carried(model, solver.down, torch.as_tensor(found.z, dtype=torch.float32), labels, batch, on_step)
    made = {"verb": COMMAND, "model_sha256": own, **solver.to_json()}
    facts = [
        {**made, "input": name, **({} if labels is None else {"label": labels[k]})}
        for k, name in enumerate(found.names)
    ]
    items = [model.codec.decode(one) for one in x.numpy()]
    names = [plain_name(k, name) for k, name in enumerate(found.names)]
    return Items(items, names, facts, model.codec, [f"{len(items)} decoded, {solver.words}"])
