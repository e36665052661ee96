"""The one place where a per-sample scalar meets a batch of any shape."""

from __future__ import annotations

import torch
from torch import Tensor


def expand(c: Tensor, x: Tensor) -> Tensor:
    """Reshape c, () or (B,), to (B, 1, ...) so that it multiplies x (B, *); cast to x's dtype and device.

    Coefficients are computed in float64 on the CPU and rounded here, once.
    """
    return c.to(device=x.device, dtype=x.dtype).reshape(c.shape + (1,) * (x.ndim - c.ndim))


def flat_mean(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over all but the first axis, (B, *) -> (B,); over the entries where mask is true, if one is given."""
    if mask is None:
        return x.flatten(1).mean(1)
    mask = mask.to(x.dtype).expand_as(x)
    return (x * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


def time_of(t: Tensor | float) -> Tensor:
    """Turn a time into float64 on the CPU, where all coefficients are computed."""
    return torch.as_tensor(t, dtype=torch.float64, device="cpu")
