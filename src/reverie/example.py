"""What travels between codec, loader, network and core: one batch of data with what is known about it.

The lowest room of the house: it imports torch alone, and every other room may import it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

State = Any  # a Tensor (B, *), or for a Product process a dict of them by field: each process says which


class Condition(NamedTuple):
    """One condition of a batch: its value per sample, and for which samples it is told.

    value: (B, *), integers (B,) for a class label, a picture (B, C, *) for an image condition.
    present: (B,) bool; where it is False the network sees its learned "nothing" instead of the value.
    """

    value: Tensor
    present: Tensor

    @classmethod
    def of(cls, value: Tensor, present: Tensor | None = None) -> Condition:
        """Make a condition that is told for every sample, unless `present` says otherwise."""
        if present is None:
            present = torch.ones(len(value), dtype=torch.bool, device=value.device)
        return cls(value, present)

    def absent(self) -> Condition:
        """Return the same condition, told to nobody: the null of classifier-free guidance."""
        return Condition(self.value, torch.zeros_like(self.present))

    def joined(self, other: Condition) -> Condition:
        """Stack two batches of this condition into one of twice the size."""
        return Condition(torch.cat([self.value, other.value]), torch.cat([self.present, other.present]))


Conditions = dict[str, Condition]


def conditions_joined(parts: Sequence[Conditions]) -> Conditions:
    """The conditions of several batches that are told the same things as those of one, in that order."""
    return {name: functools.reduce(Condition.joined, [part[name] for part in parts]) for name in parts[0]}


def some_of(cond: Conditions, some: slice | Tensor) -> Conditions:
    """The conditions of some of a batch's samples."""
    return {k: Condition(c.value[some], c.present[some]) for k, c in cond.items()}


def moved(cond: Conditions, device: torch.device) -> Conditions:
    """The same conditions on a device."""
    return {
        k: Condition(c.value.to(device, non_blocking=True), c.present.to(device, non_blocking=True))
        for k, c in cond.items()
    }


@dataclass
class Example:
    """One batch, as the codec and the loader make it.

    x0: the data, (B, C, *).
    cond: named conditions, each with value (B, *) and present (B,).
    observed: which entries of x0 are known, as a mask of its shape, or None for all of them.
    index: (B,) int64, how many samples had been seen before each of these; seeds all randomness in training.
    """

    x0: State
    cond: Conditions = field(default_factory=dict)
    observed: State | None = None
    index: Tensor | None = None

    def to(self, device: torch.device) -> Example:
        """Move every tensor of the batch to a device."""
        observed = None if self.observed is None else each(lambda x: x.to(device, non_blocking=True), self.observed)
        index = None if self.index is None else self.index.to(device, non_blocking=True)
        return Example(
            each(lambda x: x.to(device, non_blocking=True), self.x0), moved(self.cond, device), observed, index
        )

    def part(self, some: slice) -> Example:
        """Some of the batch's samples."""
        observed = None if self.observed is None else each(lambda x: x[some], self.observed)
        index = None if self.index is None else self.index[some]
        return Example(each(lambda x: x[some], self.x0), some_of(self.cond, some), observed, index)


ENTRIES = "(entries)"  # what a network is told of the item itself; no name that a person could give a condition


def entries(x: State, known: State) -> Condition:
    """Entries of the data itself as a condition: (B, E) float32, the fields' by their names' order, NaN where none is known."""

    def told(x: Tensor, known: Tensor) -> Tensor:
        return torch.where(known, x.to(torch.float32), torch.nan).flatten(1)

    parts = each(told, x, known)
    return Condition.of(torch.cat([parts[k] for k in sorted(parts)], 1) if isinstance(parts, dict) else parts)


def each(f: Callable[..., Any], *states: State) -> State:
    """f of the tensors of states that go together: of the tensors themselves, or field by field of dicts."""
    if isinstance(states[0], dict):
        return {k: f(*(s[k] for s in states)) for k in states[0]}
    return f(*states)


def count(state: State) -> int:
    """How many samples a state is of."""
    return len(tensors(state)[0])


def joined(states: Sequence[State]) -> State:
    """Batches of states as one, in that order."""
    return each(lambda *parts: torch.cat(parts), *states)


def some_state(state: State, some: slice | Tensor) -> State:
    """Some samples of a state."""
    return each(lambda x: x[some], state)


def to_arrays(state: State) -> Any:
    """A state on the CPU as an array (N, *), or {field: array}."""
    return each(lambda x: x.cpu().numpy(), state)


def of_arrays(arrays: Any) -> State:
    """A state of arrays (N, *), or of {field: array}: the same memory as tensors."""
    return each(torch.from_numpy, arrays)


def tensors(state: State) -> list[Tensor]:
    """The tensors that a state is made of."""
    return list(state.values()) if isinstance(state, dict) else [state]
