"""How much each noise level counts: every published weighting as one scalar on the squared error of x0.

The loss itself is computed on the network's output, with the weight converted (see `Parameterisation.x0_scale`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


class Weighting(ABC):
    """A weight on the squared error of x0, as a function of the noise level."""

    @abstractmethod
    def on_x0(self, log_snr: Tensor, x0_scale: Tensor, sigma_data: float) -> Tensor:
        """Weight w of w |x0_hat - x0|^2, (B,) -> (B,).

        x0_scale: squared error of the output per squared error of x0.
        """


@dataclass(frozen=True)
class Uniform(Weighting):
    """The plain loss on whatever the network says: with eps, DDPM's simple loss; with EDM's F, EDM's.

    Source: Ho et al. 2020, eq. 14.
    """

    def on_x0(self, log_snr: Tensor, x0_scale: Tensor, sigma_data: float) -> Tensor:
        """x0_scale, which the conversion to output space undoes."""
        return x0_scale


@dataclass(frozen=True)
class EDM(Weighting):
    """(n^2 + sd^2) / (n sd)^2, n = sigma / alpha, sd the data's standard deviation.

    Source: Karras et al. 2022, table 1 (lambda).
    """

    name = "edm"

    def on_x0(self, log_snr: Tensor, x0_scale: Tensor, sigma_data: float) -> Tensor:
        """1 / sd^2 + SNR."""
        return 1 / sigma_data**2 + torch.exp(log_snr)


@dataclass(frozen=True)
class SNR(Weighting):
    """The signal-to-noise ratio: the plain loss on eps.

    Source: Salimans & Ho 2022, section 4.
    """

    name = "snr"

    def on_x0(self, log_snr: Tensor, x0_scale: Tensor, sigma_data: float) -> Tensor:
        """alpha^2 / sigma^2."""
        return torch.exp(log_snr)


@dataclass(frozen=True)
class MinSNR(Weighting):
    """min(SNR, gamma): nearly clean inputs do not dominate.

    Source: Hang et al. 2023 (Efficient Diffusion Training via Min-SNR Weighting), eq. 7.
    """

    gamma: float = 5.0
    name = "min-snr"

    def on_x0(self, log_snr: Tensor, x0_scale: Tensor, sigma_data: float) -> Tensor:
        """min(SNR, gamma)."""
        return torch.exp(log_snr).clamp(max=self.gamma)


@dataclass(frozen=True)
class Sigmoid(Weighting):
    """SNR sigmoid(bias - log_snr): on eps, full weight on noisy levels that fades on nearly clean ones.

    Source: Kingma & Gao 2023 (Understanding Diffusion Objectives as the ELBO), section 5; Hoogeboom et al. 2024, eq. 8.
    """

    bias: float = 2.0

    def on_x0(self, log_snr: Tensor, x0_scale: Tensor, sigma_data: float) -> Tensor:
        """sigmoid(bias - log_snr) times the SNR, written without overflow."""
        return torch.exp(log_snr + torch.nn.functional.logsigmoid(self.bias - log_snr))
