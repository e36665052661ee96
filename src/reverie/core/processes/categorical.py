"""Categorical processes: a token keeps its value with probability survival(t), and is otherwise lost.

A state is int64 tokens (B, *); a prediction is log p(x0 | x_t) per token, classes first, (B, K, *). One uniform number a
token is all the randomness: which side it falls on, and where on that side, decide.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reverie.core.noise import Noise
from reverie.core.processes.base import Process
from reverie.core.shapes import expand, flat_mean, time_of
from reverie.core.survival import LogLinear, Survival
from reverie.errors import ReverieError

_AT_ONCE = 16  # samples
_LEAST = 2.0**-50  # odds of being lost below this are taken for this: t = 0 itself stays finite


@dataclass(frozen=True)
class Categorical(Process):
    """Tokens of K classes under any survival schedule; the two transitions are its subclasses.

    classes: K, the values 0 .. K - 1 that data takes.
    """

    error: ClassVar[str] = "nats per token"
    level: ClassVar[str] = "odds of a token being lost, n"
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
    def settle(self, logits: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """A network's raw numbers (B, K, *) as log p(x0 | x_t), with what each noisy token says of its own x0 put in.

        By Bayes' rule p(x0 | x_t) is proportional to q(x_t | x0) of the token times what the others say of it: the network
        has to learn the second factor alone, and numbers that are all equal are right for data without any structure.
        """

    def draw(self, noise: Noise, like: Tensor, key: int = 0) -> Tensor:
        """Uniform numbers in (0, 1), one a token: float64, or float32 where the device has no float64."""
        return noise.uniform(key, like.to(torch.float32 if like.device.type == "mps" else torch.float64))

    def mix(self, u: Tensor, c: Tensor, w: Tensor) -> Tensor:
        """log softmax of u + w (c - u): probabilities p_c^w p_u^(1 - w), renormalised.

        Where u or c rules a class out, c decides, but at w = 0, where u does.
        Source: Schiff et al. 2025 (Simple Guidance Mechanisms for Discrete Diffusion Models), their D-CFG, here on p(x0 | x_t).
        """
        w = expand(w, u)
        out = torch.isneginf(u) | torch.isneginf(c)
        return torch.log_softmax(torch.where(out, torch.where(w == 0, u, c), u + w * (c - u)), 1)

    def reveal(self, x_t: Tensor, value: Tensor, known: Tensor) -> Tensor:
        """Known tokens as they are, never lost."""
        return torch.where(known, value.to(x_t), x_t)

    def pin(self, prediction: Tensor, value: Tensor, known: Tensor) -> Tensor:
        """All probability on the known tokens."""
        if bool((known & ((value < 0) | (value >= self.classes))).any()):
            raise ReverieError(f"A known token is none of the {self.classes} classes, 0 to {self.classes - 1}.")
        itself = value[:, None] == _classes(self.classes, value)
        return torch.where(known[:, None], torch.where(itself, 0.0, -torch.inf).to(prediction), prediction)

    def temper(self, prediction: Tensor, temperature: float) -> Tensor:
        """Probabilities to the power 1 / temperature, renormalised; 0 leaves the likeliest class alone."""
        if temperature == 1:
            return prediction
        if temperature == 0:
            best = torch.zeros_like(prediction, dtype=torch.bool).scatter_(1, prediction.argmax(1, keepdim=True), True)
            return torch.where(best, 0.0, -torch.inf).to(prediction)
        return torch.log_softmax(prediction / temperature, 1)

    def prior_mismatch(self, t: Tensor) -> float:
        """None: at t = 1 nothing of the data is left."""
        return 0.0

    def _lost(self, t: Tensor, like: Tensor) -> Tensor:
        """1 - survival, shaped to meet uniform numbers of like's shape."""
        return expand(1 - self.schedule.survival(time_of(t)), like)

    def _kept(self, s: Tensor, t: Tensor) -> Tensor:
        """Probability that a token that is itself at s is so at t: survival(t) / survival(s)."""
        return self.schedule.survival(time_of(t)) / self.schedule.survival(time_of(s))

    def _haste(self, t: Tensor) -> Tensor:
        """-survival'(t) / (1 - survival(t)): the rate at which the lost are found again, going back in time."""
        t = time_of(t)
        return -self.schedule.slope(t) / (1 - self.schedule.survival(t))


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

    def settle(self, logits: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
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
        token = pick(prediction, eps / lifted)  # below `lifted`, eps is uniform still
        return torch.where((x_t == self.mask) & (eps < lifted), token, x_t)

    def divergence(
        self, x0: Tensor, prediction: Tensor, x_t: Tensor, t: Tensor, observed: Tensor | None = None
    ) -> Tensor:
        """-survival'(t) / (1 - survival(t)) times -log p(x0 | x_t) of the masked tokens; mean over tokens, (B,).

        Source: Shi et al. 2024, proposition 1; Sahoo et al. 2024, eq. 10.
        """
        surprise = torch.where(x_t == self.mask, -prediction.gather(1, x0[:, None])[:, 0], 0.0)
        return self._haste(t).to(surprise) * flat_mean(surprise, observed)


@dataclass(frozen=True)
class Uniform(Categorical):
    """A lost token takes any of the K values, its own included, with the same probability.

    Source: Austin et al. 2021 (D3PM), section 3.1; Schiff et al. 2025, their UDLM.
    """

    @property
    def states(self) -> int:
        """K: noise looks like data."""
        return self.classes

    def prior(self, like: Tensor, noise: Noise, t: Tensor) -> Tensor:
        """Every value equally likely; raises ReverieError for a t below 1."""
        _from_the_end(t, self)
        return (self.draw(noise, like) * self.classes).long().clamp(max=self.classes - 1)

    def diffuse(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Each token redrawn with probability 1 - survival(t)."""
        return self._redrawn(x0, self._lost(t, eps), eps)

    def forward(self, x_s: Tensor, s: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Each token redrawn with probability 1 - survival(t) / survival(s)."""
        return self._redrawn(x_s, expand(1 - self._kept(s, t), eps), eps)

    def settle(self, logits: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """log softmax of logits + log q(x_t | x0), which is log(1 + K survival / (1 - survival)) more where x0 is x_t.

        Without it the loss of a network that says nothing grows as 1 / t near the data.
        """
        here = x_t[:, None] == _classes(self.classes, x_t)
        return torch.log_softmax(logits + expand(torch.log1p(self._odds(t)), logits) * here, 1)

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
        (survival K), and r_theta the mean of r over p(x0 | x_t). Written in odds, c = K survival / (1 - survival), so that
        nothing cancels at either end of time: r(y) / b = 1 + c [y = x0] for x0 != x_t, 1 / (1 + c) for x0 = x_t.
        Source: Campbell et al. 2022 (A Continuous Time Framework for Discrete Denoising Models), proposition 2.
        """
        p = prediction.exp()
        here, true = ((x[:, None] == _classes(self.classes, x)).to(p) for x in (x_t, x0))
        odds = self._odds(t)
        c, b = expand(odds, p), (self._haste(t) / odds).to(p)
        guess, rate = (
            (q * (1 - here)).sum(1, keepdim=True) + (q * here).sum(1, keepdim=True) / (1 + c) + c * q for q in (p, true)
        )
        excess = c * (p - true - ((p - true) * here).sum(1, keepdim=True) / (1 + c))  # guess - rate, without their ones
        near = excess.abs() < 0.5 * rate
        log_ratio = torch.where(near, torch.log1p(torch.where(near, excess / rate, 0.0)), torch.log(guess / rate))
        apart = (excess - rate * log_ratio) * (1 - here)
        return b * flat_mean(apart.sum(1), observed)

    def _odds(self, t: Tensor) -> Tensor:
        """How much likelier than another value a token's own is, less 1: K survival / (1 - survival), (*,) -> (*,)."""
        return self.classes / self.schedule.noise(t).clamp(min=_LEAST)

    def _redrawn(self, x: Tensor, lost: Tensor, eps: Tensor) -> Tensor:
        value = (eps / lost * self.classes).clamp(max=self.classes - 1).long()  # below `lost`, eps is uniform still
        return torch.where(eps < lost, value, x)


def pick(log_p: Tensor, u: Tensor) -> Tensor:
    """Draw a class for each token by inverting the distribution function: (B, K, *), u (B, *) in (0, 1) -> (B, *).

    A class of probability 0 is never drawn.
    """
    found = []
    for some, at in zip(
        log_p.split(_AT_ONCE), u.split(_AT_ONCE), strict=True
    ):  # float64 of all would be twice the logits
        rising = torch.cumsum(some.to(u.dtype).exp(), 1)
        found.append((rising < at[:, None] * rising[:, -1:]).sum(1).clamp(max=log_p.shape[1] - 1))
    return torch.cat(found)


def _classes(k: int, tokens: Tensor) -> Tensor:
    """0 .. K - 1 along the axis of classes, to be compared with tokens (B, 1, *)."""
    return torch.arange(k, device=tokens.device).reshape(1, k, *(1,) * (tokens.ndim - 1))


def _from_the_end(t: Tensor, process: Categorical) -> None:
    if float(time_of(t)) < 1:
        raise ReverieError(
            f"A {type(process).__name__} process can start from nothing at t = 1 only, not at t = {float(t):.3g}. Use the grid "
            "'uniform'; in a Product, name the field of tokens first, whose time then sets where the grid starts."
        )
