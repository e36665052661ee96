"""Categorical processes: a token keeps its value with probability survival(t), and is otherwise lost.

A state is int64 tokens (B, *); a prediction is log p(x0 | x_t) per token, classes first, (B, K, *). One uniform number a
token is all the randomness: which side it falls on, and where on that side, decide.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.processes.base import Process
from reverie.core.shapes import expand, flat_mean, time_of
from reverie.core.survival import LogLinear, Survival
from reverie.errors import ReverieError


@dataclass(frozen=True)
class Categorical(Process):
    """Tokens of K classes under any survival schedule; the two transitions are its subclasses.

    classes: K, the values 0 .. K - 1 that data takes.
    """

    classes: int
    schedule: Survival = field(default_factory=LogLinear)

    def __post_init__(self) -> None:
        """Refuse a number of classes that leaves nothing to predict."""
        if self.classes < 2:
            raise ReverieError(f"Tokens of {self.classes} classes: there must be at least 2.")

    @property
    @abstractmethod
    def states(self) -> int:
        """How many values a noisy token can take: K, and one more where there is a mask."""

    @abstractmethod
    def settle(self, logits: Tensor, x_t: Tensor) -> Tensor:
        """A network's raw numbers (B, K, *) as log p(x0 | x_t), with what x_t itself says of x0 put in."""

    def draw(self, noise: Noise, like: Tensor, key: int = 0) -> Tensor:
        """Uniform numbers in (0, 1), float64, one a token."""
        return noise.uniform(key, like.to(torch.float64))

    def mix(self, u: Tensor, c: Tensor, w: Tensor) -> Tensor:
        """log softmax of u + w (c - u): probabilities p_c^w p_u^(1 - w), renormalised; a class that c rules out stays so.

        Source: Schiff et al. 2025 (Simple Guidance Mechanisms for Discrete Diffusion Models), eq. 12.
        """
        bent = torch.where(torch.isneginf(c), c, torch.where(torch.isneginf(u), c, u + expand(w, u) * (c - u)))
        return torch.log_softmax(bent, 1)

    def temper(self, prediction: Tensor, temperature: float) -> Tensor:
        """Probabilities to the power 1 / temperature, renormalised; 0 leaves the likeliest class alone."""
        if temperature == 1:
            return prediction
        if temperature == 0:
            best = torch.zeros_like(prediction, dtype=torch.bool).scatter_(1, prediction.argmax(1, keepdim=True), True)
            return torch.where(best, 0.0, -torch.inf).to(prediction)
        return torch.log_softmax(prediction / temperature, 1)

    def _lost(self, t: Tensor, like: Tensor) -> Tensor:
        """1 - survival, shaped to meet uniform numbers of like's shape."""
        return expand(1 - self.schedule.survival(time_of(t)), like)

    def _kept(self, s: Tensor, t: Tensor) -> Tensor:
        """Probability that a token that is itself at s is so at t: survival(t) / survival(s)."""
        return self.schedule.survival(time_of(t)) / self.schedule.survival(time_of(s))


@dataclass(frozen=True)
class Masked(Categorical):
    """A lost token becomes the mask, the value K, and stays it: absorbing diffusion.

    Source: Austin et al. 2021 (D3PM), section 3.1; Sahoo et al. 2024 (MDLM), section 3; Shi et al. 2024 (MD4), section 2.
    """

    @property
    def states(self) -> int:
        """K values and the mask."""
        return self.classes + 1

    @property
    def mask(self) -> int:
        """The value of a masked token."""
        return self.classes

    def prior(self, like: Tensor, noise: Noise, t: Tensor) -> Tensor:
        """All masked; raises ReverieError for a t below 1, where some tokens would have to be known."""
        _from_the_end(t, self)
        return torch.full(like.shape, self.mask, dtype=torch.int64, device=like.device)

    def diffuse(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Each token masked with probability 1 - survival(t)."""
        return torch.where(eps < self._lost(t, eps), self.mask, x0)

    def forward(self, x_s: Tensor, s: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Each token masked with probability 1 - survival(t) / survival(s)."""
        return torch.where(eps < expand(1 - self._kept(s, t), eps), self.mask, x_s)

    def settle(self, logits: Tensor, x_t: Tensor) -> Tensor:
        """log softmax where masked; where not, all on the token itself. The mask is no class, so never predicted."""
        known = (x_t != self.mask)[:, None]
        itself = x_t[:, None] == _classes(self.classes, x_t)
        return torch.where(known, torch.where(itself, 0.0, -torch.inf).to(logits), torch.log_softmax(logits, 1))

    def reverse(self, x_t: Tensor, prediction: Tensor, t: Tensor, s: Tensor, eps: Tensor, eta: float = 1.0) -> Tensor:
        """Each mask is lifted with probability (survival_s - survival_t) / (1 - survival_t), to a draw from the prediction.

        Source: Sahoo et al. 2024, eq. 7. eta means nothing here.
        """
        a_t, a_s = (self.schedule.survival(time_of(k)) for k in (t, s))
        lifted = expand((a_s - a_t) / (1 - a_t), eps)
        token = pick(prediction, (eps / lifted.clamp(min=1e-300)).clamp(max=1 - 2.0**-53))
        return torch.where((x_t == self.mask) & (eps < lifted), token, x_t)

    def divergence(
        self, x0: Tensor, prediction: Tensor, x_t: Tensor, t: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """-survival'(t) / (1 - survival(t)) times -log p(x0 | x_t) of the masked tokens; mean over tokens, (B,).

        Source: Shi et al. 2024, proposition 1; Sahoo et al. 2024, eq. 10.
        """
        t = time_of(t)
        weight = -self.schedule.slope(t) / (1 - self.schedule.survival(t))
        surprise = -prediction.gather(1, x0[:, None])[:, 0]
        surprise = torch.where(x_t == self.mask, surprise, 0.0)
        return weight.to(surprise) * flat_mean(surprise, observed)


@dataclass(frozen=True)
class Uniform(Categorical):
    """A lost token takes any of the K values, its own included, with the same probability.

    Source: Austin et al. 2021 (D3PM), appendix A.2.1; Schiff et al. 2025, section 4; Lou et al. 2024 (SEDD), eq. 16.
    """

    @property
    def states(self) -> int:
        """K: noise looks like data."""
        return self.classes

    def prior(self, like: Tensor, noise: Noise, t: Tensor) -> Tensor:
        """Every value equally likely; raises ReverieError for a t below 1."""
        _from_the_end(t, self)
        return (self.draw(noise, like) * self.classes).long()

    def diffuse(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Each token redrawn with probability 1 - survival(t)."""
        return self._redrawn(x0, self._lost(t, eps), eps)

    def forward(self, x_s: Tensor, s: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Each token redrawn with probability 1 - survival(t) / survival(s)."""
        return self._redrawn(x_s, expand(1 - self._kept(s, t), eps), eps)

    def settle(self, logits: Tensor, x_t: Tensor) -> Tensor:
        """log softmax: x_t says nothing for certain."""
        return torch.log_softmax(logits, 1)

    def reverse(self, x_t: Tensor, prediction: Tensor, t: Tensor, s: Tensor, eps: Tensor, eta: float = 1.0) -> Tensor:
        """A draw from sum over x0 of p(x0 | x_t) q(x_s | x_t, x0), in closed form.

        q(y | x_t, x0) = q(x_t | y) q(y | x0) / q(x_t | x0). eta means nothing here.
        Source: Austin et al. 2021, eq. 3 and 4.
        """
        p = prediction.exp()
        a_s, keep = self.schedule.survival(time_of(s)), self._kept(s, t)
        lost_s, lost_t, lost = (expand((1 - a) / self.classes, p) for a in (a_s, a_s * keep, keep))
        here = (x_t[:, None] == _classes(self.classes, x_t)).to(p)
        from_x0 = p / (expand(a_s * keep, p) * here + lost_t)  # p(x0 | x_t) / q(x_t | x0)
        to_y = expand(a_s, p) * from_x0 + lost_s * from_x0.sum(1, keepdim=True)
        return pick(torch.log((expand(keep, p) * here + lost) * to_y), eps)

    def divergence(
        self, x0: Tensor, prediction: Tensor, x_t: Tensor, t: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """Rate of the divergence between true and predicted reverse jumps, summed over where to; mean over tokens, (B,).

        sum over y != x_t of r_theta - r + r log(r / r_theta), with r(y) = b q(y | x0) / q(x_t | x0), b = -survival' /
        (survival K), and r_theta the mean of r over p(x0 | x_t).
        Source: Campbell et al. 2022 (A Continuous Time Framework for Discrete Denoising Models), proposition 2.
        """
        t = time_of(t)
        a = self.schedule.survival(t)
        p = prediction.exp()
        lost, b = expand((1 - a) / self.classes, p), expand(-self.schedule.slope(t) / (a * self.classes), p)
        here = (x_t[:, None] == _classes(self.classes, x_t)).to(p)
        true = (x0[:, None] == _classes(self.classes, x0)).to(p)
        at = expand(a, p) * here + lost  # q(x_t | x0) for every x0
        rate = b * (expand(a, p) * true + lost) / at.gather(1, x0[:, None])
        share = p / at
        guess = b * (expand(a, p) * share + lost * share.sum(1, keepdim=True))
        apart = (guess - rate + rate * torch.log(rate / guess)) * (1 - here)
        return flat_mean(apart.sum(1), observed)

    def _redrawn(self, x: Tensor, lost: Tensor, eps: Tensor) -> Tensor:
        value = (eps / lost.clamp(min=1e-300) * self.classes).long().clamp(max=self.classes - 1)
        return torch.where(eps < lost, value, x)


def pick(log_p: Tensor, u: Tensor) -> Tensor:
    """Draw a class for each token by inverting the distribution function: (B, K, *), u (B, *) in (0, 1) -> (B, *)."""
    rising = torch.cumsum(log_p.to(torch.float64).exp(), 1)
    below = rising < u[:, None] * rising[:, -1:]
    return below.sum(1).clamp(max=log_p.shape[1] - 1)


def _classes(k: int, tokens: Tensor) -> Tensor:
    """0 .. K - 1 along the axis of classes, to be compared with tokens (B, 1, *)."""
    return torch.arange(k, device=tokens.device).reshape(1, k, *(1,) * (tokens.ndim - 1))


def _from_the_end(t: Tensor, process: Categorical) -> None:
    if float(time_of(t)) < 1:
        raise ReverieError(
            f"A {type(process).__name__} process can start from nothing at t = 1 only, not at t = {float(t):.3g}; use the "
            "grid 'uniform'."
        )
