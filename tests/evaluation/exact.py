"""A model whose network is the exact denoiser of a Gaussian, so that what any sampler makes of it is known in closed form."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from reverie.codecs.image import ImageCodec
from reverie.conditions import Knowledge
from reverie.core.denoiser import NetworkDenoiser
from reverie.core.parameterisation import X0
from reverie.core.processes import Gaussian
from reverie.core.schedules import EDM
from reverie.data.dataset import Data
from reverie.metrics.base import Features
from reverie.model import Model
from reverie.samples import Settings

VARIANCE = torch.tensor([[[0.003, 0.01], [0.04, 0.02]]])  # of each of four pixels, small enough that nothing is clipped
SCALE = 0.1
CODEC = ImageCodec(2, 2, "grey", 1, "float32", -1.0, 1.0)


class Exact(nn.Module):
    """E[x0 | x] = v / (v + n^2) x under the EDM schedule, told x / sqrt(SCALE^2 + n^2) and log(n) / 4."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x, level, cond):
        n2 = torch.exp(8 * level.double())[:, None, None, None]
        shrunk = VARIANCE / (VARIANCE + n2) * torch.sqrt(SCALE**2 + n2)
        return (shrunk * x).to(x.dtype) + self.bias


class Pixels(Features):
    """The four pixels themselves."""

    name = "pixels"

    @property
    def hash(self):
        return "000000"

    def __call__(self, x):
        return x.reshape(len(x), -1).astype(np.float64)


@dataclass
class Factor:
    """What DDIM makes of one pixel's start: u_s = x0_hat + (n_s / n_t) (u - x0_hat), over a grid of n that ends at 0."""

    variance: np.ndarray

    def ddim(self, noises):
        product = np.ones_like(self.variance)
        for n_t, n_s in zip(noises[:-1], noises[1:], strict=True):
            keep = self.variance / (self.variance + n_t**2)
            product = product * (keep + n_s / n_t * (1 - keep))
        return product


def knowing(*classes):
    """What a model with these classes, all as frequent, knows."""
    label = {"kind": "label", "classes": list(classes), "frequencies": [1 / len(classes)] * len(classes)}
    return Knowledge.from_json({"label": label}, {})


def exact_model(**changes):
    process = Gaussian(EDM(), torch.zeros(()), VARIANCE.clone())
    parts = {"defaults": Settings(), "card": {"source": "gaussian", "split": hashlib.md5(b"").hexdigest()[:12]}}
    return Model(CODEC, NetworkDenoiser(Exact(), process, X0(), SCALE), **{**parts, **changes})


def real(count, seed=0, classes=None):
    """Items drawn from the Gaussian itself; labels in turn where there are classes."""
    z = np.random.default_rng(seed).standard_normal((count, 2, 2, 1))
    items = (z * np.sqrt(VARIANCE.numpy().reshape(2, 2, 1))).astype(np.float32)
    names = [f"item {k}" for k in range(count)]
    labels = None if classes is None else np.arange(count) % len(classes)
    return Data(items, names, labels, classes or [], source="gaussian")
