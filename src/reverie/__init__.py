"""Reverie: train, sample, evaluate and serve diffusion models on your own data, on the machine you have."""

__version__ = "0.1.0"
