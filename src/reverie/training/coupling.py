"""Which noise goes with which item of a batch: flow matching may choose, as long as noise alone stays noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from reverie.errors import ReverieError
from reverie.example import Example, count


class Coupling(ABC):
    """A joint law of data and noise whose two margins are the data's and the noise's own.

    whole: whether an item's noise depends on the rest of its batch, so that whoever shares the batch must see all of it.
    """

    whole: ClassVar[bool]

    @abstractmethod
    def pair(self, example: Example, eps: Tensor) -> Tensor:
        """The noise of each item of the batch, (B, *): a permutation of eps."""


@dataclass(frozen=True)
class Independent(Coupling):
    """Any noise with any item.

    Source: Ho et al. 2020, algorithm 1.
    """

    whole: ClassVar[bool] = False

    def pair(self, example: Example, eps: Tensor) -> Tensor:
        """eps itself."""
        return eps


@dataclass(frozen=True)
class OptimalTransport(Coupling):
    """Within each batch, the permutation of noises with the least sum of |x0 - eps|^2: paths cross less and are straighter.

    Items are paired among those with the same conditions only: otherwise noise would come to depend on the label, and
    sampling, where it does not, would start off the path. The ODE still ends in the data; the prediction is no score, so
    samplers that draw noise are refused.
    Source: Tong et al. 2024 (Improving and Generalizing Flow-Based Models with Minibatch Optimal Transport), section 3.2;
    Cheng & Schwing 2025 (The Curse of Conditions) for the conditions.
    """

    whole: ClassVar[bool] = True

    def pair(self, example: Example, eps: Tensor) -> Tensor:
        """The assignment problem, solved exactly for each set of items with equal conditions."""
        from scipy.optimize import linear_sum_assignment

        if isinstance(example.x0, dict):
            raise ReverieError(
                "--coupling optimal-transport pairs noise with data of one field of numbers; leave it out."
            )

        x0 = example.x0.detach().flatten(1).double().cpu()
        noise = eps.detach().flatten(1).double().cpu()
        order = torch.arange(len(x0))
        for group in _alike(example):
            cost = torch.cdist(x0[group], noise[group]).square()
            _, chosen = linear_sum_assignment(cost.numpy())
            order[group] = group[torch.from_numpy(chosen)]
        return eps[order.to(eps.device)]


def _alike(example: Example) -> list[Tensor]:
    """Places in the batch, in groups that share all their conditions."""
    told = [torch.where(_rows(c.present) > 0, _rows(c.value), -1.0) for c in example.cond.values()]
    if not told:
        return [torch.arange(count(example.x0))]
    rows = torch.cat([torch.cat([t, _rows(c.present)], 1) for t, c in zip(told, example.cond.values(), strict=True)], 1)
    _, group = np.unique(rows.numpy(), axis=0, return_inverse=True)
    return [torch.from_numpy(np.flatnonzero(group.ravel() == k)) for k in range(int(group.max()) + 1)]


def _rows(value: Tensor) -> Tensor:
    return value.detach().double().cpu().reshape(len(value), -1)
