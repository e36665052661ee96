"""What a model knows of each of its conditions, fitted on the training part: classes, a scale, or a codec."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from reverie import registry
from reverie.codecs import Codec
from reverie.codecs.image import ImageCodec
from reverie.codecs.series_times import calendar_words, iso, of_iso
from reverie.data.columns import Column, Labels, Numbers, Pictures, Starts
from reverie.errors import ReverieError, nearest
from reverie.example import Condition

NEAR = 0.25  # standard deviations: a number that is told goes with those of about this distance
_FAR, _OTHER = 1e3, 1e5  # apart as a number may be, and as another class is


class Known(ABC):
    """One condition of a model."""

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, column: Any, name: str, size: tuple[int, int]) -> Known:
        """What there is to know of the training items' column; size: (height, width) of the items."""

    @classmethod
    @abstractmethod
    def from_json(cls, about: dict[str, Any]) -> Known:
        """Read what `to_json` wrote; ValueError, TypeError or KeyError for anything else."""

    @property
    @abstractmethod
    def declared(self) -> dict[str, Any]:
        """How a network declares it, see `reverie.networks.conditions`."""

    @abstractmethod
    def encode(self, column: Any) -> Condition:
        """A column of N items as the network is told of it: value (N, *), present (N,)."""

    @abstractmethod
    def line(self) -> str:
        """What it is, for a person."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain JSON, its kind among it."""


class KnownVector(Known):
    """One number for each sample: a class's, or a number in its own units; NaN tells nothing."""

    @abstractmethod
    def number(self, value: Any, name: str) -> float:
        """Read what a person writes; ReverieError for what this condition cannot be."""

    @abstractmethod
    def column(self, vector: Tensor) -> Column:
        """Numbers (n,) float64 as a column of n items."""

    @abstractmethod
    def apart(self, rows: Tensor, value: Tensor) -> Tensor:
        """How far values that items had, (R,), are from one that is told, (): 0 for the same, the same for all if it is NaN."""

    @abstractmethod
    def beyond(self, vector: Tensor, name: str) -> list[str]:
        """What to say of values (n,) that training did not see."""


@dataclass(frozen=True)
class KnownLabel(KnownVector):
    """Names of the classes, in the order of their numbers, and the share of each in the training part."""

    kind: ClassVar[str] = "label"

    classes: list[str]
    frequencies: list[float] = field(default_factory=list)

    @classmethod
    def fit(cls, column: Labels, name: str, size: tuple[int, int]) -> KnownLabel:
        """Count the classes."""
        counts = np.bincount(column.values, minlength=len(column.classes))
        return cls(list(column.classes), [float(c / counts.sum()) for c in counts])

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> KnownLabel:
        """Read what `to_json` wrote."""
        made = cls([str(c) for c in about["classes"]], [float(f) for f in about["frequencies"]])
        if (
            not made.classes
            or len(made.frequencies) != len(made.classes)
            or not (min(made.frequencies) >= 0 and 0 < sum(made.frequencies) < math.inf)
        ):
            raise ValueError(f"{len(made.frequencies)} frequencies, of sum above 0, for {len(made.classes)} classes")
        return made

    @property
    def declared(self) -> dict[str, Any]:
        """How a network declares it."""
        return {"kind": "label", "classes": len(self.classes)}

    def encode(self, column: Labels) -> Condition:
        """The classes' numbers, (N,) int64; absent where none is told."""
        values = torch.from_numpy(column.values)
        return Condition.of(values.clamp(min=0), values >= 0)

    def number(self, word: Any, name: str) -> float:
        """The number of a class, by name, or by number where it is an int; ReverieError names the nearest."""
        if isinstance(word, str) and word in self.classes:
            return self.classes.index(word)
        if isinstance(word, int | np.integer) and 0 <= word < len(self.classes):
            return int(word)
        raise ReverieError(
            f"There is no {name} '{word}' in this model. The nearest of its {len(self.classes)} {_plural(name)}: "
            f"{nearest(str(word), self.classes)}."
        )

    def column(self, vector: Tensor) -> Labels:
        """Class numbers as a column."""
        return Labels(vector.nan_to_num(-1).long().numpy(), self.classes)

    def apart(self, rows: Tensor, value: Tensor) -> Tensor:
        """Another class is farther than any number."""
        return torch.where(rows == value, 0.0, _OTHER)

    def beyond(self, vector: Tensor, name: str) -> list[str]:
        """Nothing: an unknown class is an error."""
        return []

    def line(self) -> str:
        """What it is, for a person."""
        shown = ", ".join(f"{c} {f:.0%}" for c, f in list(zip(self.classes, self.frequencies, strict=True))[:8])
        return f"{len(self.classes):,} classes ({shown}{', ...' if len(self.classes) > 8 else ''})"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": self.kind, "classes": self.classes, "frequencies": self.frequencies}


@dataclass(frozen=True)
class KnownNumber(KnownVector):
    """A number in its own units; the network is told (value - mean) / sd. low, high: the range seen in training."""

    kind: ClassVar[str] = "number"

    mean: float
    sd: float
    low: float
    high: float

    @classmethod
    def fit(cls, column: Numbers, name: str, size: tuple[int, int]) -> KnownNumber:
        """Mean and standard deviation of those known; ReverieError where they are all one."""
        column.check(name)  # all items may differ, and those of the training part not
        known = column.values[~np.isnan(column.values)]
        return cls(float(known.mean()), float(known.std()), float(known.min()), float(known.max()))

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> KnownNumber:
        """Read what `to_json` wrote."""
        made = cls(*(float(about[k]) for k in ("mean", "sd", "low", "high")))
        if not (math.isfinite(made.mean) and 0 < made.sd < math.inf and -math.inf < made.low <= made.high < math.inf):
            raise ValueError(f"a number of mean {made.mean}, sd {made.sd}, from {made.low} to {made.high}")
        return made

    @property
    def declared(self) -> dict[str, Any]:
        """How a network declares it."""
        return {"kind": "number", "size": 1}

    def encode(self, column: Numbers) -> Condition:
        """Standardised, (N,) float32; absent where none is known."""
        values = torch.from_numpy((column.values - self.mean) / self.sd).float()
        return Condition.of(values.nan_to_num(0.0), ~torch.isnan(values))

    def number(self, value: Any, name: str) -> float:
        """A finite number; ReverieError for anything else."""
        try:
            found = float(value)
        except (TypeError, ValueError):
            found = math.nan
        if not math.isfinite(found):
            raise ReverieError(f"{name} = {value}: give a finite number, such as {self.mean:.4g}.")
        return found

    def column(self, vector: Tensor) -> Numbers:
        """Numbers as a column."""
        return Numbers(vector.numpy())

    def apart(self, rows: Tensor, value: Tensor) -> Tensor:
        """Squared distance, in units of NEAR standard deviations; items without a number are far."""
        return ((rows - value) / (NEAR * self.sd)).square().nan_to_num(_FAR).clamp(max=_FAR)

    def beyond(self, vector: Tensor, name: str) -> list[str]:
        """Each value out of the range seen, with the nearest in it."""
        notes = []
        for value in sorted(set(vector[(vector < self.low) | (vector > self.high)].tolist())):
            seen = f"training saw {self.low:g} to {self.high:g}"
            near = self.low if value < self.low else self.high
            notes.append(f"{name} = {value:g} is beyond what the model knows: {seen}, {near:g} at the nearest")
        return notes

    def line(self) -> str:
        """What it is, for a person."""
        return f"a number from {self.low:g} to {self.high:g}, mean {self.mean:.4g}, sd {self.sd:.3g}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": self.kind, "mean": self.mean, "sd": self.sd, "low": self.low, "high": self.high}


_DAY = 86_400.0
_PERIODS = {"day": _DAY, "week": 7 * _DAY, "year": 365.2425 * _DAY}
_WEEKDAY = 4 * _DAY  # 1970-01-01 was a Thursday: weeks are counted from a Monday


@dataclass(frozen=True)
class KnownStart(KnownVector):
    """When a series begins: the network sees where each of its steps stands in the day, the week and the year.

    cos and sin of 2 pi (time / period), for every period of at least two steps that training saw a twentieth of: 2 K planes of
    the length of the series. step: seconds from a step to the next. low, high: first and last start of training, in seconds since
    1970. calendar: what these count, see `Starts`.
    """

    kind: ClassVar[str] = "start"

    step: float
    steps: int
    low: float
    high: float
    calendar: str = ""

    @classmethod
    def fit(cls, column: Starts, name: str, size: tuple[int, int]) -> KnownStart:
        """The range of the starts."""
        known = column.values[~np.isnan(column.values)]
        return cls(column.step, column.steps, float(known.min()), float(known.max()), column.calendar)

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> KnownStart:
        """Read what `to_json` wrote."""
        limits = float(about["low"]), float(about["high"])
        made = cls(float(about["step"]), int(about["steps"]), *limits, str(about.get("calendar", "")))
        if not (0 < made.step < math.inf and made.steps > 0 and -math.inf < made.low <= made.high < math.inf):
            raise ValueError(f"starts from {made.low} to {made.high}, a step every {made.step} s")
        return made

    @property
    def periods(self) -> dict[str, float]:
        """The periods that are told, by name, in seconds."""
        seen = self.high - self.low + self.step * self.steps
        return {k: p for k, p in _PERIODS.items() if 2 * self.step <= p <= 20 * seen}

    @property
    def declared(self) -> dict[str, Any]:
        """How a network declares it."""
        return {"kind": "image", "channels": max(2 * len(self.periods), 1)}

    def encode(self, column: Starts) -> Condition:
        """(N, 2 K, L) float32; absent where no start is known."""
        time = np.nan_to_num(column.values)[:, None] + self.step * np.arange(self.steps) - _WEEKDAY
        turns = [2 * np.pi * np.mod(time / p, 1) for p in self.periods.values()]
        waves = [f(turn) for turn in turns for f in (np.cos, np.sin)] or [np.zeros_like(time)]
        told = torch.from_numpy(~np.isnan(column.values))
        return Condition.of(torch.from_numpy(np.stack(waves, 1).astype(np.float32)), told)

    def number(self, value: Any, name: str) -> float:
        """A date as ISO 8601 has it, in seconds since 1970, as the calendar counts them."""
        try:
            return of_iso(str(value), self.calendar)
        except ValueError as error:
            such = "give a date, such as 2024-03-31 or 2024-03-31T06:30"
            if self.calendar:
                such = (
                    f"give a date that is {calendar_words(self.calendar)}, such as {iso(self.high, self.calendar)[:10]}"
                )
            raise ReverieError(f"{name} = {value}: {such}.") from error

    def column(self, vector: Tensor) -> Starts:
        """Seconds as a column."""
        return Starts(vector.numpy(), self.step, self.steps, self.calendar)

    def apart(self, rows: Tensor, value: Tensor) -> Tensor:
        """Squared distance in windows; items without a start are far."""
        return ((rows - value) / (self.step * self.steps)).square().nan_to_num(_FAR).clamp(max=_FAR)

    def beyond(self, vector: Tensor, name: str) -> list[str]:
        """Nothing: what is told of a time is where in day, week and year it stands."""
        return []

    def line(self) -> str:
        """What it is, for a person."""
        half, unit = (15 * _DAY, "M") if self.step > 20 * _DAY else (_DAY / 2, "D") if self.step >= _DAY else (0.5, "s")
        first, last = (
            str(np.datetime64(int(v + half), "s").astype(f"datetime64[{unit}]")) for v in (self.low, self.high)
        )
        return f"when a series begins, {first} to {last}; told as the place in {', '.join(self.periods) or 'nothing'}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": self.kind, "step": self.step, "steps": self.steps, "low": self.low, "high": self.high,
                "calendar": self.calendar}  # fmt: skip


@dataclass(frozen=True)
class KnownPicture(Known):
    """A picture, encoded by a codec of its own, in its own size and channels."""

    kind: ClassVar[str] = "image"

    codec: ImageCodec

    @classmethod
    def fit(cls, column: Pictures, name: str, size: tuple[int, int]) -> KnownPicture:
        """The codec of the pictures, in the size that `picture_size` chooses."""
        found = {(item.shape[0], item.shape[1]) for item in column.items}
        return cls(ImageCodec.fit(column.items, picture_size(found, size), column.colour))

    @classmethod
    def from_json(cls, about: dict[str, Any]) -> KnownPicture:
        """Read what `to_json` wrote."""
        made: Codec = registry.from_config("codecs", about["codec"])
        if not isinstance(made, ImageCodec) or made.levels is not None:
            raise ValueError("an image condition needs a codec of pictures, as numbers")
        return cls(made)

    @property
    def declared(self) -> dict[str, Any]:
        """How a network declares it."""
        return {"kind": "image", "channels": self.codec.channels}

    def encode(self, column: Pictures) -> Condition:
        """Pictures in [-1, 1], (N, C, H, W) float32."""
        return Condition.of(torch.from_numpy(np.stack([self.codec.encode(item) for item in column.items])))

    def line(self) -> str:
        """What it is, for a person."""
        rule = f"; {self.codec.rule}" if self.codec.rule else ""
        return f"a picture, {self.codec.height}x{self.codec.width} {self.codec.colour}{rule}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": self.kind, "codec": registry.config(self.codec)}


_KINDS: dict[str, type[Known]] = {cls.kind: cls for cls in (KnownLabel, KnownNumber, KnownStart, KnownPicture)}


def fit(column: Column, name: str, size: tuple[int, int]) -> Known:
    """What a model will know of a condition, from the training items' column. size: (height, width) of the items."""
    return _KINDS[column.kind].fit(column, name, size)


def from_json(about: dict[str, Any]) -> Known:
    """Read what `Known.to_json` wrote; ValueError, TypeError or KeyError for anything else."""
    return _KINDS[about["kind"]].from_json(about)


def picture_size(found: set[tuple[int, int]], item: tuple[int, int]) -> tuple[int, int]:
    """The size for the pictures of a condition, from the sizes found and that of the items, all (height, width).

    Their own, where they have one, it is no larger than the items' and of the same ratio: the network enlarges them.
    Else the items', to which they are brought as items are, so that what is cut off is cut off both.
    """
    (height, width), *others = found
    smaller = not others and height <= item[0] and height * item[1] == width * item[0]
    return (height, width) if smaller else item


def _plural(name: str) -> str:
    return f"{name}s" if name == "label" else f"classes of '{name}'"
