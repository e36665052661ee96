"""The family of guided denoisers."""

from __future__ import annotations

from reverie.core.denoiser import Denoiser


class Guidance(Denoiser):
    """A denoiser made from another one; samplers cannot tell the difference."""
