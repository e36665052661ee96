"""`reverie sample`: new items from noise."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks import Several
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable, Mapping, Sequence

    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.samples import Samples, Settings

COMMAND = "sample"
EXAMPLES = (
    "reverie sample runs/digits -n 16 --steps 18 --sampler heun --seed 0",
    "reverie sample runs/digits -n 8 --label 3 --guidance 2 -o threes --film threes.gif",
    "reverie sample runs/emoji -n 8 --condition style=noto,group=animals-nature --guidance 3",
    "reverie sample runs/wage -n 100 --given 'age=40..50 maritl=\"2. Married\"' -o married.csv",
    "reverie sample runs/digits --like threes/3/seed0-00005.png --steps 64",
)


def generate(
    model: Model,
    n: Annotated[int | None, "How many. Default: 16, or 1 with --like."] = None,
    label: Annotated[
        str | None, "Class to draw, or several: 3 or 3,5,8 (cycled). Default: training proportions."
    ] = None,
    condition: Annotated[
        str | None,
        "What else to tell, comma-separated: style=noto,age=40,sketch=drawing.png; several are cycled: style=noto|blob. "
        "Default: as combined in training.",
        options.Names.TOLD,
    ] = None,
    given: Annotated[
        str | None,
        "What the rows of a table are to be: 'age=40..50 sex=F', or column=one|another; in a range as training has them.",
    ] = None,
    steps: Annotated[
        int | None, "Steps of the sampler. Default: the model's own, or those usual for --sampler."
    ] = None,
    sampler: Annotated[str | None, "E.g. heun, dpmpp-2m, ddim, heun:churn=40; see `reverie list samplers`."] = None,
    time_grid: Annotated[str | None, "Where it stops on the way, e.g. karras:rho=5; see `reverie list grids`."] = None,
    guidance: Annotated[float | None, "Scale of classifier-free guidance; 1 is none."] = None,
    interval: Annotated[str | None, "Noise levels LOW:HIGH in which guidance acts, e.g. 0.3:5."] = None,
    temperature: Annotated[float | None, "Scale of the noise: below 1 the likely, above 1 the varied."] = None,
    schedule: Annotated[str | None, "Noise schedule to sample under, if not the one it was trained with."] = None,
    seed: Annotated[int | None, "Start of all randomness; -1 picks one and says which. Default: 0."] = None,
    batch: options.Batch = 128,
    like: Annotated[
        str | None,
        "A file that was sampled before: draw it again; flags beside it change what they name.",
        options.Names.READ,
    ] = None,
    film: Annotated[
        str | None, "Write the way from noise to data there, a .gif: x_t left, x0_hat right.", options.Names.WRITTEN
    ] = None,
    on_step: Callable[[Step], None] | None = None,
) -> Samples:
    """Draw new items; sample k of a seed is the same however many are drawn, and by however many processes (torchrun)."""
    from reverie.samples import picked
    from reverie.storage import fingerprint
    from reverie.tasks.parts.films import SHOWN, Recorder, film_place, save_film
    from reverie.tasks.parts.needs import one_field
    from reverie.tasks.parts.provenance import Saved, read_made
    from reverie.tasks.parts.told import stated
    from reverie.training.distributed import join

    place = None if film is None else film_place(film)
    if place is not None:
        one_field(model, f"{COMMAND} --film")
    own, first, alone, notes = fingerprint(model), 0, None, []
    asked: dict[str, Any] = {
        "steps": steps, "sampler": sampler, "grid": time_grid, "guidance": guidance, "interval": parse_interval(interval),
        "temperature": temperature, "schedule": schedule,
    }  # fmt: skip
    if like is not None and given is None:
        given = read_made(Path(like)).get("given")
    if like is not None:
        saved = Saved.read(Path(like), own)
        notes = [saved.line({"seed": seed, "label": label, **asked})]
        model = dataclasses.replace(model, defaults=saved.settings)
        seed = saved.seed if seed is None else seed
        first = saved.index
        if n is None:  # with those that it was computed with, on which its last bits depend
            first, n = saved.together
            batch, alone = n, saved.index - first
    n = 16 if n is None else n
    told: dict[str, list[Any]] = dict(stated(model, n, label, condition))
    if like is not None:
        told |= {name: [value] * n for name, value in saved.told(but=told).items()}
    shown = slice(SHOWN) if alone is None else slice(alone, alone + 1)
    film_of = Recorder(-(-n // max(batch, 1)), shown, on_step)
    seed = picked(seed or 0)
    if given is not None:
        from reverie.tasks.parts.gaps import sampled

        made = sampled(model, given, n, told, model.defaults.given(**asked), seed, first, batch, on_step)
    else:
        watch = on_step if place is None else film_of
        made = model.sample(
            n, conditions=told, seed=seed, first=first, batch=batch, on_step=watch, spread=join().spread, **asked
        )
    together = [(first + k - k % batch, min(batch, n - k + k % batch)) for k in range(n)]
    made = dataclasses.replace(made, model=own, together=together, notes=[*made.notes, *notes])
    if place is not None and join().leads:
        save_film(film_of.frames(model, made.settings), place)
        made.notes.append(f"film: {place}")
    return made if alone is None else made.only(alone)


def generate_several(
    model: Model,
    wishes: Sequence[Mapping[str, Any]],
    on_step: Callable[[Step], None] | None = None,
    padded: int | None = None,
    own: str | None = None,
) -> list[Samples]:
    """What `generate` gives for each of several wishes, drawn as common batches, to float32 rounding.

    wishes: parameters by name, which differ in those of SEVERAL.differ alone. padded: fill up batches to so many rows, see
    `Model.draw`. own: the model's `storage.fingerprint`, where it is known already.
    """
    from reverie.model import Wanted
    from reverie.samples import picked
    from reverie.storage import fingerprint
    from reverie.tasks.parts.told import stated

    wanted = []
    for wish in wishes:
        n = 16 if wish.get("n") is None else wish["n"]
        told = stated(model, n, wish.get("label"), wish.get("condition"))
        wanted.append(Wanted(n, told, picked(wish.get("seed") or 0)))
    settings = settings_of(model, wishes[0])
    batch = padded or wishes[0].get("batch", 128)
    made = model.draw(wanted, settings, batch, padded=padded is not None, on_step=on_step)
    own = own or fingerprint(model)
    return [dataclasses.replace(one, model=own) for one in made]


def settings_of(model: Model, wish: Mapping[str, Any]) -> Settings:
    """How a wish's samples are walked: the model's own way, with what the wish says put in its place; checked."""
    names = {
        "steps": "steps",
        "sampler": "sampler",
        "time_grid": "grid",
        "guidance": "guidance",
        "temperature": "temperature",
    }
    changes = {grid: wish.get(name) for name, grid in {**names, "schedule": "schedule"}.items()}
    return model.defaults.given(**changes, interval=parse_interval(wish.get("interval")))


def parse_interval(text: str | None) -> tuple[float, float] | None:
    """Read LOW:HIGH, either side open."""
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return float(low or 0), float(high or math.inf)
    except ValueError as error:
        raise ReverieError(f"--interval {text}: write two noise levels, LOW:HIGH, e.g. 0.3:5.") from error


SEVERAL = Several(generate_several, 16, differ=("n", "label", "condition", "seed"), alone=("like", "given", "film"))
