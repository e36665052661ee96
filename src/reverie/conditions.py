"""All the conditions of a model: what it is told in training, and from what a person asks, what it is told in sampling.

A condition that a person leaves open is drawn with the others from the combinations that training items have, so that what
never occurs together is not asked for: one combination for each sample, by a low-discrepancy sequence in their shares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reverie.codecs.image import ImageCodec
from reverie.core.times import low_discrepancy
from reverie.data import known as knowledge
from reverie.data.columns import Column, Labels, Numbers, Starts
from reverie.data.known import Known, KnownLabel, KnownPicture, KnownVector
from reverie.errors import ReverieError, nearest
from reverie.example import Condition, Conditions, some_of

MOST_ROWS = 4096  # combinations that are kept


@dataclass(frozen=True)
class Asked:
    """What n samples are told. cond: encoded. values: by name, for each sample, as a person writes it. notes: of what is odd.

    Without any, nothing is told, to however many.
    """

    cond: Conditions = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What is told, and what is odd, in words."""
        return [f"told {', '.join(self.values) or 'nothing'}", *self.notes]

    def at(self, k: int) -> dict[str, Any]:
        """What sample k is told, by name."""
        return {name: each[k] for name, each in self.values.items()}

    def some(self, which: slice) -> Asked:
        """What some of the samples are told."""
        return Asked(some_of(self.cond, which), {name: each[which] for name, each in self.values.items()}, self.notes)


@dataclass(frozen=True, eq=False)
class Knowledge(Mapping[str, Known]):
    """What a model knows of each condition, by name, and the combinations of classes and numbers that it was trained on.

    rows: (R, K) float64, a class number or a number in its own units for each of the K labels and numbers in the order of
    `known`, NaN where an item had none. weights: (R,) share of the training items.
    """

    known: dict[str, Known] = field(default_factory=dict)
    rows: Tensor = field(default_factory=lambda: torch.zeros(1, 0, dtype=torch.float64))
    weights: Tensor = field(default_factory=lambda: torch.ones(1, dtype=torch.float64))

    @classmethod
    def fit(cls, columns: Mapping[str, Column], size: tuple[int, int]) -> Knowledge:
        """Fit each condition on the training items' columns. size: (height, width) of the items."""
        known = {name: knowledge.fit(column, name, size) for name, column in columns.items()}
        if _plain(known):
            return cls._of_frequencies(known)
        vectors = [column.values for column in columns.values() if isinstance(column, Labels | Numbers | Starts)]
        table = np.stack(vectors, axis=1).astype(np.float64)
        table = table[np.lexsort(table.T[::-1])]  # an even choice of the sorted rows keeps the first column's shares
        table = table[np.linspace(0, len(table) - 1, min(len(table), MOST_ROWS)).round().astype(int)]
        rows, counts = np.unique(table, axis=0, return_counts=True)
        return cls(known, torch.from_numpy(rows), torch.from_numpy(counts / counts.sum()))

    @classmethod
    def from_json(cls, about: dict[str, Any], tensors: dict[str, Tensor]) -> Knowledge:
        """Read what `to_json` and `tensors` wrote; the tensors are taken out. ValueError and such for what does not fit."""
        known = {str(name): knowledge.from_json(one) for name, one in dict(about).items()}
        if _plain(known):
            return cls._of_frequencies(known)
        made = cls(known, tensors.pop("told.rows").double(), tensors.pop("told.weights").double())
        made._check()
        return made

    @classmethod
    def _of_frequencies(cls, known: dict[str, Known]) -> Knowledge:
        """Where there is no more than one label beside pictures, its frequencies are the combinations."""
        labels = [one for one in known.values() if isinstance(one, KnownLabel)]
        if not labels:
            return cls(known)
        rows = torch.arange(len(labels[0].classes), dtype=torch.float64)[:, None]
        return cls(known, rows, torch.tensor(labels[0].frequencies, dtype=torch.float64))

    def _check(self) -> None:
        """Refuse combinations that are not of these conditions."""
        names = list(self.vectors)
        if self.rows.shape != (len(self.weights), len(names)) or not float(self.weights.sum()) > 0:
            raise ValueError(f"combinations {tuple(self.rows.shape)} for {len(names)} labels and numbers")
        for k, name in enumerate(names):
            if isinstance(one := self.known[name], KnownLabel) and not bool(
                ((self.rows[:, k] >= 0) & (self.rows[:, k] < len(one.classes))).all()
            ):
                raise ValueError(f"combinations with a class of '{name}' that is not there")

    def __getitem__(self, name: str) -> Known:
        """One condition."""
        return self.known[name]

    def __iter__(self) -> Any:
        """Their names."""
        return iter(self.known)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.known)

    @property
    def declared(self) -> dict[str, dict[str, Any]]:
        """How a network declares them."""
        return {name: one.declared for name, one in self.known.items()}

    @property
    def vectors(self) -> dict[str, KnownVector]:
        """The labels and numbers."""
        return {name: one for name, one in self.known.items() if isinstance(one, KnownVector)}

    @property
    def pictures(self) -> list[str]:
        """Names of those that are pictures: they cannot be drawn, and must be told."""
        return [name for name, one in self.known.items() if isinstance(one, KnownPicture)]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without the combinations."""
        return {name: one.to_json() for name, one in self.known.items()}

    def tensors(self) -> dict[str, Tensor]:
        """The combinations, where they are more than the frequencies of one label."""
        return {} if _plain(self.known) else {"told.rows": self.rows, "told.weights": self.weights}

    def encode(self, columns: Mapping[str, Column]) -> Conditions:
        """The conditions of items as the network is told of them."""
        return {name: one.encode(columns[name]) for name, one in self.known.items()}

    def check(self, columns: Mapping[str, Column], start: str) -> None:
        """Raise ReverieError for data that tells other conditions, or other classes, than this model knows."""
        mine, theirs = ({n: one.kind for n, one in of.items()} for of in (self.known, columns))
        if mine.keys() - {"label"} != theirs.keys() - {"label"} or any(theirs.get(n, k) != k for n, k in mine.items()):
            raise ReverieError(
                f"The data has the conditions {_listed(theirs)} where {start} has {_listed(mine)}. Give the same --condition."
            )
        for name in sorted({"label", *mine}):
            here, there = _classes(columns.get(name)), _classes(self.known.get(name))
            if here != there:
                of = "" if name == "label" else f" of '{name}'"
                raise ReverieError(
                    f"The data has {len(here)} classes{of} ({', '.join(here[:5]) or 'none'}) where {start} has "
                    f"{len(there)} ({', '.join(there[:5]) or 'none'}). Give data with the same class names"
                    + (", or --label-from none for both." if name == "label" else ".")
                )

    def ask(self, n: int, wanted: Mapping[str, Any], seed: int, first: int = 0) -> Asked:
        """What samples first .. first + n - 1 of a seed are told, from what a person asks: by name, one value or n of them.

        A label is a class by name or number, a number is in its own units, a picture is an array (H, W[, C]) or a path; None
        tells nothing. What is not asked for is drawn from the combinations; a picture must be. Raises ReverieError for a
        name, a class or a number of values that does not fit, and a picture that is missing.
        """
        self._check_names(wanted)
        each, notes = {name: _each(value, n, name, self.known[name]) for name, value in wanted.items()}, list[str]()
        cond: Conditions = {}
        values: dict[str, list[Any]] = {}
        for name, given in each.items():
            if isinstance(one := self.known[name], KnownPicture):
                cond[name], values[name] = _pictures(one, given, name, notes)
        for name, vector in self._vectors_told(each, n, seed, first).items():
            one = self.vectors[name]
            column = one.column(vector)
            cond[name], values[name] = one.encode(column), column.plain()
            notes += one.beyond(vector, name)
        return Asked({k: cond[k] for k in self.known}, {k: values[k] for k in self.known}, notes)

    def _check_names(self, wanted: Mapping[str, Any]) -> None:
        for name in wanted:
            if name == "label" and name not in self.known:
                words = ", ".join(
                    dict.fromkeys(f"'{label}'" for label in np.atleast_1d(np.asarray(wanted[name], object)))
                )
                raise ReverieError(
                    f"This model was trained without labels, so {words} mean{'s' * (words.count(', ') < 1)} nothing to it. "
                    + (f"It knows {_listed({n: o.kind for n, o in self.known.items()})}." if self.known else
                       "Leave the label out, or train on a folder with one sub-folder per class.")
                )  # fmt: skip
            if name not in self.known:
                near = (
                    f"Did you mean {nearest(name, list(self.known))}?" if self.known else "It was trained without any."
                )
                raise ReverieError(f"This model has no condition '{name}'. {near}")
        if missing := [name for name in self.pictures if name not in wanted]:
            raise ReverieError(
                f"This model draws from a picture called '{missing[0]}', which was not given. Give it: --condition "
                f"{missing[0]}=FILE, or in Python conditions={{'{missing[0]}': array or path}}; None there tells nothing."
            )

    def _vectors_told(self, each: Mapping[str, list[Any]], n: int, seed: int, first: int) -> dict[str, Tensor]:
        """Labels and numbers as asked for, (n,) each, and the others from the combinations that go with these."""
        names, told = list(self.vectors), {}
        for name in set(names) & set(each):
            numbers = [math.nan if v is None else self.vectors[name].number(v, name) for v in each[name]]
            told[name] = torch.tensor(numbers, dtype=torch.float64)
        if all(name in told for name in names):
            return told
        index = torch.arange(first, first + n)
        u = low_discrepancy(index, torch.full_like(index, seed))
        places = [k for k, name in enumerate(names) if name in told]
        alike, which = torch.zeros(1, 0), torch.zeros(n, dtype=torch.int64)
        if places:
            given = torch.stack([told[names[k]].nan_to_num(math.inf) for k in places], 1)
            alike, which = torch.unique(given, dim=0, return_inverse=True)
        chosen = torch.zeros(n, dtype=torch.int64)
        for k, wish in enumerate(alike):
            steps = torch.cumsum(self._agreeing(places, wish), 0)
            mine = which == k
            chosen[mine] = torch.searchsorted(steps / steps[-1], u[mine]).clamp(max=len(steps) - 1)
        return {name: told.get(name, self.rows[chosen, k]) for k, name in enumerate(names)}

    def _agreeing(self, places: list[int], wish: Tensor) -> Tensor:
        """Weights (R,) of the combinations nearest to a wish (J,) at some places: most labels shared, then near in numbers."""
        apart, vectors = torch.zeros_like(self.weights), list(self.vectors.values())
        for k, value in zip(places, wish, strict=True):
            apart += vectors[k].apart(self.rows[:, k], value)
        return self.weights * torch.exp(-0.5 * (apart - apart.min()))


def _plain(known: Mapping[str, Known]) -> bool:
    """Whether a label alone, or nothing, stands beside pictures."""
    return [one.kind for one in known.values() if one.kind != KnownPicture.kind] in ([], [KnownLabel.kind])


def _classes(of: Any) -> list[str]:
    """Classes of a column or of what is known of one; none where it has none."""
    return list(of.classes) if isinstance(of, Labels | KnownLabel) else []


def _listed(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{kind}:{name}" for name, kind in sorted(kinds.items())) or "none"


def _each(value: Any, n: int, name: str, one: Known) -> list[Any]:
    """What a person gave for n samples, one by one."""
    if isinstance(one, KnownPicture):
        several = isinstance(value, list | tuple) or _is_stack(value, n, one)
    else:
        several = np.ndim(value) > 0
    given = list(value) if several else [value] * n
    if one.kind == KnownPicture.kind:  # a name told for several is one object, and so is read once
        paths = {str(v): Path(v) for v in given if isinstance(v, str | Path)}
        given = [paths[str(v)] if isinstance(v, str | Path) else v for v in given]
    if len(given) != n:
        what = "labels" if name == "label" else f"values of '{name}'"
        raise ReverieError(f"{len(given)} {what} were given for {n} samples; give one, or one for each.")
    return given


def _is_stack(value: Any, n: int, one: KnownPicture) -> bool:
    """Whether an array is of several pictures: it has an axis more, or its last one cannot be their channels."""
    shape = np.shape(value)
    return len(shape) == 4 or (len(shape) == 3 and shape[0] == n and shape[2] not in (1, one.codec.channels))


def _pictures(one: KnownPicture, given: Sequence[Any], name: str, notes: list[str]) -> tuple[Condition, list[Any]]:
    """Pictures (or paths, or None) encoded, each but once; what was resized goes to notes."""
    encoded: dict[int, np.ndarray] = {}
    resized: dict[str, int] = {}
    for value in given:
        if value is None or id(value) in encoded:
            continue
        item = ImageCodec.read(value) if isinstance(value, Path) else np.asarray(value)
        item = item[..., None] if item.ndim == 2 else item
        if item.dtype.kind == "f" and not np.isfinite(item).all():
            raise ReverieError(f"The picture '{name}' holds NaN or infinite values. Fill them in.")
        encoded[id(value)] = one.codec.encode(item)
        size = f"{item.shape[0]}x{item.shape[1]}"
        resized[size] = resized.get(size, 0) + (item.shape[:2] != (one.codec.height, one.codec.width))
    wanted = f"{one.codec.height}x{one.codec.width}"
    notes += [f"{name}: {count} of {size} resized to {wanted}" for size, count in resized.items() if count]
    empty = np.zeros(one.codec.field.shape, np.float32)
    stack = np.stack([encoded.get(id(value), empty) for value in given])
    return Condition.of(torch.from_numpy(stack), torch.tensor([v is not None for v in given])), list(given)
