"""How probable does the model find items that it never saw? Bits per dimension, on few items, beside what is trivial.

A Gaussian process' model: a numerical estimate by the probability-flow ODE (`core.likelihood`); integers are first blurred over
their own bin, so the figure is in bits a value of the file costs. A model of tokens: a bound (`core.bound`). Items that are
no integers have a density only: then the figure is of the encoded numbers, may be negative, and compares only within one codec.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import norm

from reverie.core.bound import token_bound
from reverie.core.denoiser import Given, Learned
from reverie.core.likelihood import Hutchinson, dequantise, log_likelihood
from reverie.core.noise import Noise
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.example import Conditions
from reverie.model import Model, judging

ITEMS = 32  # of each set
PROBES = 1  # of the trace, for each item
TOLERANCE = 3e-3  # of the ODE
TIMES = 32  # of the bound on tokens


@dataclass(frozen=True)
class Likelihood:
    """Bits per dimension of held-out items, lower is better.

    bits, standard_error: mean over n held-out items and its standard error, which includes the estimate's own noise. low, high:
    95 % interval. train: the same on as many training items, the floor of a model that is right; far below `bits`, the model
    has learned its training items rather than their law. gaussian: of independent Gaussian entries with the training items' mean
    and variance, or, for tokens, of independent entries with the training items' frequencies. how: what was computed.
    """

    bits: float
    standard_error: float
    low: float
    high: float
    n: int
    train: float
    train_standard_error: float
    gaussian: float
    how: str

    def line(self) -> str:
        """Return it as one line for a person."""
        return (
            f"Bits per dimension {self.bits:.3f}  [{self.low:.3f}, {self.high:.3f}], n = {self.n:,}   "
            f"training items {self.train:.3f} ± {self.train_standard_error:.3f}   each value by itself {self.gaussian:.3f}   "
            f"{self.how}"
        )


def likelihood(model: Model, train: Data, held_out: Data, n: int = ITEMS, seed: int = 0) -> Likelihood:
    """Estimate bits per dimension on the first n held-out items (they are in no order) and as many training items.

    Raises ReverieError with fewer than 2 of either, or where the process has no likelihood.
    """
    if min(n, len(train), len(held_out)) < 2:
        raise ReverieError(f"A likelihood with its error needs 2 items; there are {len(held_out)} and {len(train)}.")
    tokens = model.codec.field.classes is not None
    width = None if tokens else bin_width(model, held_out.items[0])
    found, order = [], np.random.default_rng(seed)
    for data in (held_out, train):
        chosen = np.sort(order.permutation(len(data))[:n])
        some = data.subset(chosen)
        x = torch.from_numpy(model.encode(some.items)).to(model.device)
        cond = model.told(some)
        found.append(
            _tokens(model.denoiser, x, cond, seed) if tokens else _numbers(model.denoiser, x, cond, width, seed)
        )
    held, known = found
    trivial = _trivial(model.encode(train.items), model.encode(held_out.items), model.codec.field.classes, width)
    error = float(held.std(ddof=1) / math.sqrt(len(held)))
    reach, bits = float(norm.ppf(0.975)) * error, float(held.mean())
    return Likelihood(
        bits=bits,
        standard_error=error,
        low=bits - reach,
        high=bits + reach,
        n=len(held),
        train=float(known.mean()),
        train_standard_error=float(known.std(ddof=1) / math.sqrt(len(known))),
        gaussian=trivial,
        how=_how(tokens, width),
    )


def bin_width(model: Model, item: Any) -> float | None:
    """How far neighbouring integers of an item lie apart once encoded; None for items that are not integers."""
    values = np.asarray(item)
    if values.dtype.kind not in "ui":
        return None
    low, next_one = model.encode([np.zeros_like(values), np.ones_like(values)]).astype(np.float64)
    return float(np.max(next_one - low))


def _numbers(denoiser: Learned, x: torch.Tensor, cond: Conditions, width: float | None, seed: int) -> np.ndarray:
    """Bits per dimension of each item of a Gaussian process' model, (N,)."""
    noise = Noise.of(seed, len(x))
    blurred = x if width is None else dequantise(x, width, noise)
    with judging(denoiser):
        found = log_likelihood(
            Given(denoiser, cond), blurred, Hutchinson(noise, PROBES), rtol=TOLERANCE, atol=TOLERANCE
        )
    return found.bits_per_dim(1.0 if width is None else width).numpy()


def _tokens(denoiser: Learned, x: torch.Tensor, cond: Conditions, seed: int) -> np.ndarray:
    """A bound in bits per token of each item, (N,)."""
    with judging(denoiser):
        found = token_bound(Given(denoiser, cond), x, Noise.of(seed, len(x)), TIMES)
    return found.nats_per_token.numpy() / math.log(2)


def _trivial(train: np.ndarray, held_out: np.ndarray, classes: int | None, width: float | None) -> float:
    """Bits per dimension of held-out items (N, *) under entries that know nothing of each other, fitted on training items."""
    a, b = train.reshape(len(train), -1), held_out.reshape(len(held_out), -1)
    if classes is not None:
        counts = np.stack([np.bincount(column, minlength=classes) for column in a.T]) + 1.0  # none is impossible
        share = counts / counts.sum(axis=1, keepdims=True)
        return float(-np.log2(share[np.arange(b.shape[1]), b]).mean())
    grain = (width or 0.0) ** 2 / 12  # what blurring adds
    variance = np.maximum(a.var(axis=0, dtype=np.float64) + grain, 1e-6)
    nats = 0.5 * (np.log(2 * np.pi * variance) + ((b - a.mean(axis=0)) ** 2 + grain) / variance)
    return float(nats.mean() / math.log(2)) - math.log2(width or 1.0)


def _how(tokens: bool, width: float | None) -> str:
    if tokens:
        return f"a bound, by {TIMES} noise levels an item"
    what = "density of the encoded numbers" if width is None else "integers blurred over their bin"
    return f"an estimate by the probability-flow ODE, {PROBES} probe of the trace an item; {what}"
