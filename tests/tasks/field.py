"""Models whose denoiser is exact: of a Gaussian field, whose every posterior is known."""

import torch
from torch import nn

from reverie.codecs.image import ImageCodec
from reverie.core.denoiser import Learned
from reverie.core.schedules import EDM
from reverie.model import Model
from tests.core.exact import Correlated, smooth

SIDE, SD = 6, 0.25
COVARIANCE = SD**2 * smooth((SIDE, SIDE))


class Field(Learned):
    """The exact denoiser of N(0, covariance) where a network would be."""

    def __init__(self, covariance, schedule):
        super().__init__()
        self.truth = Correlated(schedule, (1, SIDE, SIDE), covariance)
        self.process = self.truth.process
        self.sigma_data = float(covariance.diagonal().mean().sqrt())
        self.where = nn.Parameter(torch.zeros(()))

    def forward(self, x_t, t, cond=None):
        return self.truth(x_t.double(), t).to(x_t)

    def loss(self, example, t, eps, weighting):
        raise NotImplementedError

    def output_scale(self, t):
        raise NotImplementedError

    def baseline(self, x0):
        raise NotImplementedError

    def look(self, x_t, t, process):
        raise NotImplementedError

    def guess(self, prediction):
        raise NotImplementedError


def field_model(covariance=COVARIANCE, schedule=None):
    """A model of float32 pictures whose values are x itself."""
    codec = ImageCodec(SIDE, SIDE, "grey", 1, "float32", -1.0, 1.0)
    return Model(codec, Field(covariance, schedule or EDM()))


def draw(count, seed=0, covariance=COVARIANCE):
    """Exact samples, (count, 1, SIDE, SIDE) float64."""
    g = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(covariance)
    return (torch.randn(count, SIDE**2, generator=g, dtype=torch.float64) @ root.T).reshape(count, 1, SIDE, SIDE)


def as_items(x):
    """x (N, 1, H, W) as items (N, H, W, 1) float32."""
    return x.float().movedim(1, -1).numpy()


def as_x(items):
    """Items, a list of (H, W, 1), as (N, 1, H, W) float64."""
    return torch.stack([torch.from_numpy(one) for one in items]).movedim(-1, 1).double()
