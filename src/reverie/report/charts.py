"""Charts as inline SVG that take their colours from the page, so that they read on light and on dark.

Matplotlib draws with four stand-in colours; in the SVG these become the page's CSS variables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, ACCENT = "#010203", "#020304", "#030405", "#040506"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", LINE: "var(--line)", ACCENT: "var(--accent)"}
_POINTS = 400  # of a curve: more than a page has pixels for
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.size": 10, "svg.fonttype": "none", "text.color": INK, "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE, "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED, "axes.grid": True, "grid.color": LINE, "grid.linewidth": 0.6, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "lines.solid_capstyle": "round", "legend.frameon": False,
    "legend.fontsize": 9, "xtick.minor.size": 0, "ytick.minor.size": 0, "ytick.major.size": 0,
}  # fmt: skip
_PLAIN = {  # what processes call it that a log was written with
    "mean squared error of x0": "mean squared error of the guess",
    "sum of the fields' errors": "error of the guess",
    "nats per token": "log loss of a value",
    "n = sigma / alpha": "noise level n: noise over signal",
    "noise level of the first field": "noise level n",
    "odds of a token being lost, n": "noise level n: odds of a value being lost",
}
_HELD_OUT: dict[str, Any] = {"color": ACCENT, "linewidth": 2.2}
_TRAIN: dict[str, Any] = {"color": INK, "linewidth": 1.3}
_RAW: dict[str, Any] = {"color": MUTED, "linewidth": 1.3, "linestyle": (0, (1, 1.6))}
_BASELINE: dict[str, Any] = {"color": MUTED, "linewidth": 1.1, "linestyle": (0, (5, 3))}


def loss_by_noise(event: dict[str, Any]) -> str:
    """Error of the guess at each noise level, from a `validation` event of the log; both axes logarithmic."""
    noise, bands = event["noise"], event["bands"]
    measures = event.get("measures", {"error": "mean squared error of x0", "level": "n = sigma / alpha"})
    measures = {key: _PLAIN.get(words, words) for key, words in measures.items()}

    def draw(figure: Figure) -> None:
        axes, gap = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axes.axhline(event["baseline"], label="a constant guess", **_BASELINE)
        axes.plot(noise, bands["held_out_raw"], label="held-out, raw weights", **_RAW)
        axes.plot(noise, bands["train"], label="training items", **_TRAIN)
        axes.plot(noise, bands["held_out"], label="held-out items", marker="o", markersize=4, **_HELD_OUT)
        axes.set(xscale="log", yscale="log", ylabel=measures["error"])
        axes.legend(loc="lower right")
        gap.axhline(0, **_TRAIN)
        for key, style in (("held_out_raw", _RAW), ("held_out", {**_HELD_OUT, "marker": "o", "markersize": 4})):
            gap.plot(noise, 100 * (np.asarray(bands[key]) / np.asarray(bands["train"]) - 1), **style)
        gap.set(xlabel=measures["level"], ylabel="% above\ntraining")
        gap.locator_params(axis="y", nbins=3)
        _plain_logs(axes)
        figure.align_ylabels()

    return _svg(draw, (6.4, 4.6), "Error against noise level for training and held-out items and a constant guess")


def learning(steps: Sequence[dict[str, Any]], looks: Sequence[dict[str, Any]]) -> str:
    """Loss, learning rate and items a second against the step, from the `step` and `validation` events of the log."""

    def draw(figure: Figure) -> None:
        loss, rate, speed = figure.subplots(3, 1, sharex=True, height_ratios=(5, 1, 1))
        at = [e["step"] for e in steps]
        loss.plot(*_thinned(at, smoothed([e["loss"] for e in steps])), label="training, smoothed", **_TRAIN)
        loss.plot([e["step"] for e in looks], [e["held_out"] for e in looks], marker="o", markersize=4,
                  label="held-out items", **_HELD_OUT)  # fmt: skip
        loss.set(ylabel="loss", yscale="log")
        _plain_logs(loss, x=False)
        loss.legend(loc="upper right")
        rate.plot(*_thinned(at, [e["lr"] for e in steps]), color=MUTED, linewidth=1.2)
        rate.set(ylabel="learning\nrate", ylim=(0, None))
        per_second = [e["images"] / max(e["seconds"], 1e-9) for e in steps]
        speed.plot(*_thinned(at, smoothed(per_second)), color=MUTED, linewidth=1.2)
        speed.set(ylabel="items/s", ylim=(0, None), xlabel="step")
        for thin in (rate, speed):
            thin.locator_params(axis="y", nbins=2)
        figure.align_ylabels()

    return _svg(draw, (6.4, 5.2), "Training and held-out loss, learning rate and items a second against the step")


def copying(samples: Sequence[float], held_out: Sequence[float]) -> str:
    """Share of items whose nearest-training ratio is at most r, for samples and held-out items."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for values, name, style in ((held_out, "held-out items", _TRAIN), (samples, "samples", _HELD_OUT)):
            share = np.arange(1, len(values) + 1) / len(values)
            axes.step(*_thinned(np.sort(values), share), where="post", label=name, **style)
        axes.set(xlabel="nearest-training ratio (0: a copy, 1: nothing stands out)", ylabel="share of items below",
                 xlim=(0, 1), ylim=(0, 1.02))  # fmt: skip
        axes.legend(loc="best")

    return _svg(draw, (6.4, 3.2), "Share of samples and of held-out items below each nearest-training ratio")


def smoothed(values: Sequence[float], share: float = 0.02) -> np.ndarray:
    """Exponential mean over about `share` of the curve, corrected for its start: m_k / (1 - (1 - a)^k).

    A value that is not finite, as of a step that training skipped, leaves the mean as it was; before the first it is NaN.
    """
    a = 1 / max(1.0, share * len(values))
    found, mean, weight = np.full(len(values), np.nan), 0.0, 0.0
    for k, value in enumerate(values):
        if np.isfinite(value):
            mean, weight = mean + a * (value - mean), weight + a * (1 - weight)
        if weight:
            found[k] = mean / weight
    return found


def _thinned(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """At most `_POINTS` points of a curve, its ends among them."""
    keep = np.unique(np.linspace(0, len(x) - 1, _POINTS).round().astype(int))
    return np.asarray(x)[keep], np.asarray(y)[keep]


def _plain_logs(axes: Axes, x: bool = True) -> None:
    """Write 0.1 rather than a power of ten, at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in [axes.yaxis, *([axes.xaxis] if x else [])]:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axis.set_minor_locator(NullLocator())


def _svg(draw: Any, size: tuple[float, float], words: str) -> str:
    """Draw, and turn the file into an element that scales, is named for a screen reader, and shares no id with another."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": words}):
        figure = Figure(figsize=size, dpi=72, layout="constrained")
        figure.patch.set_alpha(0)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_alpha(0)
        file = io.StringIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)  # its style is for all
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'^<svg [^>]*viewBox="([^"]*)"[^>]*>', _OPENING.format(words=words), svg, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg


_OPENING = (
    r'<svg class="chart" viewBox="\1" role="img" aria-label="{words}" xmlns="http://www.w3.org/2000/svg" '
    r'xmlns:xlink="http://www.w3.org/1999/xlink">'
)
