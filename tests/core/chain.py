"""Four tokens of three classes under a joint table that does not factorise: everything about them by enumeration."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.processes import Categorical
from reverie.core.shapes import time_of

K, LENGTH = 3, 4


def _joint() -> Tensor:
    """Neighbours like to be equal, ends to differ, and no two sequences are equally likely."""
    g = torch.Generator().manual_seed(4)
    logits = 0.7 * torch.randn(K**LENGTH, generator=g, dtype=torch.float64)
    logits += 1.5 * (ALL[:, 1:] == ALL[:, :-1]).sum(1) - 1.0 * (ALL[:, 0] == ALL[:, -1])
    return torch.softmax(logits, 0)


def states(k: int) -> Tensor:
    """Every sequence of k values, (k^4, 4), the last token running fastest."""
    return torch.tensor(list(itertools.product(range(k), repeat=LENGTH)))


def code(x: Tensor, k: int) -> Tensor:
    """The row of `states(k)` that a sequence is: (B, 4) -> (B,)."""
    return x @ k ** torch.arange(LENGTH - 1, -1, -1)


ALL = states(K)
JOINT = _joint()  # (81,)
ENTROPY = float(-(JOINT * JOINT.log()).sum())  # nats a sequence
MARGINALS = torch.stack([torch.stack([JOINT[ALL[:, i] == v].sum() for v in range(K)]) for i in range(LENGTH)])


def kernel(process: Categorical, survival: Tensor) -> Tensor:
    """q(x_t | x_0) as a matrix (K, states): what the docstrings of Masked and Uniform say, written out."""
    stays = torch.eye(K, process.states, dtype=torch.float64)
    lost = torch.full((K, process.states), 1 / K, dtype=torch.float64)
    if process.states > K:
        lost = torch.zeros(K, process.states, dtype=torch.float64)
        lost[:, K] = 1
    return survival * stays + (1 - survival) * lost


def likelihoods(process: Categorical, t: float) -> Tensor:
    """q(x_t | x_0) of whole sequences, (81, states^4)."""
    q = kernel(process, process.schedule.survival(time_of(t)))
    found = torch.ones(len(ALL), process.states**LENGTH, dtype=torch.float64)
    for i, noisy in enumerate(states(process.states).T):
        found *= q[ALL[:, i]][:, noisy]
    return found


class Exact(Denoiser):
    """The exact marginals p(x0_i | x_t) of every noisy sequence, by Bayes' rule over all the clean ones; counts its calls."""

    def __init__(self, process: Categorical) -> None:
        super().__init__()
        self.process = process
        self.calls = 0

    def table(self, t: float) -> Tensor:
        """log p(x0_i = v | x_t) for every x_t, (states^4, K, 4); at t = 1 the limit, for states that cannot be there too."""
        weight = JOINT[:, None] * likelihoods(self.process, min(t, 1 - 1e-9))
        share = (weight / weight.sum(0)).T  # (states^4, 81)
        here = torch.nn.functional.one_hot(ALL, K).double().transpose(1, 2).flatten(1)  # (81, K * 4)
        return (share @ here).reshape(-1, K, LENGTH).log()

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        rows = code(x_t, self.process.states)
        if t.ndim == 0:
            return self.table(float(t))[rows]
        return torch.stack([self.table(float(one))[row] for one, row in zip(t, rows, strict=True)])


def distance(x: Tensor) -> float:
    """Total variation between samples (N, 4) and the joint; about 0.3 sqrt(81 / N) for exact samples."""
    share = torch.bincount(code(x, K), minlength=len(ALL)).double() / len(x)
    return float(0.5 * (share - JOINT).abs().sum())
