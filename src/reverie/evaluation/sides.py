"""The two sides of a run's data: what it was trained on, and what was held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reverie import files, registry, storage
from reverie.data.dataset import Data
from reverie.data.split import split
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.training.settings import TrainSettings, parse_resolution, share_or_count


def both_sides(run: Path, model: Model, data: Any = None, way: str | None = None) -> tuple[Data, Data]:
    """Training and held-out items: of the run's own split, or with the data given in the held-out's place.

    Where the run's data has moved, the data given is split as the run's was. way: how a person gives data instead, for
    messages. Raises ReverieError where the run's data is unknown or has changed.
    """
    way = way or f"reverie evaluate {run} PATH"
    about = files.read_json(run / "run.json") if storage.is_run(run) else {}
    own, moved = None, _gone(about.get("data"))
    if moved and data is None:
        raise ReverieError(
            f"The data of {run} is no longer at {about['data']}. Put it back, or say where it is: {way}."
        )
    if about.get("data") is not None and not moved:
        settings = TrainSettings.of(about["settings"])
        own = as_data(about["data"], None, settings)
        cut = split(own, share_or_count(settings.held_out, "held-out"), seed=0)
        if cut.hash != model.card.get("split"):
            raise ReverieError(
                f"The data at {about['data']} is not what {run} was trained on (split {cut.hash}, was "
                f"{model.card.get('split')}). Put it back, or give data to compare with: {way}."
            )
    if data is not None:
        told = {k: v for k, v in about.get("settings", {}).items() if k in ("label_from", "condition")}
        given = as_data(data, None, TrainSettings.of(told))
        if own is not None:
            return own.subset(cut.train), given
        asked = share_or_count(about["settings"].get("held_out"), "held-out") if moved else None
        cut = split(given, asked, seed=0)
        return given.subset(cut.train), given.subset(cut.held_out)
    if own is None:
        raise ReverieError(f"{run} does not say where its data is; give it: {way}.")
    return own.subset(cut.train), own.subset(cut.held_out)


def _gone(place: Any) -> bool:
    """Whether a run's data is no longer where it was."""
    return isinstance(place, str) and not Path(place).exists() and place not in registry.registered("datasets")


def as_data(data: Any, labels: Any, settings: TrainSettings, conditions: Mapping[str, Any] | None = None) -> Data:
    """Whatever a person holds, as Data."""
    if not isinstance(data, str | Path):
        if settings.condition is not None:
            raise ReverieError(
                f"condition={settings.condition!r} reads files; beside arrays give conditions={{name: values}}."
            )
        if not isinstance(data, Data):
            return Data.from_arrays(data, None if labels is None else np.asarray(labels), conditions=conditions)
        if labels is not None or conditions:
            raise ReverieError(
                "Labels and conditions beside a Data belong into it: Data.from_arrays(items, labels, ...)."
            )
        return dataclasses.replace(data, labels=None, classes=[]) if settings.label_from == "none" else data
    if not str(data):
        raise ReverieError("The path of the data is empty; name a folder, a file or a packaged data set.")
    if conditions:
        raise ReverieError("conditions={...} go with arrays; for files say where they are: condition='number:age'.")
    from reverie.data.source import read

    broken = share_or_count(settings.max_broken, "max-broken")
    return read(
        data,
        label_from=settings.label_from,
        max_broken=broken or 0,
        resolution=parse_resolution(settings.resolution),
        condition=settings.condition,
    )
