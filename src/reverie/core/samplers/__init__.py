"""How time is walked back: one class a sampler, each a pure function of one step; and the one loop."""

from reverie.core.samplers.adaptive import Adaptive
from reverie.core.samplers.ancestral import DDIM, Ancestral
from reverie.core.samplers.base import Sampler, Step, counted, sample
from reverie.core.samplers.confidence import Confidence
from reverie.core.samplers.euler import Euler
from reverie.core.samplers.gaussian import GaussianSampler, Leg
from reverie.core.samplers.heun import Heun
from reverie.core.samplers.langevin import AnnealedLangevin, PredictorCorrector
from reverie.core.samplers.multistep import DEIS, LMS, DPMSolverPP2M, DPMSolverPP3M
from reverie.core.samplers.restart import Restart
from reverie.core.samplers.sde import DPMSolverPP2MSDE, EulerMaruyama
from reverie.core.samplers.singlestep import DPMSolver2
from reverie.core.samplers.unipc import UniPC

__all__ = [
    "DDIM",
    "DEIS",
    "LMS",
    "Adaptive",
    "Ancestral",
    "AnnealedLangevin",
    "Confidence",
    "DPMSolver2",
    "DPMSolverPP2M",
    "DPMSolverPP2MSDE",
    "DPMSolverPP3M",
    "Euler",
    "EulerMaruyama",
    "GaussianSampler",
    "Heun",
    "Leg",
    "PredictorCorrector",
    "Restart",
    "Sampler",
    "Step",
    "UniPC",
    "counted",
    "sample",
]
