"""A model of rows that knows the truth: a standard normal number, and a word that is likelier the larger the number is."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from reverie import registry
from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.core.denoiser import Learned
from reverie.core.processes import Gaussian, Masked, Product
from reverie.core.shapes import time_of
from reverie.core.survival import LogLinear
from reverie.example import ENTRIES
from reverie.model import Model
from reverie.samples import Settings

Z = torch.linspace(-5, 5, 201)


def table(n=4000, slope=2.0, seed=0):
    """z standard normal, P(yes | z) = 1 / (1 + exp(-slope z))."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    yes = rng.random(n) < 1 / (1 + np.exp(-slope * z))
    return pd.DataFrame({"z": z, "answer": np.where(yes, "yes", "no")})


class Exact(Learned):
    """E[z | x_t] and log p(answer | x_t) by quadrature over z; with entries that are told, given these too."""

    def __init__(self, slope, told):
        super().__init__()
        self.network = nn.Linear(1, 1)
        self.network.takes_entries = told
        self.sigma_data, self.slope = 1.0, slope
        schedule = registry.build("schedules", "log-normal")
        self.process = Product(
            {"numbers": Gaussian(schedule, torch.zeros(1), torch.ones(1)), "classes2": Masked(2, LogLinear())}
        )

    def forward(self, x_t, t, cond=None):
        x, token, t = x_t["numbers"], x_t["classes2"], time_of(t)
        schedule = self.process.schedule
        alpha, sigma = (f(t).to(x).expand(len(x))[:, None] for f in (schedule.alpha, schedule.sigma))
        log_p = -0.5 * Z**2 - 0.5 * ((x - alpha * Z) / sigma) ** 2  # (B, Z)
        told = (cond or {}).get(ENTRIES)
        if told is not None:
            value = torch.where(told.present[:, None], told.value, torch.nan)
            token = torch.where(value[:, :1].isnan(), token, value[:, :1].long())
            near = -0.5 * ((value[:, 1:] - Z) / 0.05) ** 2
            log_p = torch.where(value[:, 1:].isnan(), log_p, near - 0.5 * Z**2)
        each = torch.stack([nn.functional.logsigmoid(s * self.slope * Z) for s in (-1, 1)])  # (K, Z)
        both = log_p[:, None] + each  # (B, K, Z)
        both = both.masked_fill((token != 2)[:, :, None] & (token[:, :, None] != torch.arange(2)[:, None]), -torch.inf)
        p = both.flatten(1).softmax(1).unflatten(1, both.shape[1:])
        known = self.process.fields["classes2"]
        return {
            "numbers": (p.sum(1) @ Z)[:, None],
            "classes2": known.settle(p.sum(2).clamp(min=1e-12).log()[:, :, None], x_t["classes2"], t),
        }

    def loss(self, *_):
        raise NotImplementedError

    output_scale = baseline = look = guess = loss


def exact_rows(slope=2.0, told=True):
    """The model, its codec fitted to many rows."""
    codec = TableCodec.fit(Rows(table(8_000, slope)))
    return Model(codec, Exact(slope, told).eval(), defaults=Settings("ancestral", "uniform", 60))
