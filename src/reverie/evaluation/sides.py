"""The two sides of a run's data: what it was trained on, and what was held out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from reverie import files, storage
from reverie.data.dataset import Data
from reverie.data.split import split
from reverie.errors import ReverieError
from reverie.model import Model
from reverie.training.settings import TrainSettings, parse_resolution, share_or_count


def both_sides(run: Path, model: Model, data: Any = None, way: str | None = None) -> tuple[Data, Data]:
    """Training and held-out items: of the run's own split, or with the data given in the held-out's place.

    way: how a person gives data instead, for messages. Raises ReverieError where the run's data is unknown or has changed.
    """
    way = way or f"reverie evaluate {run} PATH"
    about = files.read_json(run / "run.json") if storage.is_run(run) else {}
    own = None
    if about.get("data") is not None:
        settings = TrainSettings.of(about["settings"])
        own = as_data(about["data"], None, settings)
        cut = split(own, share_or_count(settings.held_out, "held-out"), seed=0)
        if cut.hash != model.card.get("split"):
            raise ReverieError(
                f"The data at {about['data']} is not what {run} was trained on (split {cut.hash}, was "
                f"{model.card.get('split')}). Put it back, or give data to compare with: {way}."
            )
    if data is not None:
        label_from = about.get("settings", {}).get("label_from", "folder")
        given = as_data(data, None, TrainSettings(label_from=label_from))
        if own is not None:
            return own.subset(cut.train), given
        cut = split(given, None, seed=0)
        return given.subset(cut.train), given.subset(cut.held_out)
    if own is None:
        raise ReverieError(f"{run} does not say where its data is; give it: {way}.")
    return own.subset(cut.train), own.subset(cut.held_out)


def as_data(data: Any, labels: Any, settings: TrainSettings) -> Data:
    """Whatever a person holds, as Data."""
    if isinstance(data, Data):
        return dataclasses.replace(data, labels=None, classes=[]) if settings.label_from == "none" else data
    if isinstance(data, str | Path):
        if not str(data):
            raise ReverieError("The path of the data is empty; name a folder, a file or a packaged data set.")
        from reverie.data.source import read

        broken = share_or_count(settings.max_broken, "max-broken")
        return read(
            data,
            label_from=settings.label_from,
            max_broken=broken or 0,
            resolution=parse_resolution(settings.resolution),
        )
    return Data.from_arrays(data, None if labels is None else np.asarray(labels))
