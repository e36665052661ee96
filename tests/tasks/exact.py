"""Models that know the truth: the exact denoiser of one Gaussian for each label, as a network that needs no training."""

import math

import numpy as np
import torch
from torch import nn

from reverie.codecs.image import ImageCodec
from reverie.conditions import Knowledge
from reverie.core.denoiser import NetworkDenoiser, TokenDenoiser
from reverie.core.parameterisation import EDM as Target
from reverie.core.processes import Gaussian, Masked
from reverie.core.schedules import EDM
from reverie.core.survival import LogLinear
from reverie.data.columns import Labels, Numbers, Pictures
from reverie.model import Model

SD = 0.25
MEANS = {"low": -0.3, "high": 0.3}
N_MIN = 0.002


class Means(nn.Module):
    """EDM's F for data N(m_label, sd^2): x0_hat = u + n^2 / (n^2 + sd^2) (m - u); told no label, m = 0."""

    def __init__(self, means, sd=SD):
        super().__init__()
        self.register_buffer("means", torch.tensor([*means, 0.0]))
        self.none = nn.Parameter(torch.zeros(1))
        self.sd = sd

    def forward(self, x, level, cond):
        n = torch.exp(4 * level)
        which = torch.full((len(x),), len(self.means) - 1)
        if "label" in cond:
            which = torch.where(cond["label"].present, cond["label"].value, which)
        f = self.means[which] * n / (self.sd * torch.sqrt(n**2 + self.sd**2))
        return f[:, None, None, None].expand_as(x) + self.none


def exact_model(side=8, dtype="uint8"):
    """Pictures whose pixels are independent, N(m_label, 0.25^2) in [-1, 1]; N(0, 0.25^2) told no label."""
    shape = (1, side, side)
    process = Gaussian(EDM(), torch.zeros(shape), torch.full(shape, SD**2))
    denoiser = NetworkDenoiser(Means(MEANS.values()), process, Target(SD), SD).eval()
    scale = {"low": -1.0, "high": 1.0} if dtype == "float32" else {}
    known = Knowledge.from_json({"label": {"kind": "label", "classes": list(MEANS), "frequencies": [0.5, 0.5]}}, {})
    return Model(ImageCodec(side, side, "grey", 1, dtype, **scale), denoiser, known)


STYLES, AGES = ["flat", "noto"], np.array([20.0, 30.0, 40.0, 50.0, 60.0, 70.0])
AGE = float(AGES.mean()), float(AGES.std())
SHIFT = {"style": 0.1, "age": 0.1, "sketch": 0.3}


class Shifted(nn.Module):
    """EDM's F for data N(m, sd^2), m the sum of what is told: +-0.1 by style, 0.1 per sd of age, 0.3 of each sketch's pixel."""

    def __init__(self):
        super().__init__()
        self.none = nn.Parameter(torch.zeros(1))

    def forward(self, x, level, cond):
        n, m = torch.exp(4 * level)[:, None, None, None], torch.zeros_like(x)
        for name, told in cond.items():
            value = 2.0 * told.value - 1 if name == "style" else told.value
            here = told.present.reshape(-1, 1, 1, 1)
            m = m + SHIFT[name] * (value if value.ndim == 4 else value[:, None, None, None]) * here
        return m * n / (SD * torch.sqrt(n**2 + SD**2)) + self.none


def shift(style=None, age=None):
    """The mean of an item that is told these."""
    place = 0 if style is None else 2 * STYLES.index(style) - 1
    return SHIFT["style"] * place + (0 if age is None else SHIFT["age"] * (age - AGE[0]) / AGE[1])


def told_model(*names, side=8, dtype="float32"):
    """Pictures whose pixels are independent, N(m, 0.25^2), m by `Shifted`; trained to be told what is named."""
    items = np.zeros((12, side, side, 1), np.uint8)
    items[6:] = 255
    columns = {"style": Labels.of(STYLES * 6), "age": Numbers(np.tile(AGES, 2)), "sketch": Pictures(items, "grey")}
    made = exact_model(side, dtype)
    made.denoiser.network = Shifted()
    made.conditions = Knowledge.fit({name: columns[name] for name in names}, (side, side))
    return made


def token_model(side=8):
    """A model of two-level tokens that thinks both as likely."""

    class Even(nn.Module):
        def __init__(self):
            super().__init__()
            self.logit = nn.Parameter(torch.zeros(2))

        def forward(self, x, level, cond):
            return self.logit.reshape(1, 2, 1, 1, 1).expand(len(x), 2, *x.shape[1:])

    return Model(ImageCodec(side, side, "grey", 1, levels=2), TokenDenoiser(Even(), Masked(2, LogLinear())))


def latent_of(x):
    """Where the ODE carries x when nothing is told: straight, in units of the spread at the lowest noise."""
    return x / math.sqrt(SD**2 + N_MIN**2)
