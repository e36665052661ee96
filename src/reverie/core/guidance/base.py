"""The family of guided denoisers, and what they share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.processes import Gaussian, Process
from reverie.core.shapes import time_of
from reverie.errors import ReverieError


class Guidance(Denoiser):
    """A denoiser made from another one; samplers cannot tell the difference."""


def strength(process: Process, t: Tensor, scale: float, interval: tuple[float, float]) -> Tensor:
    """The scale where n = sigma / alpha is inside the interval, and 1, which is none, outside: t (B,) -> (B,)."""
    n = process.schedule.noise(time_of(t))
    return torch.where((n >= interval[0]) & (n <= interval[1]), scale, 1.0).to(torch.float64)


def gaussian(denoiser: Denoiser, what: str) -> Gaussian:
    """The denoiser's process, which must be Gaussian: what moves x0_hat along a gradient has no meaning elsewhere."""
    if not isinstance(denoiser.process, Gaussian):
        raise ReverieError(
            f"{what} moves x0_hat along a gradient and needs a Gaussian process; this is a "
            f"{type(denoiser.process).__name__} process. Use known entries ('known') or 'classifier-free' for it."
        )
    return denoiser.process


def tweedie(process: Gaussian, t: Tensor) -> Tensor:
    """sigma^2 / alpha: how far x0_hat moves for a change of the score of x_t by one. t: (*,) -> (*,)."""
    t = time_of(t)
    return process.schedule.sigma(t) ** 2 / process.schedule.alpha(t)


def pullback(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """f(x), and v -> v^T df/dx, where x is a batch of samples that f treats one by one.

    f is evaluated once, with gradients even inside the sample loop; each product costs about another evaluation. Where the
    caller is itself differentiating through x, both results can be differentiated again, so guidances nest.
    """
    nested = torch.is_grad_enabled() and x.requires_grad
    with torch.enable_grad():
        x = x if nested else x.detach().requires_grad_()
        value = f(x)
    if not value.requires_grad:
        raise ReverieError(
            "This guidance differentiates through the denoiser, whose output does not depend on its input in a way that "
            "PyTorch can follow. Remove no_grad, detach or NumPy from it, or use a guidance without gradients ('known')."
        )

    def pull(v: Tensor) -> Tensor:
        return torch.autograd.grad(value, x, v, retain_graph=True, create_graph=nested)[0]

    return (value if nested else value.detach()), pull
