"""How good samples are: metric(real, generated) on arrays of features. numpy level; imports nothing of core."""

from reverie.metrics.base import Features, Metric

__all__ = ["Features", "Metric"]
