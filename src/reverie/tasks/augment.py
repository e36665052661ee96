"""`reverie augment`: variations of a data set, each with the label and all that is known of the item it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from reverie.conditions import Asked
    from reverie.core.denoiser import Denoiser
    from reverie.core.noise import Noise
    from reverie.core.samplers import Step
    from reverie.example import State
    from reverie.model import Model
    from reverie.tasks.parts.inputs import Inputs
    from reverie.tasks.parts.items import Items

COMMAND = "augment"
EXAMPLES = (
    "reverie augment runs/digits digits/ --times 3 -o more",
    "reverie augment runs/digits digits/ --strength 0.7 --with-originals -o more",
    "reverie augment runs/faces faces/ --condition-from label:style,number:age -o more",
)
_APART = 2**32  # samples of the seed between one variation of an item and the next


def augment(
    model: Model,
    items: Annotated[Any, "The data set: class folders, a zip of them, .npz, or a packaged name."],
    times: Annotated[int, "Variations of each item."] = 3,
    strength: Annotated[float, "How far from the item: near 0 the item itself, 1 a fresh sample of its label."] = 0.5,
    with_originals: Annotated[bool, "Write the items themselves too."] = False,
    label_from: Annotated[str, "folder, csv:COLUMN or none: what labels the items."] = "folder",
    condition_from: options.ConditionFrom = None,
    condition: Annotated[
        str | None,
        "What the items are where the data does not say: label=3,style=noto; | cycles several over them.",
        options.Names.TOLD,
    ] = None,
    guidance: Annotated[
        float | None, "Scale of guidance towards what is told; 1 is none. Default: the model's."
    ] = None,
    steps: options.PartSteps = None,
    seed: options.Seed = 0,
    batch: options.Batch = 128,
    labels: Any = None,
    conditions: Mapping[str, Any] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Items:
    """Noise each item to a level and walk it back, told what is known of it; written so that `reverie train` reads it again.

    Labels become class folders, other conditions columns of conditions.csv. The level is `restyle`'s: at strength 0.5 as much
    noise as signal. labels, conditions: in Python, what the items of an array are. Raises ReverieError for what the model does
    not know, and for items that do not bring what it was trained to be told.
    """
    from reverie.samples import picked
    from reverie.tasks.parts.many import check_many
    from reverie.tasks.parts.needs import gaussian

    if not model.codec.joint:
        gaussian(model, COMMAND)
    if times < 1:
        raise ReverieError(f"--times {times}: give a whole number from 1.")
    if not 0 < strength <= 1:
        raise ReverieError(f"--strength {strength:g}: give a number above 0 (the item) to 1 (a fresh sample).")
    given, told = _read(model, items, labels, dict(conditions or {}), label_from, condition_from, condition)
    if not model.codec.together:  # whose items share a file
        check_many(len(given), times + with_originals)
    seed = picked(seed)
    settings = model.defaults.given(steps=steps, guidance=guidance)
    x = [_varied(model, given.x, told, strength, settings, seed, j, batch, on_step) for j in range(times)]
    facts = {"seed": seed, "strength": strength, **settings.to_json()}
    together = _together if model.codec.together else _collected
    return together(model, given, told, x, facts, with_originals)


def _read(
    model: Model, items: Any, labels: Any, more: dict[str, Any], label_from: str, condition_from: str | None,
    condition: str | None,
) -> tuple[Inputs, Asked]:  # fmt: skip
    """The items with all that is known of each, and what the model is told of them."""
    from reverie.data.dataset import Data
    from reverie.tasks.parts.told import check_brought, read_known, stated, wish_of

    if labels is not None:
        items = Data.from_arrays(items, labels, name="input")
    said = {**more, **stated(model, 1, None, condition)}
    given, names = read_known(model, items, said, label_from, condition_from)
    if twice := sorted(said.keys() & given.told.keys()):
        raise ReverieError(f"'{twice[0]}' is in the data, and was given beside it as {said[twice[0]]}. Give it once.")
    if model.classes and label_from != "none" and "label" not in said:
        if given.labels is None:
            raise ReverieError(
                f"The items have no labels, and the model was trained with {len(model.classes)} "
                f"({', '.join(model.classes[:5])}). Put them into a folder for each class, name a column with --label-from "
                "csv:COLUMN, state it with --condition label=CLASS, or vary them untold with --label-from none."
            )
        names = ["label", *names]
        check_brought(model, given, ["label"])
    given.told |= more
    told = wish_of(model, given, [*names, *more], condition=condition)
    given.told |= told.values
    return given, told


def _varied(
    model: Model, x0: State, told: Asked, strength: float, settings: Any, seed: int, number: int, batch: int,
    on_step: Callable[[Step], None] | None,
) -> State:  # fmt: skip
    """The number-th variation of every item, encoded, (N, C, *)."""
    from reverie.example import count, each, some_of
    from reverie.tasks.parts.strength import noised, time_of
    from reverie.tasks.parts.walk import walk

    def start(which: slice, denoiser: Denoiser, noise: Noise, t: Tensor) -> State:
        own = each(lambda x: x[which].to(model.device), x0)
        return noised(model, denoiser.process, own, noise, t, strength)

    return walk(
        model, lambda which: model.guided(some_of(told.cond, which), settings), count(x0), settings, seed=seed,
        first=number * _APART, batch=batch, start=None if strength == 1 else start,
        below=time_of(model, settings, strength), on_step=on_step,
    )  # fmt: skip


def _together(
    model: Model, given: Inputs, told: Asked, x: list[State], facts: dict[str, Any], with_originals: bool
) -> Items:
    """The variations of items that are one file, each item's one after the other; before them, the items themselves."""
    import numpy as np
    import torch

    from reverie.example import joined, some_state, to_arrays
    from reverie.tasks.parts.items import Items
    from reverie.tasks.parts.provenance import origin

    n, codec = len(given), model.codec
    order = np.arange(len(x) * n).reshape(len(x), n).T.flatten()
    made = codec.decode_all(to_arrays(some_state(joined(x), torch.from_numpy(order))))
    values = {name: [value for value in values for _ in x] for name, values in given.told.items()}
    items = codec.with_conditions(made, values)
    names = [f"{name}-{j + 1}" for name in given.names for j in range(len(x))]
    if with_originals:
        items, names = codec.joined([given.items, items]), [*given.names, *names]
    strength = facts["strength"]
    lost = " (that share of tokens is lost)" if codec.joint else ""
    said = [
        f"{len(x) * n:,} variations of {n:,} item{'s' * (n != 1)}, seed {facts['seed']}, strength {strength:g}{lost}, "
        f"{facts['steps']} step{'s' * (facts['steps'] != 1)} of {facts['sampler']}, guidance {facts['guidance']:g}",
        *given.notes, *told.lines(), *([f"and, before them, the {n:,} items themselves"] if with_originals else []),
    ]  # fmt: skip
    return Items(items, names, [{**origin(COMMAND, model), **facts}], codec, said)


def _collected(
    model: Model, given: Inputs, told: Asked, x: list[State], facts: dict[str, Any], with_originals: bool
) -> Items:
    """Items beside their variations, named after them, in their classes' folders."""
    from reverie.samples import is_plain, told_plainly
    from reverie.tasks.parts.items import Items, plain_name
    from reverie.tasks.parts.provenance import origin
    from reverie.tasks.parts.strength import noise_of

    own, made, names, kept = origin(COMMAND, model), [], [], []
    for k, (item, name) in enumerate(zip(given.items, given.names, strict=True)):
        what = {**own, "input": name, **told_plainly({name: values[k] for name, values in given.told.items()})}
        if with_originals:
            made.append(item)
            names.append(f"{plain_name(k, name)}-original")
            kept.append(what)
        for j, one in enumerate(x):
            made.append(model.codec.decode(one[k].numpy()))
            names.append(f"{plain_name(k, name)}-{j + 1}")
            kept.append({**what, **facts, "index": j * _APART + k})
    each = len(x) + with_originals
    known = {name: [value for value in values for _ in range(each)] for name, values in given.told.items()}
    strength = facts["strength"]
    level = f" (noise of standard deviation {noise_of(model, strength):.3g})" if strength < 1 else ""
    said = [
        f"{len(x) * len(given):,} variations of {len(given):,} item{'s' * (len(given) != 1)}, seed {facts['seed']}, "
        f"strength {strength:g}{level}, "
        f"{facts['steps']} step{'s' * (facts['steps'] != 1)} of {facts['sampler']}, guidance {facts['guidance']:g}",
        *told.lines(),
    ]
    said += [f"and the {len(given):,} items themselves"] if with_originals else []
    pictures = [name for name, values in known.items() if not all(map(is_plain, values))]
    said += [f"the pictures '{name}' are not written beside them" for name in pictures]
    folders, columns = known.pop("label", None), min(16, each * max(1, 16 // each))
    return Items(
        made, names, kept, model.codec, said, folders, columns, captions=folders, shown=8 * columns, conditions=known
    )  # fmt: skip
