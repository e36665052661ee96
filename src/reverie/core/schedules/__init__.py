"""Noise schedules: alpha(t) and sigma(t); a new one is two lines."""

from reverie.core.schedules.base import Schedule
from reverie.core.schedules.chains import BetaChain, GeometricBeta, LinearBetaChain, ScaledLinear
from reverie.core.schedules.exploding import EDM, GeometricVE, LogNormal, RectifiedFlow
from reverie.core.schedules.preserving import Cosine, LinearBeta, Sigmoid, SubVP

__all__ = [
    "EDM",
    "BetaChain",
    "Cosine",
    "GeometricBeta",
    "GeometricVE",
    "LinearBeta",
    "LinearBetaChain",
    "LogNormal",
    "RectifiedFlow",
    "ScaledLinear",
    "Schedule",
    "Sigmoid",
    "SubVP",
]
