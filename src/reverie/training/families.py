"""Families of diffusion models by name: which choices belong together. Any single one can be overridden."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """The choices of a published kind of model, as a person would type them; a new one is a few lines of data.

    process: `gaussian`; one of the token processes, for which parameterisation means nothing and `schedule` is a survival; or
    `product`, for data of several fields, numbers under `schedule` and masked tokens under `survival`.
    entries: share of items that are told some of their own, so that others can be filled in from them.
    steps, sampler, grid: how it samples unless told otherwise; None for the sampler's usual number of steps.
    """

    process: str = "gaussian"
    schedule: str = "edm"
    parameterisation: str | None = "edm"
    times: str = "uniform"
    weighting: str = "uniform"
    architecture: str = "unet"
    sampler: str = "heun"
    grid: str = "uniform"
    steps: int | None = None
    survival: str = "log-linear"
    entries: float = 0.0

    @property
    def reads(self) -> str:
        """What its networks read, see `reverie.networks.Network`."""
        return {"gaussian": "numbers", "product": "fields"}.get(self.process, "tokens")


@dataclass(frozen=True)
class EDM(Family):
    """Preconditioned denoising over log-normal noise levels, sampled by Heun in few steps: the default.

    Source: Karras et al. 2022 (Elucidating the Design Space of Diffusion-Based Generative Models), table 1.
    """

    name = "edm"
    schedule: str = "edm"
    parameterisation: str | None = "edm"
    times: str = "log-normal"
    sampler: str = "heun"
    grid: str = "karras"
    steps: int | None = 18


@dataclass(frozen=True)
class DDPM(Family):
    """The discrete chain of 1,000 steps with linear betas, the noise predicted; sampled ancestrally, in all steps or fewer.

    Source: Ho et al. 2020 (Denoising Diffusion Probabilistic Models), section 4.
    """

    name = "ddpm"
    schedule: str = "linear-beta-chain"
    parameterisation: str | None = "eps"
    sampler: str = "ancestral"
    grid: str = "trailing"


@dataclass(frozen=True)
class NCSN(Family):
    """A geometric ladder of noise levels, the score predicted, weighted by sigma^2; sampled by annealed Langevin dynamics.

    Source: Song & Ermon 2019 (Generative Modeling by Estimating Gradients), sections 3-4; Song & Ermon 2020 for the range.
    """

    name = "ncsn"
    schedule: str = "geometric-ve"
    parameterisation: str | None = "score"
    times: str = "ladder"
    weighting: str = "snr"
    sampler: str = "annealed-langevin"
    grid: str = "log-snr:n_min=0.01,n_max=50"


@dataclass(frozen=True)
class VPSDE(Family):
    """The variance-preserving SDE, sampled by its reverse-time SDE.

    Source: Song et al. 2021 (Score-Based Generative Modeling through SDEs), eq. 11.
    """

    name = "vp-sde"
    schedule: str = "linear-beta"
    parameterisation: str | None = "eps"
    sampler: str = "euler-maruyama"


@dataclass(frozen=True)
class VESDE(Family):
    """The variance-exploding SDE, sampled by predictor and corrector.

    Source: Song et al. 2021, eq. 9 and algorithm 2.
    """

    name = "ve-sde"
    schedule: str = "geometric-ve"
    parameterisation: str | None = "score"
    weighting: str = "snr"
    sampler: str = "predictor-corrector"


@dataclass(frozen=True)
class SubVPSDE(Family):
    """The sub-VP SDE, whose variance never exceeds the VP SDE's, sampled by its reverse-time SDE.

    Source: Song et al. 2021, eq. 12 and appendix B.
    """

    name = "subvp-sde"
    schedule: str = "sub-vp"
    parameterisation: str | None = "eps"
    sampler: str = "euler-maruyama"


@dataclass(frozen=True)
class Flow(Family):
    """Flow matching on straight lines from data to noise, the velocity predicted; sampled by its ODE.

    Source: Lipman et al. 2023 (Flow Matching for Generative Modeling); Liu et al. 2023; Esser et al. 2024 for the times.
    """

    schedule: str = "rectified-flow"
    parameterisation: str | None = "velocity"
    times: str = "logit-normal"
    sampler: str = "heun"


@dataclass(frozen=True)
class Masked(Family):
    """Tokens that are masked one by one and filled in again; trained on the bound of the likelihood.

    Pictures become tokens level by level of each pixel. Source: Sahoo et al. 2024 (MDLM); Shi et al. 2024 (MD4).
    """

    process: str = "masked"
    schedule: str = "log-linear"
    parameterisation: str | None = None
    architecture: str = "tokens"
    sampler: str = "ancestral"


@dataclass(frozen=True)
class Uniform(Family):
    """Tokens that are redrawn at random and corrected again; trained on the bound of the likelihood.

    Source: Austin et al. 2021 (D3PM), appendix A.2.1; Schiff et al. 2025 (UDLM), section 4.
    """

    process: str = "uniform"
    schedule: str = "log-linear"
    parameterisation: str | None = None
    architecture: str = "tokens"
    sampler: str = "ancestral"


@dataclass(frozen=True)
class Mixed(Family):
    """Numbers under Gaussian noise and categories that are masked, on one clock: for tables.

    Source: Kotelnikov et al. 2023 (TabDDPM); Shi et al. 2025 (TabDiff), section 3, whose masked categories and EDM targets these
    are; the noise schedule is EDM's law of training levels, so that even times suit both.
    """

    process: str = "product"
    schedule: str = "log-normal"
    architecture: str = "mlp"
    sampler: str = "ancestral"
    steps: int | None = 100
