"""`reverie sample`: new items from noise."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Annotated

from reverie.errors import ReverieError

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable

    from reverie.core.samplers import Step
    from reverie.model import Model
    from reverie.samples import Samples

COMMAND = "sample"
EXAMPLES = (
    "reverie sample runs/digits -n 16 --steps 18 --sampler heun --seed 0",
    "reverie sample runs/digits -n 8 --label 3 --guidance 2 -o threes",
    "reverie sample runs/emoji -n 8 --condition style=noto,group=animals-nature --guidance 3",
)


def generate(
    model: Model,
    n: Annotated[int, "How many."] = 16,
    label: Annotated[
        str | None, "Class to draw, or several: 3 or 3,5,8 (cycled). Default: training proportions."
    ] = None,
    condition: Annotated[
        str | None,
        "What else to tell, comma-separated: style=noto,age=40,sketch=drawing.png; several are cycled: style=noto|blob. "
        "Default: as combined in training.",
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
    seed: Annotated[int, "Start of all randomness; -1 picks one and says which."] = 0,
    batch: Annotated[int, "How many are computed at once."] = 128,
    on_step: Callable[[Step], None] | None = None,
) -> Samples:
    """Draw new items; sample k of a seed is the same however many are drawn, and by however many processes (torchrun)."""
    from reverie.training.distributed import join

    return model.sample(
        n,
        label=None if label is None else _cycled(label, n, model.classes),
        conditions=parse_condition(condition, n),
        steps=steps,
        sampler=sampler,
        grid=time_grid,
        guidance=guidance,
        interval=parse_interval(interval),
        temperature=temperature,
        schedule=schedule,
        seed=secrets.randbelow(2**31) if seed == -1 else seed,
        batch=batch,
        on_step=on_step,
        spread=join().spread,
    )


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


def parse_condition(text: str | None, n: int) -> dict[str, list[str]]:
    """Read NAME=VALUE,NAME=VALUE|VALUE: a value for each of n samples, cycled where there are fewer; repeated names add up.

    A comma inside a value is kept where no NAME= follows it.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for part in (text or "").split(",") if text else []:
        before, equals, value = part.partition("=")
        if equals:
            name = before.strip()
            found.setdefault(name, []).extend(word.strip() for word in value.split("|"))
        elif name:
            found[name][-1] += f",{part}"
    if text and (not found or "" in found or any("" in values for values in found.values())):
        raise ReverieError(f"--condition {text}: write NAME=VALUE, and a comma between several: style=noto,age=40|60.")
    return {name: [values[k % len(values)] for k in range(n)] for name, values in found.items()}


def _cycled(text: str, n: int, classes: list[str]) -> list[str]:
    """One label for each sample; a comma separates labels unless the whole text is one."""
    words = [text] if text in classes else [w.strip() for w in text.split(",")]
    return [words[k % len(words)] for k in range(n)]
