"""Bending a denoiser towards a wish: always Denoiser -> Denoiser, one file a guidance."""

from reverie.core.guidance.base import Guidance
from reverie.core.guidance.classifier_free import ClassifierFree

__all__ = ["ClassifierFree", "Guidance"]
