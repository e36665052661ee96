"""`reverie augment`: variations of a data set, each with the label of the item it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from torch import Tensor

    from reverie.core.denoiser import Denoiser
    from reverie.core.noise import Noise
    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.tasks.parts.inputs import Inputs
    from reverie.tasks.parts.items import Items

COMMAND = "augment"
EXAMPLES = (
    "reverie augment runs/digits digits/ --times 3 -o more",
    "reverie augment runs/digits digits/ --strength 0.7 --with-originals -o more",
)
_APART = 2**32  # samples of the seed between one variation of an item and the next


def augment(
    model: Model,
    items: Annotated[Any, "The data set: class folders, a zip of them, .npz, or a packaged name."],
    times: Annotated[int, "Variations of each item."] = 3,
    strength: Annotated[float, "How far from the item: near 0 the item itself, 1 a fresh sample of its label."] = 0.5,
    with_originals: Annotated[bool, "Write the items themselves too."] = False,
    label_from: Annotated[str, "folder, csv:COLUMN or none: what labels the items."] = "folder",
    guidance: Annotated[float | None, "Scale of guidance towards the label; 1 is none. Default: the model's."] = None,
    steps: Annotated[int | None, "Steps of the whole way; a strength below 1 walks a part of them."] = None,
    seed: Annotated[int, "Start of all randomness; -1 picks one and says which."] = 0,
    batch: Annotated[int, "How many are computed at once."] = 128,
    labels: Any = None,
    on_step: Callable[[Step], None] | None = None,
) -> Items:
    """Noise each item to a level and walk it back, told its label; written as class folders that `reverie train` reads.

    The level is `restyle`'s: at strength 0.5 as much noise as signal. labels: in Python, the class of each item of an array.
    Raises ReverieError for labels that the model does not know, and for items without labels where it was trained with them.
    """
    from reverie.samples import picked
    from reverie.tasks.parts.inputs import read_inputs
    from reverie.tasks.parts.needs import gaussian

    gaussian(model, COMMAND)
    if times < 1:
        raise ReverieError(f"--times {times}: give a whole number from 1.")
    if not 0 < strength <= 1:
        raise ReverieError(f"--strength {strength:g}: give a number above 0 (the item) to 1 (a fresh sample).")
    given = read_inputs(model.codec, _with_labels(items, labels), label_from)
    told = _told(model, given, label_from)
    seed = picked(seed)
    settings = model.defaults.given(steps=steps, guidance=guidance)
    x = [_varied(model, given.x, told, strength, settings, seed, j, batch, on_step) for j in range(times)]
    facts = {"seed": seed, "strength": strength, **settings.to_json()}
    return _collected(model, given, x, facts, with_originals, told is not None)


def _with_labels(items: Any, labels: Any) -> Any:
    from reverie.data.dataset import Data

    return items if labels is None else Data.from_arrays(items, labels, name="input")


def _told(model: Model, given: Inputs, label_from: str) -> list[str] | None:
    """The labels that the model is told: the items' own, where it knows any."""
    from reverie.tasks.parts.told import known_labels

    if not model.classes or label_from == "none":
        return None
    if given.labels is None:
        raise ReverieError(
            f"The items have no labels, and the model was trained with {len(model.classes)} ({', '.join(model.classes[:5])}). "
            "Put them into a folder for each class, name a column with --label-from csv:COLUMN, or vary them untold with "
            "--label-from none."
        )
    return known_labels(model, given.labels)


def _varied(
    model: Model, x0: Tensor, told: list[str] | None, strength: float, settings: Any, seed: int, number: int, batch: int,
    on_step: Callable[[Step], None] | None,
) -> Tensor:  # fmt: skip
    """The number-th variation of every item, encoded, (N, C, *)."""
    from reverie.tasks.parts.strength import time_of
    from reverie.tasks.parts.told import bent
    from reverie.tasks.parts.walk import walk

    def start(which: slice, denoiser: Denoiser, noise: Noise, t: Tensor) -> Tensor:
        own = x0[which].to(model.device)
        return denoiser.process.diffuse(own, t, denoiser.process.draw(noise, own))

    def bend(which: slice) -> Denoiser:
        return bent(model, None if told is None else told[which], settings)

    return walk(
        model, bend, len(x0), settings, seed=seed, first=number * _APART, batch=batch,
        start=None if strength == 1 else start, below=time_of(model, settings, strength), on_step=on_step,
    )  # fmt: skip


def _collected(
    model: Model, given: Inputs, x: list[Tensor], facts: dict[str, Any], with_originals: bool, told: bool
) -> Items:
    """Items beside their variations, named after them, in their classes' folders."""
    from reverie.tasks.parts.items import Items, plain_name
    from reverie.tasks.parts.provenance import origin
    from reverie.tasks.parts.strength import noise_of

    own, made, names, kept, folders = origin(COMMAND, model), [], [], [], []
    for k, (item, name) in enumerate(zip(given.items, given.names, strict=True)):
        label = {} if given.labels is None else {"label": given.labels[k]}
        variations = (
            [(item, f"{plain_name(k, name)}-original", {**own, "input": name, **label})] if with_originals else []
        )
        for j, one in enumerate(x):
            about = {**own, **facts, "input": name, **label, "index": j * _APART + k}
            variations.append((model.codec.decode(one[k].numpy()), f"{plain_name(k, name)}-{j + 1}", about))
        for which, place, about in variations:
            made.append(which)
            names.append(place)
            kept.append(about)
            folders.append(label.get("label", ""))
    strength = facts["strength"]
    level = f" (noise n = {noise_of(model, strength):.3g})" if strength < 1 else ""
    said = [
        f"{len(x) * len(given):,} variations of {len(given):,} items, seed {facts['seed']}, strength {strength:g}{level}, "
        f"{facts['steps']} steps of {facts['sampler']}, guidance {facts['guidance']:g}",
        "told their labels" if told else "told no labels",
    ]
    said += [f"and the {len(given):,} items themselves"] if with_originals else []
    columns = min(16, (len(x) + with_originals) * max(1, 16 // (len(x) + with_originals)))
    captions = None if given.labels is None else folders
    return Items(
        made,
        names,
        kept,
        model.codec,
        said,
        None if given.labels is None else folders,
        columns,
        captions,
        shown=8 * columns,
    )
