"""A model of series that knows the truth: AR(1), of variance 1, told entries or not."""

import numpy as np
import torch
from torch import nn

from reverie.codecs.series import SeriesCodec
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.core.denoiser import Learned
from reverie.core.processes import Gaussian
from reverie.core.schedules import EDM
from reverie.core.shapes import time_of
from reverie.example import ENTRIES
from reverie.model import Model

PHI, LENGTH = 0.8, 16


def covariance(steps):
    k = np.arange(steps)
    return PHI ** np.abs(k[:, None] - k)


def walk(steps, seed=0):
    """(T, 1) of the process."""
    rng = np.random.default_rng(seed)
    x = np.zeros(steps)
    x[0] = rng.standard_normal()
    for k in range(1, steps):
        x[k] = PHI * x[k - 1] + np.sqrt(1 - PHI**2) * rng.standard_normal()
    return x[:, None]


def windows(*values, axis=Axis()):
    """Whole series of one channel from arrays (T, 1)."""
    series = [Series(str(n), axis.step * np.arange(len(v)), v) for n, v in enumerate(values)]
    return Windows.whole(series, ["x"], axis, Layout(identity="series"))


class Exact(Learned):
    """E[x0 | x_t, told entries] of N(0, S), S_ij = phi^|i - j|."""

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(1, 1)
        self.network.takes_entries = True
        self.sigma_data = 1.0
        self.process = Gaussian(EDM(), torch.zeros(1, LENGTH), torch.ones(1, LENGTH))
        self.prior = torch.from_numpy(covariance(LENGTH))

    def forward(self, x_t, t, cond=None):
        n = self.process.schedule.noise(time_of(t)).expand(len(x_t))
        told = (cond or {}).get(ENTRIES)
        value = torch.full(x_t.shape, torch.nan) if told is None else told.value.view(x_t.shape)
        assert (n == n[0]).all()
        out = torch.empty_like(x_t)
        patterns, which = torch.unique(value[:, 0].isnan(), dim=0, return_inverse=True)
        for k, hidden in enumerate(patterns):
            out[which == k, 0] = self._alike(
                x_t[which == k, 0].double(), value[which == k, 0].double(), ~hidden, float(n[0])
            )
        return out

    def _alike(self, x, value, known, n):
        out, s = value.clone(), self.prior
        gain = torch.linalg.solve(s[known][:, known], s[known][:, ~known]).T
        mean = value[:, known] @ gain.T
        left = s[~known][:, ~known] - gain @ s[known][:, ~known]
        shrunk = left @ torch.linalg.inv(left + n**2 * torch.eye(len(left), dtype=left.dtype))
        out[:, ~known] = mean + (x[:, ~known] - mean) @ shrunk.T
        return out.float()

    def loss(self, example, t, eps, weighting):
        raise NotImplementedError

    output_scale = baseline = look = guess = loss


def exact_series():
    """Cut into windows of LENGTH."""
    codec = SeriesCodec.fit(windows(walk(5000)).cut(LENGTH))
    return Model(codec, Exact().eval())


def posterior(values, hole):
    """Mean and covariance of what is missing of a series (T, 1), given the rest."""
    s, h = covariance(len(values)), hole[:, 0]
    gain = s[h][:, ~h] @ np.linalg.inv(s[~h][:, ~h])
    return gain @ values[~h, 0], s[h][:, h] - gain @ s[~h][:, h]
