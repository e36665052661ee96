"""A U-Net that reads tokens and gives every class of every token a number."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from reverie.errors import ReverieError
from reverie.example import Conditions
from reverie.networks.base import Block, Blocks, Network, the_only
from reverie.networks.conditions import Declared
from reverie.networks.unet import UNet

_NUMBERS = 16  # that the embedding of a value has


class TokenNetwork(Network):
    """A U-Net for tokens: values are embedded, and the output holds a number for each class of each token.

    x_t (B, C, *) -> a row of d numbers for each entry -> (B, C d, *) -> U-Net -> (B, K C, *) -> (B, K, C, *).
    classes: K, the values that data takes. states: how many a noisy token can take, K, or K + 1 with a mask. body: the
    arguments of the U-Net, its `channels` C d and its `out_channels` K C. The output layer starts at zero, so that at
    first all classes are as likely.
    Source: Ho et al. 2020, appendix B (the U-Net); Austin et al. 2021 (D3PM), whose networks give logits of x0 too.
    """

    name: ClassVar[str] = "tokens"
    reads: ClassVar[str] = "tokens"

    def __init__(self, classes: int, states: int, body: dict[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"classes": classes, "states": states, "body": body}
        inputs, outputs = body["channels"], body["out_channels"] or 0
        self.channels = outputs // max(classes, 1)
        if not 2 <= classes <= states or not self.channels or outputs % classes or inputs % self.channels:
            raise ReverieError(
                f"{classes} classes, {states} states and a U-Net from {inputs} to {outputs} channels make no network of "
                "tokens: states are at least the classes, and the channels C entries times d numbers, and times classes."
            )
        self.values = nn.Embedding(states, inputs // self.channels)
        self.body = UNet(**body)

    @classmethod
    def sized(cls, size: str, blocks: Blocks, conditions: Declared | None = None) -> Self:
        """Choose every width from one dial, as the U-Net does, for tokens of shape (C, *)."""
        shape, classes, states, _ = the_only(blocks, "tokens", tokens=True)
        if classes is None or states is None:
            raise ReverieError("The network 'tokens' is told how many classes and states tokens have; found none.")
        with torch.device("meta"):  # for its arguments alone
            body = UNet.sized(size, {"x": Block((shape[0] * _NUMBERS, *shape[1:]))}, conditions).config
        return cls(classes, states, {**body, "out_channels": shape[0] * classes})

    def forward(self, x: Tensor, level: Tensor, cond: Conditions) -> Tensor:
        """x: (B, C, *) int64 in [0, states), level: (B,), cond: as declared, or empty -> (B, K, C, *)."""
        self._check_input(x)
        h = self.values(x).movedim(-1, 2).flatten(1, 2)
        return self.body(h, level, cond).unflatten(1, (-1, self.channels))

    def _check_input(self, x: Tensor) -> None:
        dims, states = self.body.config["dims"], self.config["states"]
        if x.ndim != dims + 2 or x.shape[1] != self.channels or 0 in x.shape or x.is_floating_point():
            axes = ", *" * dims
            raise ReverieError(
                f"This network takes tokens, whole numbers (B, {self.channels}{axes}); found {x.dtype} {tuple(x.shape)}."
            )
        if x.device.type == "cpu" and not 0 <= int(x.min()) <= int(x.max()) < states:  # a GPU's lookup checks itself
            raise ReverieError(
                f"Tokens from {int(x.min())} to {int(x.max())}, where this network knows the values 0 to {states - 1}."
            )
