"""Time series in a report: windows as lines, channels one by one, over time and together, forecasts, and copies."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from markupsafe import Markup

from reverie.codecs import Codec
from reverie.codecs.series import SeriesCodec
from reverie.codecs.series_items import Axis, Windows
from reverie.data.dataset import Data
from reverie.data.series_words import steps
from reverie.evaluation.audit import Audit
from reverie.evaluation.membership import STRONG
from reverie.metrics.series import autocorrelations, cross_correlations, squares
from reverie.model import Model
from reverie.report import charts, closest, curves, marginals, pairs, series_page, words
from reverie.report.curves import Curve
from reverie.report.nearest import ranks
from reverie.report.panels.base import Panel, Subject
from reverie.report.series_forecast import DRAWS, forecast
from reverie.report.templates import template

CHANNELS = 4  # of which windows are shown as lines
MOST = 8  # of which curves are
WINDOWS = 6
PAIRS = 4  # samples beside their nearest training windows
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


class Lines(NamedTuple):
    """Windows of one channel on one axis: samples, and held-out ones."""

    name: str
    low: str
    high: str
    made: list[str]
    held: list[str]


class Beside(NamedTuple):
    """A sample and its nearest training window: how its ratio ranks, their distance, a chart for each channel."""

    rank: str
    distance: float
    curves: list[Curve]


class Sides(NamedTuple):
    """Windows in the data's own units: channels' names, samples and held-out windows (N, C, L), and how time is told."""

    names: list[str]
    made: np.ndarray
    held: np.ndarray
    axis: Axis


class SeriesPanel(Panel):
    """Series: windows as lines, distributions, memory and correlations of channels, quantiles over time, fans, closest windows.

    Source: fan charts, Britton et al. 1998 (The Inflation Report projections); autocorrelation plots, Box & Jenkins 1976, 2.1.
    """

    name: ClassVar[str] = "series"
    things: ClassVar[str] = "windows"
    nav: ClassVar[tuple[tuple[str, str], ...]] = (
        ("samples", "Samples"), ("channels", "Channels"), ("time", "Over time"), ("together", "Together"),
        ("forecast", "Forecast"), ("copying", "Copying and privacy"),
    )  # fmt: skip
    footer: ClassVar[str] = (
        f"Windows are drawn of the first {CHANNELS} channels and charts of the first {MOST}; all are measured. What "
        "lies beyond a chart's edge is drawn on it."
    )
    sheet: ClassVar[int] = 1200
    css: ClassVar[str] = "panels/series.css"

    def body(self, subject: Subject) -> Markup:
        """The sections, as HTML."""
        codec, audit = cast(SeriesCodec, subject.model.codec), subject.evaluation.audit
        z = [codec.numbers(subject.model.encode(i)) for i in (subject.samples.items, subject.held_items)]
        train = codec.numbers(subject.train_x)
        made, held = (codec.records(x) for x in z)
        sides = Sides([c.name for c in codec.learned], made, held, Axis(**codec.axis))
        cells = [c.number for c in codec.learned][:MOST]
        columns = marginals.marginals(list(cells), *(_records(x, sides.names[:MOST]) for x in (sides.held, sides.made)))
        body = template("panels/series.html").render(
            audit=audit,
            n=len(z[0]),
            held_n=len(z[1]),
            every=len(sides.names),
            lines=lines(sides),
            shown=WINDOWS,
            columns=columns,
            memory=memory(sides),
            bands=bands(sides),
            maps=maps(sides),
            names=[marginals.short(n, 14) for n in sides.names[: pairs.MOST]],
            forecast=forecast(subject.model, subject.samples, Windows.of(subject.held_items)),
            draws=DRAWS,
            distances=[("samples", closest.closest(_flat(z[0]), _flat(train))),
                       ("held-out windows", closest.closest(_flat(z[1]), _flat(train)))],
            nearest=beside(audit, sides, codec, z[0], train),
            copying=Markup(charts.copying(list(audit.ratios), closest.ratios_of(z[1], train))),
            length=steps(codec.length, sides.axis),
            strong=STRONG,
            percent=words.percent,
        )  # fmt: skip
        return Markup(body)

    def error_words(self, model: Model) -> str:
        """What the chart of the error by noise level shows."""
        return (
            "How far the model's guess of the clean window is off, at each noise level, in squared standard deviations of a "
            "channel. Little noise leaves little to guess; at great noise nothing beats the mean of each channel (dashed)."
        )

    def tile_width(self, codec: Codec) -> int:
        """Width in CSS pixels at which a picture of an item is shown."""
        return 260

    def data_page(self, data: Data, card: dict[str, Any]) -> str:
        """One page about data, as HTML text."""
        return series_page.build(data, card)


def lines(sides: Sides) -> list[Lines]:
    """The first samples beside held-out windows that are evenly spread, channel by channel, on one axis for both."""
    chosen = np.unique(np.linspace(0, len(sides.held) - 1, WINDOWS).round().astype(np.int64))
    found = []
    for c, name in enumerate(sides.names[:CHANNELS]):
        made, held = sides.made[:WINDOWS, c], sides.held[chosen, c]
        ends = curves.limits(made, held)
        paths = [[curves.line(one, *ends) for one in each] for each in (made, held)]
        found.append(Lines(name, *curves.ends(*ends), paths[0], paths[1]))
    return found


def memory(sides: Sides) -> list[Curve]:
    """Autocorrelation of each channel, and of its squares, of held-out windows and samples."""
    found = []
    length = sides.held.shape[2]
    if length < 4:
        return []
    for what, change in (("", lambda x: x), (", squares", squares)):
        real, made = (autocorrelations(change(x[:, :MOST])) for x in (sides.held, sides.made))
        for c, name in enumerate(sides.names[:MOST]):
            r, m = real[c], made[c]
            low, high = min(-0.1, float(r.min()), float(m.min())), max(0.2, float(r.max()), float(m.max()))
            paths = [
                ("zero", curves.level(0.0, low, high)),
                ("real", curves.line(r, low, high)),
                ("made", curves.line(m, low, high)),
            ]
            note = f"off by {np.abs(r - m).mean():.3f}"
            about = f"Autocorrelation of {name}{what} up to {length // 2} steps, held-out windows and samples: {note} in the mean"
            found.append(
                (
                    c,
                    Curve(
                        name + what, paths, *curves.ends(low, high), "1", steps(length // 2, sides.axis), about, note
                    ),
                )
            )
    return [curve for _, curve in sorted(found, key=lambda pair: pair[0])]


def bands(sides: Sides) -> list[Curve]:
    """Quantiles at each step: of held-out windows, then of samples, channel by channel."""
    found = []
    length = sides.held.shape[2]
    for c, name in enumerate(sides.names[:MOST]):
        each = [_quantiles(x[:, c]) for x in (sides.held, sides.made)]
        low, high = curves.limits(*each)
        for what, q in zip(("held-out windows", "samples"), each, strict=True):
            paths = [("outer", curves.band(q[0], q[4], low, high)), ("inner", curves.band(q[1], q[3], low, high)),
                     ("line", curves.line(q[2], low, high))]  # fmt: skip
            about = f"{name}: quantiles of {what} at each of {length} steps"
            found.append(
                Curve(f"{name}, {what}", paths, *curves.ends(low, high), "1", steps(length, sides.axis), about)
            )
    return found


def maps(sides: Sides) -> list[pairs.Map]:
    """Correlations of channels at the same step; none where there is one channel."""
    shown = sides.names[: pairs.MOST]
    if len(shown) < 2:
        return []
    real, made = (cross_correlations(x[:, : pairs.MOST]) for x in (sides.held, sides.made))
    each = {"held-out windows": real, "samples": made, "difference: samples less held-out": made - real}
    for r in each.values():
        np.fill_diagonal(r, np.nan)
    return [pairs.heat_map(title, r, shown) for title, r in each.items()]


def beside(audit: Audit, sides: Sides, codec: SeriesCodec, x: np.ndarray, train: np.ndarray) -> list[Beside]:
    """The most suspect samples and the median one, each over its nearest training window; x (N, C, L), train: both encoded."""
    chosen = ranks(audit.ratios)
    found = []
    for rank, k in [*chosen[: PAIRS - 1], *[one for one in chosen if one[0] == "median"]]:
        place = audit.nearest[k][0]
        near = codec.records(train[place : place + 1])[0]
        shown = []
        for c, name in enumerate(sides.names[:CHANNELS]):
            low, high = curves.limits(sides.made[k, c], near[c])
            paths = [("real", curves.line(near[c], low, high)), ("made", curves.line(sides.made[k, c], low, high))]
            about = f"{name}: sample {k} over the training window nearest to it"
            shown.append(Curve(name, paths, *curves.ends(low, high), "", "", about))
        found.append(Beside(rank, float(np.linalg.norm(x[k].astype(np.float64) - train[place])), shown))
    return found


def _records(x: np.ndarray, names: list[str]) -> np.ndarray:
    """Windows (N, C, L) as records of their channels, one for each step (N * L,)."""
    made = np.empty(x.shape[0] * x.shape[2], [(name, np.float64) for name in names])
    for c, name in enumerate(names):
        made[name] = x[:, c].ravel()
    return made[~np.isnan(x).all(1).ravel()]


def _quantiles(x: np.ndarray) -> np.ndarray:
    """Of windows (N, L) at each step, (5, L), NaN where none is that long."""
    found = np.full((len(QUANTILES), x.shape[1]), np.nan)
    there = ~np.isnan(x).all(0)
    found[:, there] = np.nanquantile(x[:, there], QUANTILES, axis=0)
    return found


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)
