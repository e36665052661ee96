"""What learns: networks from (x, noise level, conditions) to an output of x's shape. Imports nothing of core."""

from reverie.networks.base import Network

__all__ = ["Network"]
