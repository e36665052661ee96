"""What sampling is asked for, and what comes out of it."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import reverie
from reverie import registry
from reverie.codecs import Codec
from reverie.core.grids import Grid
from reverie.core.samplers import Sampler
from reverie.core.schedules import Schedule
from reverie.errors import ReverieError
from reverie.example import each
from reverie.files import sha256, write_text

if TYPE_CHECKING:
    from PIL.Image import Image


STRONGEST = 1_000_000  # scale of guidance: far beyond any use, and far from where float32 ends


@dataclass(frozen=True)
class Settings:
    """How to walk from noise to data; JSON-plain, so that it travels with every sample.

    sampler, grid: as a person types them, `heun:churn=40`. schedule: another than the model was trained under, or None.
    guidance: scale w, 1 = none; interval: where it acts, in
    n = sigma / alpha. temperature: scale of all noise drawn.
    """

    sampler: str = "heun"
    grid: str = "karras"
    steps: int = 18
    guidance: float = 1.0
    interval: tuple[float, float] = (0.0, math.inf)
    temperature: float = 1.0
    schedule: str | None = None

    def given(
        self,
        *,
        steps: int | None = None,
        sampler: Sampler | str | None = None,
        grid: Grid | str | None = None,
        guidance: float | None = None,
        interval: tuple[float, float] | None = None,
        temperature: float | None = None,
        schedule: Schedule | str | None = None,
    ) -> Settings:
        """These settings with what is not None put in their place; checked. Another sampler brings its usual steps and grid."""
        name = spelled("samplers", sampler)
        usual = None
        if name is not None and (cls := sampler_class(name)) is not sampler_class(self.sampler):
            usual, grid = cls.usual_steps, cls.usual_grid if grid is None else grid
        fixed = None if grid is None else registry.build("grids", str(spelled("grids", grid))).fixed_steps
        if fixed is not None and steps not in (None, fixed):
            raise ReverieError(
                f"The grid {spelled('grids', grid)} has {fixed} steps, not {steps}; leave the number out."
            )
        changes: dict[str, Any] = {
            "steps": next((s for s in (fixed, steps, usual) if s is not None), None),
            "sampler": name,
            "grid": spelled("grids", grid),
            "schedule": spelled("schedules", schedule),
            "guidance": guidance,
            "interval": interval,
            "temperature": temperature,
        }
        new = dataclasses.replace(self, **{k: v for k, v in changes.items() if v is not None})
        new.check()
        return new

    def check(self) -> None:
        """Refuse what cannot be; the message says which setting and what it may be."""
        if self.steps < 1:
            raise ReverieError(f"steps = {self.steps}; give a whole number from 1.")
        if not 0 <= self.guidance <= STRONGEST:
            raise ReverieError(
                f"guidance = {self.guidance:g}; give a number from 0 (1 = no guidance) to {STRONGEST:,}."
            )
        if not 0 <= self.temperature <= 10:
            raise ReverieError(
                f"temperature = {self.temperature:g}; give a number from 0 to 10 (1 = the model itself)."
            )
        if not 0 <= self.interval[0] < self.interval[1]:
            raise ReverieError(f"interval = {self.interval}; give two noise levels, low < high, from 0.")
        self.build_sampler()
        self.build_grid()
        if self.schedule is not None:
            registry.build("schedules", self.schedule)

    def build_sampler(self) -> Sampler:
        """The sampler as an object."""
        return registry.build("samplers", self.sampler)

    def build_grid(self) -> Grid:
        """The time grid as an object."""
        return registry.build("grids", self.grid)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; an open end of the interval is written as null."""
        values = {k: v for k, v in dataclasses.asdict(self).items() if k != "schedule" or v is not None}
        values["interval"] = [None if math.isinf(v) else v for v in self.interval]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Settings:
        """Read what `to_json` wrote."""
        low, high = values.get("interval", (0.0, None))
        return cls(**{**values, "interval": (float(low), math.inf if high is None else float(high))})


def spelled(room: str, choice: Any) -> str | None:
    """A choice as text: text as it is, an object as `name:option=value,...`."""
    if choice is None or isinstance(choice, str):
        return choice
    values = registry.config(choice)
    changed = [
        f"{o.name}={'/'.join(map(str, v)) if isinstance(v := values[o.name], tuple) else v}"
        for o in registry.options(type(choice)).values()
        if values[o.name] != o.default
    ]
    registry.find(room, values["name"])
    return values["name"] + (":" + ",".join(changed) if changed else "")


@dataclass
class Samples:
    """Generated items with what made them: a sequence of items that can save itself.

    items: as the codec's files hold them, an image (H, W, C) in the training data's own dtype. labels: class of each, or
    None. x: the same, encoded, (N, C, *) or {field: (N, *)}. seed and first: item k is sample first + k of the seed.
    conditions: all that they were told beside labels, by name, a value for each: a class, a number, a picture or its path,
    None where nothing was told. notes: what a person should know of how it was asked for.
    model: SHA-256 of the weights, `storage.fingerprint`, where it is known. together: for each item, the first of those that
    were computed together and how many they were, on which its last bits depend. given: what a person said of the items.
    """

    items: Sequence[Any]
    labels: list[str] | None
    x: Any
    codec: Codec
    settings: Settings
    seed: int
    first: int = 0
    conditions: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    model: str | None = None
    together: list[tuple[int, int]] | None = None
    given: str | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.items)

    def __getitem__(self, k: int) -> Any:
        """One item."""
        return self.items[k]

    def __iter__(self) -> Iterator[Any]:
        """The items in order."""
        return iter(self.items)

    def describe(self, k: int) -> dict[str, Any]:
        """All that is needed to draw item k again with the same model."""
        model = {} if self.model is None else {"model_sha256": self.model}
        together = {} if self.together is None else {"together": list(self.together[k])}
        asked = {"seed": self.seed, "index": self.first + k, **told_plainly(self.asked(k)), **self.settings.to_json()}
        given = {} if self.given is None else {"given": self.given}
        return {"verb": "sample", **model, **asked, **given, **together}

    def asked(self, k: int) -> dict[str, Any]:
        """What item k was told, as `Model.sample(conditions=...)` takes it."""
        label = {} if self.labels is None else {"label": self.labels[k]}
        return {**label, **{name: values[k] for name, values in self.conditions.items()}}

    def only(self, k: int) -> Samples:
        """Item k alone."""
        return dataclasses.replace(
            self,
            items=self.items[k : k + 1],
            labels=None if self.labels is None else [self.labels[k]],
            x=each(lambda x: x[k : k + 1], self.x),
            first=self.first + k,
            conditions={name: [values[k]] for name, values in self.conditions.items()},
            together=None if self.together is None else [self.together[k]],
        )

    def lines(self) -> list[str]:
        """How they were drawn, in words."""
        s, many = self.settings, "s" if len(self) != 1 else ""
        walked = f"{s.steps} step{'s' * (s.steps != 1)} of {s.sampler}, guidance {s.guidance:g}"
        return [f"{len(self)} sample{many}, seed {self.seed}, {walked}", *self.notes]

    def sheet(self) -> Image:
        """All of them as one picture."""
        from reverie.pictures import sheet

        return sheet(self)

    def save(self, folder: str | Path, about: dict[str, Any] | None = None) -> list[Path]:
        """Write every item as a file of its own, the settings inside it where the format allows; return the paths.

        Kinds whose items are one file, as the rows of a table are, are written as one. Labels become sub-folders and other
        conditions columns of conditions.csv, so that the result reads back as a data set that tells the
        same. `about` is added to the settings.
        """
        folder, paths = Path(folder), []
        if self.codec.together:
            facts = {**self.describe(0), "samples": len(self), **(about or {})}
            return [write_item(self.codec, self.items, free_file(folder, self.codec, f"seed{self.seed}"), facts)]
        for k, item in enumerate(self.items):
            place = folder if self.labels is None else folder / safe_name(self.labels[k])
            facts = {**self.describe(k), **(about or {})}
            paths.append(write_item(self.codec, item, place / f"seed{self.seed}-{self.first + k:05d}", facts))
        save_table(folder, paths, self.conditions)
        return paths


def write_item(
    codec: Codec, item: Any, path: Path, facts: dict[str, Any], write: Callable[..., Path] | None = None
) -> Path:
    """Write an item at full depth, with what made it and this Reverie's version inside where the format allows.

    write: who writes it, where not the codec itself.
    """
    text = json.dumps({"reverie": reverie.__version__, **facts}, allow_nan=False)
    return (write or codec.write)(item, path, {"reverie": text})


def free_file(place: Path, codec: Codec, stem: str = "") -> Path:
    """Where many items go as one file: the place itself, if it is called as one, else a file in that folder; never one in use."""
    path = place if place.suffix.lower() in codec.suffixes else place / f"{stem}{codec.suffixes[0]}"
    if path.exists():
        raise ReverieError(f"{path} is there already; choose another place with -o.")
    return path


def save_table(folder: Path, paths: list[Path], conditions: Mapping[str, list[Any]]) -> None:
    """Write conditions.csv, a row for each file in the folder, of the conditions (by name) that are words and numbers."""
    names = [name for name, values in conditions.items() if all(map(is_plain, values))]
    if not names:
        return
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", *names])
    for k, path in enumerate(paths):
        cells = [conditions[name][k] for name in names]
        writer.writerow([path.relative_to(folder).as_posix(), *("" if c is None else c for c in cells)])
    write_text(folder / "conditions.csv", table.getvalue())


def told_plainly(values: Mapping[str, Any]) -> dict[str, Any]:
    """What an item was told, as JSON: its label, and all else as "conditions"; a picture as its file and SHA-256."""
    plain = {name: plainly(value) for name, value in values.items()}
    label = {"label": plain.pop("label")} if "label" in plain else {}
    return {**label, **({"conditions": plain} if plain else {})}


def is_plain(value: Any) -> bool:
    """Whether a condition's value is JSON by itself, as all but pictures are."""
    return value is None or (np.ndim(value) == 0 and not isinstance(value, Path))


def plainly(value: Any) -> Any:
    """A condition's value as JSON; what stands for a picture is which file it was, and the SHA-256 of its bytes."""
    if is_plain(value):
        return value
    if isinstance(value, Path):
        return {"file": str(value), "sha256": sha256(value)}
    return {"sha256": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}


def sampler_class(sampler: str) -> type[Sampler]:
    """The class of a sampler as a person types it."""
    return registry.find("samplers", sampler.partition(":")[0])


def check_seed(seed: int) -> None:
    """Refuse what is no seed."""
    if not 0 <= seed < 2**63:
        raise ReverieError(f"seed = {seed}; give a whole number from 0 to 9223372036854775807.")


def picked(seed: int) -> int:
    """The seed itself, or for -1 one by chance; refuses what is no seed."""
    seed = secrets.randbelow(2**31) if seed == -1 else seed
    check_seed(seed)
    return seed


def safe_name(label: str) -> str:
    """A label as a folder name: path separators and control characters become underscores."""
    clean = "".join("_" if c in '/\\:*?"<>|' or ord(c) < 32 else c for c in label).strip(". ")
    return clean or "_"
