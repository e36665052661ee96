"""How good samples are: metric(real, generated) on arrays of features, or of items' own values."""

from reverie.metrics.base import ColumnMetric, Features, Metric, SeriesMetric

__all__ = ["ColumnMetric", "Features", "Metric", "SeriesMetric"]
