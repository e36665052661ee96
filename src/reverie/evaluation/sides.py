"""The two sides of a run's data: what it was trained on, and what was held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reverie import registry, storage
from reverie.codecs.pixels import Header
from reverie.data.dataset import Data, describe
from reverie.data.source import Progress, read
from reverie.data.split import digest, split
from reverie.errors import ReverieError, quoted
from reverie.model import Model
from reverie.training import folder
from reverie.training.settings import TrainSettings, parse_resolution, share_or_count


def both_sides(run: Path, model: Model, data: Any = None, way: str | None = None) -> tuple[Data, Data]:
    """Training and held-out items: of the run's own split, or with the data given in the held-out's place.

    Where the run's data has moved, or was held in Python, the data given is split as the run's was. What a person should know
    of given data (what was skipped in reading, how much of it was trained on) is in the notes of the held-out side.
    way: how a person gives data instead, for messages. Raises ReverieError where the run's data is unknown or has changed,
    and where the model was trained on all that is given.
    """
    way = way or f"reverie evaluate {quoted(run)} PATH"
    alone = TrainSettings.of(model.record.get("settings", {}))
    place, settings = folder.begun_with(run) if storage.is_run(run) else (None, alone)
    moved = _gone(place)
    if moved and data is None:
        raise ReverieError(f"The data of {run} is no longer at {place}. Put it back, or say where it is: {way}.")
    train, held = None, None
    if place is not None and not moved:
        own = as_data(place, None, settings)
        cut = split(own, share_or_count(settings.held_out, "held-out"), seed=0)
        if cut.hash != model.card.get("split"):
            raise ReverieError(
                f"The data at {place} is not what {run} was trained on (split {cut.hash}, was "
                f"{model.card.get('split')}). Put it back, or give data to compare with: {way}."
            )
        train, held = own.subset(cut.train), dataclasses.replace(own.subset(cut.held_out), notes=[])
    if data is not None:
        given = _given(data, model, settings)
        return (train, _seen(run, model, train, given)) if train else _split_as(run, model, settings, given)
    if train is None or held is None:
        raise ReverieError(f"{run} does not say where its data is; give it: {way}.")
    return train, held


def _given(data: Any, model: Model, settings: TrainSettings) -> Data:
    """What a person gives to compare with: read as the run's data was, straight to the model's own size."""
    own = model.codec.found_as
    if model.codec.together:
        return as_data(data, None, dataclasses.replace(settings, kind=model.codec.kind))
    height, width = model.codec.field.shape[-2:]
    given = as_data(data, None, dataclasses.replace(settings, resolution=f"{height}x{width}"))
    broken = [f"{name}: {reason}" for name, reason in given.broken]
    said = [f"skipped {len(broken):,} that cannot be read ({'; '.join(broken[:5])})"] if broken else []
    said += given.notes
    found = describe(Header.of(item, given.colour) for item in given.items)
    said += [f"{n:,} items of {what} are made {own}, as the model's are" for what, n in found.items() if what != own]
    return dataclasses.replace(given, notes=[f"{given.source}: {note}" for note in said])


def _seen(run: Path, model: Model, train: Data, given: Data) -> Data:
    """Given data with a note of how much of it the model was trained on, to the last bit as the model sees it; all is refused."""
    try:
        known, found = (map(digest, model.codec.numbers(model.encode(d.items))) for d in (train, given))
        seen = set(known)
        count = sum(one in seen for one in found)
    except ReverieError as error:
        raise ReverieError(
            f"{given.source} does not fit {run}, whose items are {model.codec.found_as}: {error}"
        ) from error
    if not count:
        return given
    instead = f"reverie evaluate {quoted(run)}"
    if count == len(given):
        raise ReverieError(
            f"{run} was trained on every one of the {count:,} items of {given.source}, so nothing measured on them would say how "
            f"good it is. Give items that it has not seen, or compare with those that it held out: {instead}."
        )
    said = (
        f"CAUTION: {run} was trained on {count:,} of the {len(given):,} items of {given.source}, so figures on them flatter it; "
        f"`{instead}` compares with those that it held out."
    )
    return dataclasses.replace(given, notes=[said, *given.notes])


def _split_as(run: Path, model: Model, settings: TrainSettings, given: Data) -> tuple[Data, Data]:
    """Given data in the place of a run's own, split as that was; where it is other data, that is noted."""
    cut = split(given, share_or_count(settings.held_out, "held-out"), seed=0)
    train, held = given.subset(cut.train), given.subset(cut.held_out)
    if cut.hash == model.card.get("split"):
        return train, held
    said = (
        f"CAUTION: {given.source} is not the data that {run} was trained on (split {cut.hash}, was {model.card.get('split')}), "
        "and that is not at hand: whether some of these items were trained on is not known. A part of them stands in for it."
    )
    return train, dataclasses.replace(held, notes=[said, *held.notes])


def _gone(place: str | None) -> bool:
    """Whether a run's data is no longer where it was."""
    return place is not None and not Path(place).exists() and place not in registry.registered("datasets")


def as_data(
    data: Any,
    labels: Any,
    settings: TrainSettings,
    conditions: Mapping[str, Any] | None = None,
    *,
    option: str | None = None,
    on_progress: Progress | None = None,
) -> Data:
    """Whatever a person holds, as Data. option, on_progress: as `source.read` takes them."""
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
    if labels is not None:
        raise ReverieError(
            "labels=... go with arrays; for files say where they are: label_from='csv:COLUMN' or 'folder'."
        )
    if conditions:
        raise ReverieError("conditions={...} go with arrays; for files say where they are: condition='number:age'.")
    broken = share_or_count(settings.max_broken, "max-broken")
    return read(
        data,
        label_from=settings.label_from,
        max_broken=broken or 0,
        resolution=parse_resolution(settings.resolution),
        condition=settings.condition,
        kind=settings.kind,
        window=settings.window,
        option=option,
        on_progress=on_progress,
    )
