"""How conditions enter a network: class labels and numbers through its time embedding, pictures through its input.

A network declares its conditions as JSON, by name:

    {"label": {"kind": "label", "classes": 10},      value (B,) integers          -> a row of a table
     "age":   {"kind": "number", "size": 1},         value (B,) or (B, size)      -> a small MLP
     "scan":  {"kind": "image", "channels": 3}}      value (B, channels, *)       -> resized, joined to the input

For each the network also learns (or is told by a plane of zeros) what "nothing" looks like, which stands in wherever
`present` is False: the null of classifier-free guidance.
Source: Ho & Salimans 2022, section 3.2; Saharia et al. 2022 (Palette), section 2 for pictures.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.errors import ReverieError, nearest
from reverie.example import Condition, Conditions

Declared = dict[str, dict[str, Any]]

_RESIZE = {1: "linear", 2: "bilinear", 3: "trilinear"}
_ARGUMENT = {"label": "classes", "number": "size", "image": "channels"}


class Label(nn.Module):
    """A class label as a learned row; the last row is "nothing"."""

    def __init__(self, name: str, classes: int, width: int) -> None:
        super().__init__()
        self.name, self.classes = name, classes
        self.rows = nn.Embedding(classes + 1, width)

    def forward(self, told: Condition | None) -> Tensor:
        """value: (B,) integers in [0, classes) -> (B, width); None, told to nobody -> (1, width)."""
        if told is None:
            return self.rows.weight[-1:]
        value, present = told
        if value.ndim != 1 or value.is_floating_point():
            found = f"{value.dtype} {tuple(value.shape)}"
            raise ReverieError(f"Condition '{self.name}' takes integers (B,), found {found}.")
        if value.device.type == "cpu":  # a GPU would have to stop and wait; its lookup checks its own bounds
            wrong = present & ((value < 0) | (value >= self.classes))
            if wrong.any():
                row = int(wrong.int().argmax())
                raise ReverieError(
                    f"Condition '{self.name}' is {int(value[row])} for sample {row} of the batch; "
                    f"this network knows the classes 0 to {self.classes - 1}."
                )
        # A told value of `classes` would pass for "nothing" on a GPU: one beyond it is out of the table and is caught.
        value = value + (value == self.classes)
        return self.rows(torch.where(present, value, self.classes))


class Number(nn.Module):
    """Numbers of order one through a small MLP; "nothing" is a learned vector."""

    def __init__(self, name: str, size: int, width: int) -> None:
        super().__init__()
        self.name, self.size = name, size
        self.mlp = nn.Sequential(nn.Linear(size, width), nn.SiLU(), nn.Linear(width, width))
        self.nothing = nn.Parameter(0.02 * torch.randn(width))

    def forward(self, told: Condition | None) -> Tensor:
        """value: (B,) or (B, size) -> (B, width); None, told to nobody -> (1, width)."""
        if told is None:
            return self.nothing[None]
        value = told.value[:, None] if told.value.ndim == 1 else told.value
        if value.ndim != 2 or value.shape[1] != self.size:
            raise ReverieError(
                f"Condition '{self.name}' takes numbers (B, {self.size}), found a value of {tuple(told.value.shape)}."
            )
        present = told.present[:, None]
        value = value.to(self.nothing.dtype).masked_fill(~present, 0)  # a NaN where absent would poison the gradient
        return torch.where(present, self.mlp(value), self.nothing)


class Picture(nn.Module):
    """A picture resized (multi)linearly to the input's size, with a plane that says whether it is there.

    (B, channels, *) of any size -> (B, channels + 1, *) of x's size; all zero where absent.
    """

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        self.name, self.channels = name, channels

    def forward(self, told: Condition, x: Tensor) -> Tensor:
        """value: (B, channels, *), as many axes as x."""
        value = told.value
        if value.ndim != x.ndim or value.shape[1] != self.channels:
            axes = ", *" * (x.ndim - 2)
            raise ReverieError(
                f"Condition '{self.name}' takes a picture (B, {self.channels}{axes}), "
                f"found a value of {tuple(value.shape)}."
            )
        here = told.present.view(-1, *[1] * (x.ndim - 1))
        value = value.to(x.dtype).masked_fill(~here, 0)
        if value.shape[2:] != x.shape[2:]:
            value = F.interpolate(value, size=x.shape[2:], mode=_RESIZE[x.ndim - 2], align_corners=False)
        return torch.cat([value, here.to(x.dtype).expand(-1, 1, *x.shape[2:])], dim=1)


class Told(nn.Module):
    """All the conditions of a network, from their declaration.

    planes: how many channels pictures add to the input. `vector` adds labels and numbers to the time embedding,
    `joined` puts the pictures behind the input. An empty `cond` tells nothing; one that names some conditions must name all.
    """

    def __init__(self, declared: Declared, width: int) -> None:
        super().__init__()
        self.declared: Declared = {}  # with all that was left out
        self.names = sorted(declared)  # the order of a JSON object's names means nothing
        self.vectors, self.pictures = nn.ModuleDict(), nn.ModuleDict()
        self.planes = 0
        for name in self.names:
            kind, count = _read(name, declared[name])
            self.declared[name] = {"kind": kind, _ARGUMENT[kind]: count}
            key = f"{name}:{kind}"  # a bare name may be an attribute of ModuleDict, as "type" is
            if kind == "image":
                self.pictures[key] = Picture(name, count)
                self.planes += count + 1
            else:
                self.vectors[key] = Label(name, count, width) if kind == "label" else Number(name, count, width)

    def check(self, cond: Conditions, batch: int) -> None:
        """Raise ReverieError for a name that was not declared, one that is missing, or a batch of another size."""
        for name, told in cond.items():
            if name not in self.names:
                known = f"did you mean {nearest(name, self.names)}?" if self.names else "it was made without any."
                raise ReverieError(f"This network has no condition '{name}'; {known}")
            if len(told.value) != batch or told.present.shape != (batch,):
                raise ReverieError(
                    f"Condition '{name}' has values for {len(told.value)} samples and `present` of "
                    f"{tuple(told.present.shape)}, where the batch has {batch}."
                )
        if cond and (missing := [n for n in self.names if n not in cond]):
            raise ReverieError(
                f"The condition {', '.join(missing)} is missing. Give it, or its Condition.absent(), or none at all."
            )

    def vector(self, cond: Conditions, embedding: Tensor) -> Tensor:
        """The time embedding, (B, width), with labels and numbers added."""
        for key, module in self.vectors.items():
            embedding = embedding + module(cond[_name(key)] if cond else None)
        return embedding

    def joined(self, cond: Conditions, x: Tensor) -> Tensor:
        """x: (B, C, *) -> (B, C + planes, *)."""
        if not self.pictures:
            return x
        if not cond:
            return torch.cat([x, x.new_zeros(len(x), self.planes, *x.shape[2:])], dim=1)
        return torch.cat([x, *(m(cond[_name(k)], x) for k, m in self.pictures.items())], dim=1)


def _name(key: str) -> str:
    return key.rpartition(":")[0]


def _read(name: str, about: dict[str, Any]) -> tuple[str, int]:
    """Kind and count of one declaration; ReverieError where it says something else."""
    kind = about.get("kind")
    argument = _ARGUMENT.get(str(kind))
    if argument is None:
        raise ReverieError(f"Condition '{name}' is of kind {kind!r}; there are {', '.join(_ARGUMENT)}.")
    count = about.get(argument, 1 if kind == "number" else None)
    if not isinstance(count, int) or count < 1 or set(about) - {"kind", argument} or not name.isidentifier():
        raise ReverieError(
            f"Condition '{name}' cannot be declared as {about}: its name must be a plain word, and a {kind} is written "
            f'{{"kind": "{kind}", "{argument}": a whole number of at least 1}}.'
        )
    return str(kind), count
