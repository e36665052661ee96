"""An adaptive solver of dy/dl = slope(l, y) in which every sample of a batch keeps a step size of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from reverie.core.shapes import expand
from reverie.errors import ReverieError

Parts = tuple[Tensor, ...]  # y in parts, each (B, *), every part held to the tolerance by itself

_PLACES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),  # the step itself, fifth order
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_FIRST_STEP = 0.01  # of the whole way


def dormand_prince(
    slope: Callable[[Tensor, Parts], Parts],
    y: Parts,
    start: float,
    end: float,
    rtol: float,
    atol: float,
    most_steps: int = 1000,
) -> Parts:
    """y at l = end from y at l = start, by steps of order 5 whose error, against order 4, is at most atol + rtol |y|.

    slope: (l (B,) float64, parts (B, *)) -> parts, each sample by itself. The error of a sample is the largest over its parts of
    the root mean square over a part's entries, so that a sample does not depend on its neighbours. 6 slopes a step, tried or
    taken, and 1 more; samples that have arrived stand still. Raises ReverieError where `most_steps` do not suffice.
    Source: Dormand & Prince 1980 (A Family of Embedded Runge-Kutta Formulae), table 2, RK5(4)7M; the rule of the step size is
    that of Hairer, Norsett & Wanner 1993 (Solving Ordinary Differential Equations I), section II.4.
    """
    if not (rtol > 0 and atol > 0):
        raise ReverieError(
            f"Tolerances rtol = {rtol:g} and atol = {atol:g} of an adaptive solver must both be above 0."
        )
    here = torch.full((len(y[0]),), float(start), dtype=torch.float64)
    h = _FIRST_STEP * (end - here)
    first = slope(here, y)
    if not all(bool(torch.isfinite(part).all()) for part in first):
        raise ReverieError(
            "The slope of the ODE is NaN or infinite where the solver starts: the network's output is not finite (training "
            "diverged?), or the data is not."
        )
    for _ in range(most_steps):
        arriving = h.abs() >= (end - here).abs()
        h = torch.where(arriving, end - here, h)
        slopes, there = [first], y
        for place, weights in zip(_PLACES, _STAGES, strict=True):
            there = tuple(a + expand(h, a) * d for a, d in zip(y, _blend(weights, slopes), strict=True))
            slopes.append(slope(here + place * h, there))
        error = torch.stack(
            [_size(h, d, a, b, rtol, atol) for d, a, b in zip(_blend(_ERROR, slopes), y, there, strict=True)]
        ).amax(0)
        taken = error <= 1
        here = torch.where(taken, torch.where(arriving, end, here + h), here)
        y, first = _where(taken, there, y), _where(taken, slopes[-1], first)
        if bool((here == end).all()):
            return y
        h = h * (0.9 * error.clamp(min=1e-10) ** -0.2).clamp(0.2, 10.0).nan_to_num(0.2)
    last = here.min() if end > start else here.max()
    raise ReverieError(
        f"The adaptive solver took {most_steps} steps and has come from log n = {start:.4g} only to {float(last):.4g}, on its "
        f"way to {end:.4g} at rtol = {rtol:g}, atol = {atol:g}. Loosen the tolerances (float32 supports some 1e-5), "
        "allow more steps (max_nfe), or see whether the "
        "network's output jumps."
    )


def trapezoid(slope: Callable[[Tensor, Parts], Parts], y: Parts, start: float, end: float, steps: int) -> Parts:
    """y at l = end from y at l = start in equal steps of order 2, the explicit trapezoidal rule; 2 slopes a step.

    Source: Hairer, Norsett & Wanner 1993 (Solving Ordinary Differential Equations I), section II.1, eq. 1.4 (Heun's method).
    """
    if steps < 1:
        raise ReverieError(f"{steps} steps of a solver; give a whole number from 1.")
    places = torch.linspace(start, end, steps + 1, dtype=torch.float64)
    for here, there in pairwise(places):
        h = there - here
        first = slope(here.expand(len(y[0])), y)
        second = slope(there.expand(len(y[0])), tuple(a + expand(h, a) * d for a, d in zip(y, first, strict=True)))
        y = tuple(a + expand(0.5 * h, a) * (c + d) for a, c, d in zip(y, first, second, strict=True))
    return y


def _blend(weights: tuple[float, ...], slopes: list[Parts]) -> Parts:
    """Part by part, the sum of weights times slopes."""
    return tuple(
        sum((w * d for w, d in zip(weights[1:], part[1:], strict=True) if w), start=weights[0] * part[0])
        for part in zip(*slopes, strict=True)
    )


def _size(h: Tensor, d: Tensor, a: Tensor, b: Tensor, rtol: float, atol: float) -> Tensor:
    """The error h d of one part against what is allowed between a and b: (B, *) -> (B,) float64 on the CPU."""
    ratio = expand(h, d) * d / (atol + rtol * torch.maximum(a.abs(), b.abs()))
    return ratio.flatten(1).pow(2).mean(1).sqrt().to("cpu", torch.float64)


def _where(taken: Tensor, new: Parts, old: Parts) -> Parts:
    return tuple(
        torch.where(taken.to(a.device).reshape(-1, *(1,) * (a.ndim - 1)), a, b) for a, b in zip(new, old, strict=True)
    )
