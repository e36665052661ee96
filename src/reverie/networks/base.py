"""The contract that every network keeps with the core."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn

from reverie.errors import ReverieError
from reverie.example import Conditions, State

SIZES = ("tiny", "small", "base", "large")


class Block(NamedTuple):
    """One field of the data, as a network is told of it: its shape without the batch, (C, *).

    Of tokens: classes, K values that data takes; states, how many a noisy one can take; sizes, the classes that each entry has
    of these, where that is fewer.
    """

    shape: tuple[int, ...]
    classes: int | None = None
    states: int | None = None
    sizes: tuple[int, ...] | None = None


Blocks = Mapping[str, Block]


class Network(nn.Module, ABC):
    """Maps a noisy batch to an output of the same shape, told the noise level and the conditions.

    Data of several fields comes, and is answered, as {field: tensor}; tokens (B, *) are answered with a number for each class,
    (B, K, *). `config` is the JSON of its constructor's arguments: Network(**config) is the same architecture. Conditions are
    declared by name in `conditions`, e.g. {"label": {"kind": "label", "classes": 10},
    "image": {"kind": "image", "channels": 3}}.
    """

    reads: ClassVar[str] = "numbers"  # or tokens; or fields, of both
    takes_entries: bool = False  # whether it can be told some of the item's own entries, `example.ENTRIES`
    config: dict[str, Any]

    @classmethod
    @abstractmethod
    def sized(cls, size: str, blocks: Blocks, conditions: dict[str, dict[str, Any]] | None = None) -> Self:
        """Choose every width from one dial: tiny, small, base or large, for data of these fields.

        Raises ReverieError for a size that is none of the four and for data that the network cannot take.
        """

    def begin(self, look: Callable[[], State], sigma_data: float, edm: bool) -> None:
        """See some training items before anything is learned; for networks that keep something of them.

        look: gives the items, encoded (N, *), and takes its time: only who needs them asks. sigma_data: the data's standard
        deviation. edm: whether the output is to be EDM's F.
        """
        return None

    @abstractmethod
    def forward(self, x: State, level: Tensor, cond: Conditions) -> State:
        """x: (B, C, *), level: (B,) real numbers of order one that tell the noise, cond: by name -> (B, C, *)."""


def takes_entries(network: nn.Module) -> bool:
    """Whether a network, perhaps a person's own, can be told some of the item's own entries."""
    return bool(getattr(network, "takes_entries", False))


def the_only(blocks: Blocks, network: str, tokens: bool = False) -> Block:
    """The field of data that has one, of numbers unless tokens are asked for; raises ReverieError for any other data."""
    found = list(blocks.values())
    if len(found) != 1:
        raise ReverieError(
            f"The network '{network}' reads data of one field; this has {len(found)} ({', '.join(blocks)}). Use 'mlp'."
        )
    if tokens and found[0].classes is None:
        raise ReverieError(
            f"The network '{network}' reads tokens, and this data is numbers. Use 'unet', or a family of tokens: "
            "--family masked or --family uniform."
        )
    if not tokens and found[0].classes is not None:
        raise ReverieError(f"The network '{network}' reads numbers, and this data is tokens. Use 'tokens'.")
    return found[0]
