"""`reverie detect`: which items are unlike what a model was trained on, at a stated rate of false alarms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from reverie.errors import ReverieError
from reverie.tasks.parts import options

if TYPE_CHECKING:  # the command line reads this signature without importing PyTorch
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from reverie.conditions import Asked
    from reverie.core.samplers import Step
    from reverie.example import State
    from reverie.model import Model
    from reverie.tasks.parts.findings import Findings
    from reverie.tasks.parts.inputs import Inputs

COMMAND = "detect"
EXAMPLES = (
    "reverie detect runs/digits new/ --fpr 0.05 -o found",
    "reverie detect runs/digits labelled/ --normal more-normal-items/",
    "reverie detect runs/faces new/ --condition-from number:age",
)


def detect(
    model: Model,
    items: Annotated[Any, "What to look at; with folders normal/ and anomalous/ the scores are judged by them."],
    fpr: Annotated[float, "False-positive rate: the share of normal items that may be flagged."] = 0.01,
    normal: Annotated[Any, "Normal items that it was not trained on. Default: what the run held out."] = None,
    draws: Annotated[
        int | None,
        "Noises that each item meets at each of three levels, told each label in turn. Default: 2; of tables 8.",
    ] = None,
    label_from: Annotated[
        str, "folder, none, or csv:COLUMN of a table: where IN says what is normal (or 0) and what anomalous (or 1)."
    ] = "folder",
    condition: Annotated[
        str | None, "What to tell of every item, normal ones too: style=noto,label=3.", options.Names.TOLD
    ] = None,
    condition_from: options.ConditionFrom = None,
    seed: Annotated[int, "Start of the noise, and of how normal items are halved."] = 0,
    batch: options.Batch = 128,
    train: Any = None,
    run: Path | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Findings:
    """Score items by how badly the model takes noise off them, and flag what at most a share `fpr` of normal items reach.

    A model that knows labels (up to 64) is told each of them in turn, and the one that explains the item best counts. Its other
    conditions are told as the items, and the normal ones, bring them.
    The threshold is the conformal one of one half of the normal items; the other half says what rate it has. k-nearest
    neighbours among the training items (k = 5) are always shown beside it. train: in Python, the items to be near to; without
    them the first half of the normal ones. Raises ReverieError for items that do not fit the model, and for a rate that so few
    normal items cannot promise.
    """
    import numpy as np

    from reverie.samples import check_seed
    from reverie.tasks.parts.anomaly import denoising_errors, in_turn
    from reverie.tasks.parts.findings import Findings
    from reverie.tasks.parts.needs import scores
    from reverie.tasks.parts.provenance import origin
    from reverie.tasks.parts.told import check_brought, read_known, stated, wish_of

    joint = model.codec.joint
    if not joint:
        scores(model, COMMAND)
    draws = (8 if joint else 2) if draws is None else draws
    if draws < 1:
        raise ReverieError(f"--draws {draws}: give a whole number from 1.")
    check_seed(seed)
    said = stated(model, 1, None, condition)
    given, names = read_known(model, items, said, label_from, condition_from)
    usual, known = _normal(model, normal, train, run, said, condition_from)
    check_brought(model, usual, names)
    order = np.random.default_rng(seed).permutation(len(usual))
    halves = usual.some(order[: len(usual) // 2]), usual.some(order[len(usual) // 2 :])
    _can_promise(fpr, len(halves[0]))
    sets = (given, *halves)
    told = [wish_of(model, one, names, condition=condition) for one in sets]
    if joint:
        return _of_fields(model, sets, told, known, fpr, draws, seed, batch, on_step, condition, condition_from)
    found = [
        denoising_errors(model, one.x, draws, seed, batch, on_step, asked)
        for one, asked in zip(sets, told, strict=True)
    ]
    near = _distances([given.x, halves[1].x], halves[0].x if known is None else known)
    return Findings(
        given, model.codec, fpr, errors=found[0], calibration=found[1], check=found[2], near=near[0], near_check=near[1],
        settings={
            **origin(COMMAND, model), "seed": seed, "draws": draws, "fpr": fpr, "told": list(told[0].values),
            "condition": condition, "condition_from": condition_from,
        },
        classes=in_turn(model, told[0]), notes=told[0].lines() if told[0].values else [],
    )  # fmt: skip


def _of_fields(
    model: Model, sets: tuple[Inputs, Inputs, Inputs], told: list[Asked], known: State | None, fpr: float, draws: int, seed: int,
    batch: int, on_step: Callable[[Step], None] | None, condition: str | None, condition_from: str | None,
) -> Findings:  # fmt: skip
    """The same of data of several fields: their own divergences, and an isolation forest beside the nearest neighbours."""
    from sklearn.ensemble import IsolationForest

    from reverie.example import to_arrays
    from reverie.tasks.parts.anomaly import field_errors
    from reverie.tasks.parts.findings import TableFindings, judged
    from reverie.tasks.parts.provenance import origin

    given, calibration, check = sets
    if given.labels is not None:
        given.told["label"] = judged(given.labels)
    raw = [field_errors(model, one.x, draws, seed, batch, on_step, what) for one, what in zip(sets, told, strict=True)]
    errors = [one.beside(raw[1]) for one in raw]
    rows = [model.codec.numbers(to_arrays(x)) for x in (given.x, check.x, calibration.x if known is None else known)]
    near = _near(rows[:2], rows[2])
    forest = IsolationForest(random_state=0).fit(rows[2])
    return TableFindings(
        given, model.codec, fpr, errors=errors[0], calibration=errors[1], check=errors[2], near=near[0], near_check=near[1],
        settings={
            **origin(COMMAND, model), "seed": seed, "draws": draws, "fpr": fpr, "told": list(told[0].values),
            "condition": condition, "condition_from": condition_from,
        },
        classes=[], notes=[*given.notes, *(told[0].lines() if told[0].values else [])],
        forest=-forest.score_samples(rows[0]), forest_check=-forest.score_samples(rows[1]),
    )  # fmt: skip


def _normal(
    model: Model, normal: Any, train: Any, run: Path | None, said: dict[str, list[str]], condition_from: str | None
) -> tuple[Inputs, State | None]:
    """Normal items that the model has not seen, with what is known of them, and those that it has, encoded."""
    from reverie.evaluation.sides import both_sides
    from reverie.example import of_arrays
    from reverie.tasks.parts.inputs import Inputs, read_inputs
    from reverie.tasks.parts.told import read_known

    known: State | None = None if train is None else read_inputs(model.codec, train).x
    if normal is not None:
        return read_known(model, normal, said, condition_from=condition_from)[0], known
    if run is None:
        raise ReverieError("Normal items are needed to calibrate on: detect(model, items, normal=held_out_items).")
    seen, held = both_sides(run, model, way="--normal PATH, with normal items that it was not trained on")
    return Inputs.of(held, model), of_arrays(model.encode(seen.items))


def _can_promise(fpr: float, n: int) -> None:
    """Refuse a rate below what n calibration items can tell."""
    if not 0 < fpr < 1:
        raise ReverieError(f"--fpr {fpr:g}: give a rate above 0 and below 1, e.g. 0.05.")
    if fpr < 1 / (n + 1):
        need = math.ceil(round(1 / fpr, 6)) - 1
        least = math.ceil(1000 / (n + 1)) / 1000  # rounded up: what is asked for must do
        ask = f"Ask for {least:g} or more, or give" if n else "So few cannot calibrate any rate: give"
        raise ReverieError(
            f"--fpr {fpr:g} takes {need:,} normal items to calibrate on, and as many again to check it; half of those held "
            f"out are {n:,}. {ask} more with --normal."
        )


def _distances(sets: list[Tensor], known: Tensor) -> list[np.ndarray]:
    """The mean distance of each item to its 5 nearest known ones, in units of x."""
    return _near([x.flatten(1).double().numpy() for x in sets], known.flatten(1).double().numpy())


def _near(sets: list[np.ndarray], known: np.ndarray) -> list[np.ndarray]:
    """The mean distance of rows (N, D) to their 5 nearest known ones."""
    from reverie.metrics.distances import nearest

    return [nearest(x, known, min(5, len(known)))[0].mean(1) for x in sets]
