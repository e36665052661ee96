"""Bending a denoiser towards a wish: always Denoiser -> Denoiser, one file a guidance."""

from reverie.core.guidance.autoguidance import Autoguidance
from reverie.core.guidance.base import Guidance
from reverie.core.guidance.classifier import Classifier
from reverie.core.guidance.classifier_free import ClassifierFree
from reverie.core.guidance.known import Known
from reverie.core.guidance.linear import Blur, Downsample, Mask, Measurement, Projection
from reverie.core.guidance.posterior import DPS, MomentMatched, PiGDM

__all__ = [
    "DPS",
    "Autoguidance",
    "Blur",
    "Classifier",
    "ClassifierFree",
    "Downsample",
    "Guidance",
    "Known",
    "Mask",
    "Measurement",
    "MomentMatched",
    "PiGDM",
    "Projection",
]
