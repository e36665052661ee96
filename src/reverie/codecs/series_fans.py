"""Fan charts: a series with what was drawn in its gaps, as the median and bands of the draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reverie.codecs.series_items import Series, Windows
from reverie.codecs.series_times import times_read

BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.35))  # quantiles, and how dark between them
_BEFORE = 3  # steps shown beside the gaps, in units of how far these reach
_MOST = 8  # panels
_TICKS = 3  # along time


def fans(
    windows: Windows, series: Sequence[Series], holes: Sequence[np.ndarray], draws: Sequence[Windows]
) -> np.ndarray:
    """The first channels of the first series with gaps, uint8 (H, W, 3): known values black, the draws' median and bands blue."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [(n, c) for n, hole in enumerate(holes) for c in np.flatnonzero(hole.any(0)).tolist()][:_MOST]
    columns = 2 if len(shown) > 1 else 1
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4.6 * columns, 2.0 * rows), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (n, c) in zip(panels, shown, strict=False):
        drawn = np.stack([draw.series[n].values[:, c] for draw in draws])
        known = np.where(holes[n][:, c], np.nan, series[n].values[:, c])
        fan(panel, known, drawn, holes[n][:, c], times_read(series[n].times, windows.axis))
        name = windows.channels[c]
        panel.set_title(f"{series[n].name}: {name}" if series[n].name else name, fontsize=8, loc="left")
    panels[0].plot([], [], color="#222222", linewidth=1.0, label="known")
    panels[0].plot([], [], color="#1f6fb4", linewidth=1.2, label="median of the draws")
    for (low, high, _), dark in zip(
        BANDS[::-1], (BANDS[0][2] + BANDS[1][2], BANDS[0][2]), strict=True
    ):  # one on the other
        panels[0].fill_between(
            [], [], [], color="#1f6fb4", alpha=dark, linewidth=0, label=f"{high - low:.0%} of the draws"
        )
    figure.legend(loc="outside lower left", ncols=4 if columns > 1 else 2, fontsize=7, frameon=False)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def fan(panel: Any, known: np.ndarray, drawn: np.ndarray, hole: np.ndarray, times: Sequence[str]) -> None:
    """One chart: known (T,), NaN where nothing is; drawn (K, T), hole (T,) bool, times (T,); around the last gap alone."""
    gaps = np.flatnonzero(hole)
    last = int(gaps[-1])
    first = int(gaps[np.flatnonzero(np.diff(gaps, prepend=-2) > 1)[-1]])  # of the last gap, which the future is
    reach = max(_BEFORE * (last - first + 1), 12)
    show = slice(max(0, first - reach), min(len(known), last + 1 + reach))
    steps = np.arange(len(known))[show]
    edge = hole | np.roll(hole, 1) | np.roll(hole, -1)  # bands begin at the last value that is known
    quantiles = {
        q: np.where(edge, np.quantile(drawn, q, axis=0), np.nan)[show] for q in (0.5, *BANDS[0][:2], *BANDS[1][:2])
    }
    for low, high, dark in BANDS:
        panel.fill_between(steps, quantiles[low], quantiles[high], color="#1f6fb4", alpha=dark, linewidth=0)
    panel.plot(steps, quantiles[0.5], color="#1f6fb4", linewidth=1.2)
    panel.plot(steps, known[show], color="#222222", linewidth=1.0)
    marks = np.unique(np.linspace(steps[0], steps[-1], _TICKS).round().astype(int))
    panel.set_xticks(marks, [times[k] for k in marks])
    panel.tick_params(labelsize=6)
    for text, side in zip(panel.get_xticklabels(), ("left", *["center"] * (len(marks) - 2), "right"), strict=False):
        text.set_horizontalalignment(side)
