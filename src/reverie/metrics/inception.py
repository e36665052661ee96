"""Full-reference Inception features, from weights that the user has: on these alone is a Frechet distance called FID.

The network is the 2015-12-05 graph that the FID literature uses, as one function of a dictionary of tensors: nothing
in the file is code, and nothing in it is run. Names are those of its usual port to PyTorch
(pt_inception-2015-12-05-6726825d.pth), which once converted with

    from safetensors.torch import save_file; import torch
    weights = torch.load("pt_inception-2015-12-05-6726825d.pth", weights_only=True)
    save_file({k: v.contiguous() for k, v in weights.items()}, "inception.safetensors")

is read here. A TorchScript .pt or a pickled .pth is refused: loading the first runs the code in it, and the second may.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from reverie.errors import ReverieError
from reverie.metrics.base import Features

BATCH = 32
SIZE = 299


@dataclass(frozen=True)
class Inception(Features):
    """Pooled features (2048) of the Inception-v3 of the FID literature, from a local safetensors file of its weights.

    Items are rounded to 8 bits, grey is repeated to three channels, and sizes go to 299x299 by the literature's
    own bilinear rule (pixel i samples i * size / 299, without antialiasing), so scores compare with published ones
    at equal n; those are usually taken at n = 50,000.

    Source: Heusel et al. 2017, section 3 and appendix A1; the network, Szegedy et al. 2016.
    """

    titles: ClassVar[dict[str, str]] = {"Frechet distance": "FID", "Kernel distance": "KID"}
    path: str

    @property
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of the weights file."""
        return _load(self.path)[1]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (N, 1 or 3, H, W) in [-1, 1] -> (N, 2048)."""
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ReverieError(
                f"Inception features need grey or RGB images (N, 1 or 3, H, W), and these are {x.shape}. "
                "Use --features random-conv, which takes any number of channels."
            )
        weights = _load(self.path)[0]
        with torch.no_grad():
            found = [pooled(weights, prepare(torch.from_numpy(x[i : i + BATCH]))) for i in range(0, len(x), BATCH)]
        return torch.cat(found).double().numpy()


def prepare(x: Tensor) -> Tensor:
    """Bring (B, 1 or 3, H, W) in [-1, 1] to what the network was given: (B, 3, 299, 299), (8-bit value - 128) / 128."""
    pixels = (127.5 * (x.float() + 1)).round().clamp(0, 255).expand(-1, 3, -1, -1)
    rows, columns = _bilinear(x.shape[2]), _bilinear(x.shape[3])
    return (rows @ pixels @ columns.T - 128) / 128


def pooled(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """Run the network up to its last average: (B, 3, 299, 299) -> (B, 2048)."""

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        """Convolution, batch norm as evaluated, ReLU; "same" padding except in the stem and where the stride is 2."""
        kernel = w[f"{name}.conv.weight"]
        valid = stride == 2 or name in ("Conv2d_2a_3x3", "Conv2d_4a_3x3")
        y = F.conv2d(
            x, kernel, stride=stride, padding=(0, 0) if valid else (kernel.shape[2] // 2, kernel.shape[3] // 2)
        )
        mean, var, scale, shift = (w[f"{name}.bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(y, mean, var, scale, shift, eps=0.001))

    x = conv("Conv2d_2b_3x3", conv("Conv2d_2a_3x3", conv("Conv2d_1a_3x3", x, stride=2)))
    x = F.max_pool2d(x, 3, 2)
    x = conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", x))
    x = F.max_pool2d(x, 3, 2)
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = _block_a(conv, block, x)
    x = _block_b(conv, "Mixed_6a", x)
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = _block_c(conv, block, x)
    x = _block_d(conv, "Mixed_7a", x)
    x = _block_e(conv, "Mixed_7b", x, _average(x))
    x = _block_e(conv, "Mixed_7c", x, F.max_pool2d(x, 3, 1, padding=1))  # the published graph takes a maximum here
    return x.mean(dim=(2, 3))


Conv = Callable[..., Tensor]


def _chain(conv: Conv, x: Tensor, *names: str) -> Tensor:
    for name in names:
        x = conv(name, x)
    return x


def _average(x: Tensor) -> Tensor:
    """3x3 mean that leaves padding out of the count, as TensorFlow does."""
    return F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)


def _block_a(conv: Conv, b: str, x: Tensor) -> Tensor:
    five = _chain(conv, x, f"{b}.branch5x5_1", f"{b}.branch5x5_2")
    double = _chain(conv, x, *(f"{b}.branch3x3dbl_{i}" for i in (1, 2, 3)))
    return torch.cat([conv(f"{b}.branch1x1", x), five, double, conv(f"{b}.branch_pool", _average(x))], 1)


def _block_b(conv: Conv, b: str, x: Tensor) -> Tensor:
    double = conv(f"{b}.branch3x3dbl_3", _chain(conv, x, f"{b}.branch3x3dbl_1", f"{b}.branch3x3dbl_2"), 2)
    return torch.cat([conv(f"{b}.branch3x3", x, 2), double, F.max_pool2d(x, 3, 2)], 1)


def _block_c(conv: Conv, b: str, x: Tensor) -> Tensor:
    seven = _chain(conv, x, *(f"{b}.branch7x7_{i}" for i in (1, 2, 3)))
    double = _chain(conv, x, *(f"{b}.branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)))
    return torch.cat([conv(f"{b}.branch1x1", x), seven, double, conv(f"{b}.branch_pool", _average(x))], 1)


def _block_d(conv: Conv, b: str, x: Tensor) -> Tensor:
    three = conv(f"{b}.branch3x3_2", conv(f"{b}.branch3x3_1", x), 2)
    seven = conv(f"{b}.branch7x7x3_4", _chain(conv, x, *(f"{b}.branch7x7x3_{i}" for i in (1, 2, 3))), 2)
    return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


def _block_e(conv: Conv, b: str, x: Tensor, pool: Tensor) -> Tensor:
    three = conv(f"{b}.branch3x3_1", x)
    double = _chain(conv, x, f"{b}.branch3x3dbl_1", f"{b}.branch3x3dbl_2")
    parts = [conv(f"{b}.branch1x1", x)]
    parts += [conv(f"{b}.branch3x3_2{side}", three) for side in "ab"]
    parts += [conv(f"{b}.branch3x3dbl_3{side}", double) for side in "ab"]
    return torch.cat([*parts, conv(f"{b}.branch_pool", pool)], 1)


def _bilinear(size: int) -> Tensor:
    """Return (299, size): row i interpolates linearly at i * size / 299, the last pixel repeated beyond the edge."""
    position = torch.arange(SIZE, dtype=torch.float64) * size / SIZE
    low = position.floor().long()
    matrix = torch.zeros(SIZE, size, dtype=torch.float64)
    rows = torch.arange(SIZE)
    matrix[rows, low] += 1 - (position - low)
    matrix[rows, (low + 1).clamp(max=size - 1)] += position - low
    return matrix.float()


@cache
def _load(path: str) -> tuple[dict[str, Tensor], str]:
    """Read the weights and their hash; anything but the expected network is a ReverieError."""
    file = Path(path)
    if not file.is_file():
        raise ReverieError(f"There is no file {path}. Inception weights are read from a local safetensors file.")
    try:
        weights = safetensors.torch.load_file(file)
    except safetensors.SafetensorError as error:
        raise ReverieError(
            f"{path} is not a safetensors file ({error}). TorchScript and pickled weights are not loaded, as they can "
            "run code; `python -m pydoc reverie.metrics.inception` shows the lines that convert them."
        ) from error
    if weights.get("fc.weight", torch.empty(0)).shape != (1008, 2048):
        raise ReverieError(
            f"{path} does not hold the Inception network of the FID literature: fc.weight should be (1008, 2048). "
            "(ImageNet's own Inception-v3, with 1,000 classes, is another network, and its scores would not be FID.)"
        )
    return weights, hashlib.sha256(file.read_bytes()).hexdigest()[:6]
