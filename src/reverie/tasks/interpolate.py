"""`reverie interpolate`: from one item, seed or label to another, in pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from reverie.errors import ReverieError

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from torch import Tensor

    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.tasks.parts.items import Items
    from reverie.tasks.parts.latents import Solver

COMMAND = "interpolate"
EXAMPLES = (
    "reverie interpolate runs/digits three.png eight.png --frames 16 -o way",
    "reverie interpolate runs/digits seed:3 seed:7 --label 5",
    "reverie interpolate runs/digits label:3 label:8 --seed 1",
)


class _End(NamedTuple):
    """Where a way begins or ends: what it was asked as, its latent (1, C, *), label if any, and the item (1, C, *) if given."""

    name: str
    z: Tensor
    label: str | None = None
    x: Tensor | None = None


def interpolate(
    model: Model,
    a: Annotated[Any, "Where it begins: a file of the model's own size, seed:3 (a sample's noise) or label:3."],
    b: Annotated[Any, "Where it ends: the same kinds; a label goes with a label."],
    frames: Annotated[int, "How many pictures, both ends counted."] = 16,
    label: Annotated[str | None, "Class to tell the model all the way. Default: none."] = None,
    seed: Annotated[int, "Between labels: whose noise both ends share."] = 0,
    steps: Annotated[int | None, "Equal steps in log n, 2 evaluations each. Default: 64."] = None,
    tolerance: Annotated[float | None, "In the place of steps: error allowed in a step of an adaptive solver."] = None,
    on_step: Callable[[Step], None] | None = None,
) -> Items:
    """Frames on the way from A to B: both inverted to latents, which are joined on the sphere (slerp) and decoded.

    z_f = (sin((1 - f) w) z_a + sin(f w) z_b) / sin(w), w the angle between them. Between labels the latent stays and the
    prediction goes over, x0_hat = (1 - f) x0_hat_a + f x0_hat_b. Deterministic. No guidance. Raises ReverieError for ends
    that do not fit the model or each other.
    """
    import torch

    from reverie.tasks.parts.items import Items
    from reverie.tasks.parts.latents import Between, Solver, carried
    from reverie.tasks.parts.needs import gaussian
    from reverie.tasks.parts.provenance import origin
    from reverie.tasks.parts.told import asked_labels, conditions

    gaussian(model, COMMAND)
    if frames < 2:
        raise ReverieError(f"--frames {frames}: a way has two ends; give a whole number from 2.")
    solver, told = Solver.of(steps, tolerance), asked_labels(model, label, frames)
    ends = [_end(model, what, solver, told, seed) for what in (a, b)]
    if (ends[0].label is None) != (ends[1].label is None):
        raise ReverieError(
            f"{ends[0].name} and {ends[1].name}: a label goes with another label, a file or seed with a file or seed."
        )
    share = torch.linspace(0, 1, frames, dtype=torch.float64)
    z = slerp(ends[0].z, ends[1].z, share)
    if ends[0].label is not None:
        if told is not None:
            raise ReverieError(f"--label {label}: the ends are labels themselves. Leave it out.")
        known = [conditions(model, [str(end.label)] * frames) for end in ends]
        between = Between(model, known[0], known[1], share)
        x = carried(model, lambda _, z: solver.down(between, z), z, None, frames, on_step)
    else:
        x = carried(model, solver.down, z, told, frames, on_step)
    about = {**origin(COMMAND, model), "a": ends[0].name, "b": ends[1].name, "seed": seed, **solver.to_json()}
    facts = [
        {**about, "share": f, **({} if told is None else {"label": told[k]})} for k, f in enumerate(share.tolist())
    ]
    captions = ["A", *(f"{f:.2f}" for f in share.tolist()[1:-1]), "B"]
    made = [model.codec.decode(one) for one in x.numpy()]
    names = [f"frame-{k:04d}" for k in range(frames)]
    said = [f"{frames} frames from {ends[0].name} to {ends[1].name}, {solver.words}", *_kept(ends, x)]
    return Items(made, names, facts, model.codec, said, columns=min(frames, 16), captions=captions, film=True)


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation of a and b (1, *) at shares (F,) in [0, 1] -> (F, *); on a line where they point one way.

    Source: Shoemake 1985 (Animating Rotation with Quaternion Curves), section 3.3.
    """
    import torch

    f = share.to(a).reshape(-1, *(1,) * (a.ndim - 1))
    cosine = float((a.double() * b.double()).sum() / (a.double().norm() * b.double().norm()))
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if math.sin(angle) < 1e-4:
        return (1 - f) * a + f * b
    return (torch.sin((1 - f) * angle) * a + torch.sin(f * angle) * b) / math.sin(angle)


def _end(model: Model, what: Any, solver: Solver, told: list[str] | None, seed: int) -> _End:
    """Read one end of the way."""
    from reverie.tasks.parts.inputs import read_inputs
    from reverie.tasks.parts.latents import carried
    from reverie.tasks.parts.told import known_labels

    kind, colon, word = what.partition(":") if isinstance(what, str) and not Path(what).exists() else ("", "", "")
    if colon and kind == "seed":
        if not word.isdecimal():
            raise ReverieError(f"{what}: a seed is a whole number from 0, e.g. seed:3.")
        return _End(what, _noise(model, int(word)))
    if colon and kind == "label":
        return _End(what, _noise(model, seed), known_labels(model, [word])[0])
    given = read_inputs(model.codec, what)
    if len(given) != 1:
        raise ReverieError(f"{what} holds {len(given)} items; an end of the way is one. Name one file.")
    z = carried(model, solver.up, given.x, None if told is None else told[:1])
    return _End(str(what) if isinstance(what, str | Path) else given.names[0], z, None, given.x)


def _noise(model: Model, seed: int) -> Tensor:
    """The latent of sample 0 of a seed, (1, C, *)."""
    import torch

    from reverie.core.noise import Noise
    from reverie.samples import check_seed

    check_seed(seed)
    return Noise.of(seed, 1).normal(0, torch.empty(1, *model.codec.field.shape))


def _kept(ends: list[_End], x: Tensor) -> list[str]:
    """How far the outer frames are from the items that were given."""
    from reverie.tasks.parts.latents import errors

    said = []
    for end, frame in zip(ends, (x[:1], x[-1:]), strict=True):
        if end.x is not None:
            most, psnr = errors(end.x, frame)
            said.append(f"{end.name} comes back to {most:.1g} of [-1, 1] at most ({psnr:.0f} dB)")
    return said
