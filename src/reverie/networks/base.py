"""The contract that every network keeps with the core."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor, nn

from reverie.example import Conditions

SIZES = ("tiny", "small", "base", "large")


class Network(nn.Module, ABC):
    """Maps a noisy batch to an output of the same shape, told the noise level and the conditions.

    `config` is the JSON of its constructor's arguments: Network(**config) is the same architecture. Conditions are
    declared by name in `conditions`, e.g. {"label": {"kind": "label", "classes": 10},
    "image": {"kind": "image", "channels": 3}}.
    """

    config: dict[str, Any]

    @classmethod
    @abstractmethod
    def sized(cls, size: str, shape: tuple[int, ...], conditions: dict[str, dict[str, Any]] | None = None) -> Self:
        """Choose every width from one dial: tiny, small, base or large, for data of shape (C, *).

        Raises ReverieError for a size that is none of the four and for a shape that the network cannot take.
        """

    @abstractmethod
    def forward(self, x: Tensor, level: Tensor, cond: Conditions) -> Tensor:
        """x: (B, C, *), level: (B,) real numbers of order one that tell the noise, cond: by name -> (B, C, *)."""
