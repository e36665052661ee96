"""A run's state on disk: each checkpoint is a folder renamed into place whole, and is itself a model that loads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from torch import Tensor

from reverie import files, storage
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.training.learner import Learner
from reverie.training.plan import Plan

_TENSORS = "training.safetensors"
_STATE = "state.json"
_COUNTS = ("skipped", "bad", "returns", "good", "accumulate")

Lend = Callable[[], AbstractContextManager[None]]


def save(
    run: Path,
    model: Model,
    learner: Learner,
    plan: Plan,
    lend: Lend,
    keep: int,
    more: Callable[[Path], object],
    state: dict[str, Any],
) -> Path:
    """Write run/checkpoints/STEP and drop all but the last few, and those that they would go back to.

    lend: gives the model its averaged weights for a while. more: writes further weights, and returns what is said of them; state:
    what else is to be kept, both as JSON.
    """

    def fill(folder: Path) -> None:
        storage.save_tensors(learner.tensors(), folder / _TENSORS)
        with lend():
            storage.write_into(model, folder)
        counts = {name: getattr(learner, name) for name in _COUNTS}
        about = {"step": learner.step, "seen": learner.seen, **counts, "plan": str(plan), "kept": more(folder), **state}
        files.write_json(folder / _STATE, about)

    folder = place(run, learner.step)
    if not folder.exists():
        files.write_folder(folder, fill)
    there = sorted((run / "checkpoints").glob("[0-9]*"))
    wanted = {*there[-keep:], *(place(run, files.read_json(c / _STATE).get("good", 0)) for c in there[-keep:])}
    for old in set(there) - wanted:
        shutil.rmtree(old)
    return folder


def restore(folder: Path, learner: Learner) -> tuple[Plan, dict[str, Any]]:
    """Put a learner back where a checkpoint left it; returns the plan and what else was kept."""
    state = files.read_json(folder / _STATE)
    try:
        learner.restore(*read(folder))
        learner.step, learner.seen = state["step"], state["seen"]
        for name in _COUNTS:
            setattr(learner, name, state.get(name, getattr(learner, name)))
        return Plan.parse(state["plan"]), state
    except (KeyError, RuntimeError) as error:
        raise ReverieError(
            f"The checkpoint {folder} does not fit this run ({error}). Remove it to go on from the one before, "
            "or start again with --overwrite."
        ) from error


def place(run: Path, step: int) -> Path:
    """The folder of a step's checkpoint."""
    return run / "checkpoints" / f"{step:08d}"


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What `Learner.restore` takes: raw weights with the optimiser's moments, and averaged weights."""
    average = storage.load_tensors(folder / storage.WEIGHTS)
    named = {k.removeprefix("network."): v for k, v in average.items() if k.startswith("network.")}
    return storage.load_tensors(folder / _TENSORS), named
