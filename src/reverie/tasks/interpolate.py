"""`reverie interpolate`: from one item, seed, label or other condition to another, in pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from reverie.errors import ReverieError, nearest
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from torch import Tensor

    from reverie.conditions import Asked
    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.tasks.parts.items import Items
    from reverie.tasks.parts.latents import Solver

COMMAND = "interpolate"
EXAMPLES = (
    "reverie interpolate runs/digits three.png eight.png --frames 16 -o way",
    "reverie interpolate runs/digits seed:3 seed:7 --label 5",
    "reverie interpolate runs/digits label:3 label:8 --seed 1",
    "reverie interpolate runs/faces age:20 age:60 --condition style=oil",
)


class _End(NamedTuple):
    """Where a way begins or ends: what it was asked as, its latent (1, C, *), and the item (1, C, *) if one was given.

    of, value: the condition that it is a value of, if it is one. own: what an item that was given tells of itself.
    """

    name: str
    z: Tensor
    x: Tensor | None = None
    of: str | None = None
    value: str = ""
    own: dict[str, Any] | None = None


def interpolate(
    model: Model,
    a: Annotated[
        Any,
        "Where it begins: a file of the model's own size, seed:3 (a sample's noise), label:3 or another condition, age:20.",
    ],
    b: Annotated[Any, "Where it ends: the same kinds; a condition goes with the same condition."],
    frames: Annotated[int, "How many pictures, both ends counted."] = 16,
    label: Annotated[str | None, "Class to tell the model all the way. Default: none."] = None,
    condition: Annotated[
        str | None, "What else to tell all the way: style=noto,age=40. Default: nothing.", options.Names.TOLD
    ] = None,
    seed: Annotated[int, "Between conditions: whose noise both ends share."] = 0,
    steps: options.OdeSteps = None,
    tolerance: options.Tolerance = None,
    on_step: Callable[[Step], None] | None = None,
) -> Items:
    """Frames on the way from A to B: both inverted to latents, which are joined on the sphere (slerp) and decoded.

    z_f = (sin((1 - f) w) z_a + sin(f w) z_b) / sin(w), w the angle between them. Between labels (or pictures that are
    told) the latent stays and the prediction goes over, x0_hat = (1 - f) x0_hat_a + f x0_hat_b; between numbers each frame is
    told its own, (1 - f) a + f b. What items tell of themselves, such as when a series starts, each end is told; where they
    differ the prediction goes over, and a frame is written with what the nearer end tells. Deterministic. No guidance. Raises
    ReverieError for ends that do not fit the model or each other.
    """
    import torch

    from reverie.samples import told_plainly
    from reverie.tasks.parts.items import Items
    from reverie.tasks.parts.latents import Solver
    from reverie.tasks.parts.needs import gaussian
    from reverie.tasks.parts.provenance import origin
    from reverie.tasks.parts.told import stated

    gaussian(model, COMMAND)
    if frames < 2:
        raise ReverieError(f"--frames {frames}: a way has two ends; give a whole number from 2.")
    solver, said = Solver.of(steps, tolerance), stated(model, frames, label, condition)
    ends = [
        _end(model, what, solver, {k: v[at : at + 1] for k, v in said.items()}, seed)
        for what, at in ((a, 0), (b, frames - 1))
    ]
    of = ends[0].of
    if of != ends[1].of:
        raise ReverieError(
            f"{ends[0].name} and {ends[1].name}: a label goes with another label, any condition with another value of it, a "
            "file or seed with a file or seed."
        )
    if of in said:
        raise ReverieError(f"{of} = {said[str(of)][0]}: the ends are values of '{of}' themselves. Leave it out.")
    share = torch.linspace(0, 1, frames, dtype=torch.float64)
    z = slerp(ends[0].z, ends[1].z, share)
    if of is not None:
        told, x = _across(model, of, [end.value for end in ends], said, share, z, solver, on_step)
    else:
        told, x = _along(model, ends, said, share, z, solver, on_step)
    about = {**origin(COMMAND, model), "a": ends[0].name, "b": ends[1].name, "seed": seed, **solver.to_json()}
    facts = [{**about, "share": f, **told_plainly(told.at(k))} for k, f in enumerate(share.tolist())]
    captions = ["A", *(f"{f:.2f}" for f in share.tolist()[1:-1]), "B"]
    made = model.codec.with_conditions(model.codec.decode_all(x.numpy()), told.values)
    names = [f"frame-{k:04d}" for k in range(frames)]
    lines = [
        f"{frames} frames from {ends[0].name} to {ends[1].name}, {solver.words}",
        *_kept(ends, x, model.codec.unit),
        *(told.lines() if of is None else [f"{of}: from that of one end to that of the other", *told.notes]),
    ]
    return Items(made, names, facts, model.codec, lines, columns=min(frames, 16), captions=captions, film=True)


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


def _across(
    model: Model, of: str, values: list[str], said: dict[str, list[str]], share: Tensor, z: Tensor, solver: Solver,
    on_step: Callable[[Step], None] | None,
) -> tuple[Asked, Tensor]:  # fmt: skip
    """What each frame is told, and the frames, encoded: from one value of a condition to another, with latents z (F, C, *)."""
    from reverie.data.known import KnownNumber
    from reverie.tasks.parts.latents import Between, carried
    from reverie.tasks.parts.told import wish

    frames, known = len(share), model.conditions[of]
    if isinstance(known, KnownNumber):
        a, b = (known.number(value, of) for value in values)
        told = wish(model, frames, {**said, of: [(1 - f) * a + f * b for f in share.tolist()]})
        return told, carried(model, solver.down, z, told.cond, frames, on_step)
    ends = [wish(model, frames, {**said, of: [value] * frames}).cond for value in values]
    between = Between(model, ends[0], ends[1], share)
    return wish(model, frames, said), carried(model, lambda _, z: solver.down(between, z), z, {}, frames, on_step)


def _along(
    model: Model, ends: list[_End], said: dict[str, list[str]], share: Tensor, z: Tensor, solver: Solver,
    on_step: Callable[[Step], None] | None,
) -> tuple[Asked, Tensor]:  # fmt: skip
    """The same from one item or seed to another: a seed is told what the item at the other end tells."""
    from reverie.tasks.parts.latents import Between, carried
    from reverie.tasks.parts.told import wish

    frames, (a, b) = len(share), (ends[0].own or ends[1].own or {}, ends[1].own or ends[0].own or {})
    told = wish(model, frames, said | {name: [(a if f < 0.5 else b)[name] for f in share.tolist()] for name in a})
    if a == b:
        return told, carried(model, solver.down, z, told.cond, frames, on_step)
    first, last = (wish(model, frames, said | {name: [own[name]] * frames for name in own}).cond for own in (a, b))
    between = Between(model, first, last, share)
    return told, carried(model, lambda _, z: solver.down(between, z), z, {}, frames, on_step)


def _end(model: Model, what: Any, solver: Solver, said: dict[str, list[str]], seed: int) -> _End:
    """Read one end of the way; said: what a person states of it."""
    from reverie.tasks.parts.latents import carried
    from reverie.tasks.parts.told import read_known, wish

    kind, colon, word = what.partition(":") if isinstance(what, str) and not Path(what).exists() else ("", "", "")
    if colon and kind == "seed":
        if not word.isdecimal():
            raise ReverieError(f"{what}: a seed is a whole number from 0, e.g. seed:3.")
        return _End(what, _noise(model, int(word)))
    if colon and kind in model.conditions:
        return _End(what, _noise(model, seed), of=kind, value=word)
    if colon:
        known = f"did you mean {nearest(kind, ['seed', *model.conditions])}?"
        raise ReverieError(f"There is no file {what}, and no condition '{kind}' in this model; {known}")
    given, names = read_known(model, what, said, condition_from=None if model.codec.brings else "none")
    if len(given) != 1:
        raise ReverieError(f"{what} holds {len(given)} items; an end of the way is one. Name one file.")
    own = {name: given.told[name][0] for name in names}
    z = carried(
        model, solver.up, given.x, wish(model, 1, {**said, **{name: [value] for name, value in own.items()}}).cond
    )
    return _End(str(what) if isinstance(what, str | Path) else given.names[0], z, given.x, own=own)


def _noise(model: Model, seed: int) -> Tensor:
    """The latent of sample 0 of a seed, (1, C, *)."""
    import torch

    from reverie.core.noise import Noise
    from reverie.samples import check_seed

    check_seed(seed)
    return Noise.of(seed, 1).normal(0, torch.empty(1, *model.codec.field.shape))


def _kept(ends: list[_End], x: Tensor, unit: str) -> list[str]:
    """How far the outer frames are from the items that were given."""
    from reverie.tasks.parts.latents import errors

    said = []
    for end, frame in zip(ends, (x[:1], x[-1:]), strict=True):
        if end.x is not None:
            most, psnr = errors(end.x, frame)
            said.append(f"{end.name} comes back to {most:.1g} at most, {unit} ({psnr:.0f} dB)")
    return said
