"""Classifier-free guidance, with an interval, and autoguidance by another reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reverie.core.denoiser import Learned
from reverie.core.guidance.base import Guidance, strength
from reverie.core.shapes import time_of
from reverie.example import Conditions, State, each, tensors


class ClassifierFree(Guidance):
    """x0_hat = u + w (c - u): away from what the model says without the condition, u, past what it says with it, c.

    scale: w; 1 is the conditional model itself, 0 the unconditional one. null: the conditions of u, by default the same
    ones told to nobody. reference: a denoiser for u; a worse version of the model is autoguidance.
    interval: (low, high) of n = sigma / alpha; outside it w = 1, and u is not computed.
    Source: Ho & Salimans 2022, eq. 6 (their w is ours minus 1); Kynkaanniemi et al. 2024 (interval); Karras et al. 2024
    (autoguidance).
    """

    def __init__(
        self,
        denoiser: Learned,
        cond: Conditions,
        scale: float = 1.0,
        null: Conditions | None = None,
        reference: Learned | None = None,
        interval: tuple[float, float] = (0.0, math.inf),
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.process = denoiser.process
        self.cond = cond
        self.null = {k: c.absent() for k, c in cond.items()} if null is None else null
        self.scale = scale
        self.reference = reference
        self.interval = interval

    def forward(self, x_t: State, t: Tensor) -> State:
        """The guided prediction, (B, *); one forward of twice the batch where both come from the same network."""
        t = time_of(t).expand(len(tensors(x_t)[0]))
        w = strength(self.process, t, self.scale, self.interval)
        if bool((w == 1).all()):
            return self.denoiser(x_t, t, self.cond)
        if self.reference is None:
            both = {k: self.null[k].joined(c) for k, c in self.cond.items()}
            twice = self.denoiser(each(lambda x: torch.cat([x, x]), x_t), torch.cat([t, t]), both)
            u, c = (each(lambda x, k=k: x.chunk(2)[k], twice) for k in (0, 1))
        else:
            u, c = self.reference(x_t, t, self.null), self.denoiser(x_t, t, self.cond)
        return self.process.mix(u, c, w)
