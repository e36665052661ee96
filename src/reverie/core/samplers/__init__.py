"""How time is walked back: one class a sampler, each a pure function of one step; and the one loop."""

from reverie.core.samplers.ancestral import Ancestral
from reverie.core.samplers.base import Sampler, Step, sample
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.samplers.heun import Heun
from reverie.core.samplers.multistep import DPMSolverPP2M

__all__ = ["Ancestral", "DPMSolverPP2M", "GaussianSampler", "Heun", "Leg", "Sampler", "Step", "sample"]
