"""How good samples are: metric(real, generated) on arrays of features, or of records. numpy level; imports nothing of core."""

from reverie.metrics.base import ColumnMetric, Features, Metric

__all__ = ["ColumnMetric", "Features", "Metric"]
