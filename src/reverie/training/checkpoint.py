"""A run's state on disk: each checkpoint is a folder renamed into place whole, and is itself a model that loads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from reverie import files, storage
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.training.learner import Learner
from reverie.training.plan import Plan

KEEP = 2
_TENSORS = "training.safetensors"
_STATE = "state.json"


def save(run: Path, model: Model, raw: dict[str, Tensor], learner: Learner, plan: Plan, state: dict[str, Any]) -> Path:
    """Write run/checkpoints/STEP and drop all but the last few.

    model: holds the averaged weights now. raw: what `learner.tensors()` gave before it did.
    """

    def fill(folder: Path) -> None:
        storage.write_into(model, folder)
        storage.save_tensors(raw, folder / _TENSORS)
        about = {"step": learner.step, "seen": learner.seen, "skipped": learner.skipped, "plan": str(plan), **state}
        files.write_json(folder / _STATE, about)

    place = run / "checkpoints" / f"{learner.step:08d}"
    if not place.exists():
        files.write_folder(place, fill)
    for old in sorted((run / "checkpoints").glob("[0-9]*"))[:-KEEP]:
        shutil.rmtree(old)
    return place


def restore(folder: Path, learner: Learner) -> tuple[Plan, dict[str, Any]]:
    """Put a learner back where a checkpoint left it; returns the plan and what else was kept."""
    state = files.read_json(folder / _STATE)
    average = storage.load_tensors(folder / storage.WEIGHTS)
    try:
        learner.restore(
            storage.load_tensors(folder / _TENSORS),
            {k.removeprefix("network."): v for k, v in average.items() if k.startswith("network.")},
        )
        learner.step, learner.seen, learner.skipped = state["step"], state["seen"], state["skipped"]
        return Plan.parse(state["plan"]), state
    except (KeyError, RuntimeError) as error:
        raise ReverieError(
            f"The checkpoint {folder} does not fit this run ({error}). Remove it to go on from the one before, "
            "or start again with --overwrite."
        ) from error
