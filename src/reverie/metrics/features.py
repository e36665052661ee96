"""Features that need no download: what distances between sets of pictures are measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reverie.errors import ReverieError
from reverie.metrics import efficientnet
from reverie.metrics.base import Features
from reverie.metrics.efficientnet import EfficientNetLite0

WEIGHTS = Path(__file__).parent / "weights"
PIXELS = 1 << 20  # of one batch
SMALL = 32  # pixels a side, up to which a grey picture is measured as the digits are


def choose(shape: tuple[int, ...]) -> Features:
    """Pick the features for encoded items of `shape`.

    Pictures (C, H, W): DigitsCNN for grey up to 32x32; EfficientNetLite0 for three channels where its extra is installed;
    RandomConv for all other. Everything else, such as a row (D,) or a series (C, T): Flat.
    """
    if len(shape) != 3:
        return Flat()
    if shape[0] == 1 and max(shape[1:]) <= SMALL:
        return DigitsCNN()
    return EfficientNetLite0() if shape[0] == 3 and efficientnet.installed() else RandomConv()


def better(shape: tuple[int, ...], used: Features) -> str:
    """Say how to get features that know more of items of `shape` than those that were used; empty where there are none."""
    if len(shape) == 3 and shape[0] == 3 and used == RandomConv() and not efficientnet.installed():
        return (
            "Measured on random convolutions, which see texture and colour. Features that know what is on photographs: "
            f"{efficientnet.EXTRA}, then evaluate again."
        )
    return ""


@dataclass(frozen=True)
class Flat(Features):
    """The entries themselves, laid out in a row and each measured in its own spread over the training items.

    For data that is no picture: rows of a table, series, points. Items (N, *) become (N, D), and D stands for all entries;
    a metric then sees (entry - its training mean) / its training standard deviation (1 where an entry never changes).

    Source: Hastie et al. 2009 (The Elements of Statistical Learning), section 3.4.1, on why scales are taken off first.
    """

    name = "flat"
    standardised: ClassVar[bool] = True

    @property
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of the map's version."""
        return hashlib.sha256(b"flat 1").hexdigest()[:6]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (N, *) -> (N, D), not standardised yet: one item says nothing of its spread."""
        return x.reshape(len(x), -1).astype(np.float64)


class DigitNet(nn.Module):
    """A digit classifier whose last hidden layer is the features."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 24, 3, padding=1)
        self.second = nn.Conv2d(24, 48, 3, padding=1)
        self.hidden = nn.Linear(48 * 16, 64)
        self.last = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, 1, 8, 8) in [-1, 1] -> features (B, 64) and logits (B, 10)."""
        x = F.max_pool2d(F.gelu(self.second(F.gelu(self.first(x)))), 2)
        features = F.gelu(self.hidden(x.flatten(1)))
        return features, self.last(features)


@dataclass(frozen=True)
class DigitsCNN(Features):
    """Last hidden layer (64) of a small convolutional classifier of 8x8 handwritten digits, for small grey pictures.

    Trained on the 1,297 training digits alone, so held-out digits are as new to it as samples are. Items of up to 32x32
    are brought to 8x8 by averaging areas. weights/README.md says how the weights were made.

    Source: our own weights; the layer, as in Heusel et al. 2017, section 3.
    """

    name = "digits-cnn"

    @property
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of the weights file."""
        return _digit_net()[1]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (N, 1, H, W) in [-1, 1], H, W <= 32 -> (N, 64)."""
        if x.ndim != 4 or x.shape[1] != 1 or max(x.shape[2:]) > SMALL:
            raise ReverieError(
                f"digits-cnn measures grey pictures (N, 1, H, W) of up to {SMALL}x{SMALL}, and these are {x.shape}. "
                "Use --features random-conv."
            )
        net = _digit_net()[0]
        return _in_batches(lambda batch: net(F.adaptive_avg_pool2d(batch, 8))[0], x)


@cache
def _digit_net() -> tuple[DigitNet, str]:
    file = WEIGHTS / "digits-cnn.safetensors"
    net = DigitNet().eval()
    net.load_state_dict(safetensors.torch.load_file(file))
    return net, hashlib.sha256(file.read_bytes()).hexdigest()[:6]


@dataclass(frozen=True)
class RandomConv(Features):
    """Statistics of random convolutions at several scales: features for pictures of any size and number of channels.

    At each scale two random 3x3 convolutions with ReLU, then each output channel's mean and standard deviation over the
    picture (2 x width); the picture is halved by averaging between scales. The weights are drawn by numpy's Philox
    generator from `seed`, so they are the same on every machine. They see texture and colour at these scales, not
    meaning: good for comparing runs on one data set, never comparable with published figures.

    Source: Naeem et al. 2020, who measure on a randomly initialised network (there a VGG16).
    """

    name = "random-conv"
    seed: int = 0
    width: int = 16
    scales: int = 3

    @property
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of the options and of the map's version."""
        text = json.dumps({"map": "random-conv 1", **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:6]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (N, C, H, W) in [-1, 1] -> (N, 2 * width * scales)."""
        if x.ndim != 4:
            raise ReverieError(f"random-conv measures pictures (N, C, H, W), and these are {x.shape}.")
        return _in_batches(self._statistics, x)

    def _statistics(self, x: Tensor) -> Tensor:
        found = []
        for scale in range(self.scales):
            y = F.relu(F.conv2d(self._pad(x), self._kernel(x.shape[1], 2 * scale)))
            y = F.relu(F.conv2d(self._pad(y), self._kernel(self.width, 2 * scale + 1)))
            found += [y.mean(dim=(2, 3)), y.std(dim=(2, 3), correction=0)]
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        return torch.cat(found, dim=1)

    @staticmethod
    def _pad(x: Tensor) -> Tensor:
        return F.pad(x, (1, 1, 1, 1), mode="replicate")

    def _kernel(self, channels: int, layer: int) -> Tensor:
        """Return (width, channels, 3, 3), scaled to keep the variance through a ReLU (He et al. 2015)."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, layer]))
        drawn = rng.standard_normal((self.width, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
        return torch.from_numpy(drawn.astype(np.float32))


@torch.no_grad()
def _in_batches(features: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    batch = max(1, PIXELS // (x.shape[2] * x.shape[3]))
    parts = [features(torch.from_numpy(np.ascontiguousarray(x[i : i + batch]))) for i in range(0, len(x), batch)]
    return torch.cat(parts).double().numpy()
