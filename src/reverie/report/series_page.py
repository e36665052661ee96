"""One page about time series: the card of data/series_card.py, with the series as lines, distributions and autocorrelation.

One file that asks for nothing from outside: style inline, charts as SVG, no script.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reverie.codecs.channels import fitted
from reverie.codecs.series_items import Windows
from reverie.data.dataset import Data
from reverie.data.series_card import autocorrelation, facts
from reverie.data.series_words import moment, steps
from reverie.metrics.series import cross_correlations
from reverie.report import curves, marginals, pairs
from reverie.report.curves import Curve
from reverie.report.templates import template

SERIES, CHANNELS, MOST = 6, 6, 24  # series and channels drawn as lines; channels in charts
LOOKED_AT = 200_000  # values behind a distribution


def build(data: Data, card: dict[str, Any]) -> str:
    """Write the page, as HTML text. card: what `card(data)` gave."""
    windows = Windows.of(data.items)
    learned = [k for k, c in enumerate(card["channels"]) if c["kind"] == "number"]
    names = [windows.channels[k] for k in learned]
    tied = _tied(windows, learned, names)
    return template("series_page.html").render(
        card=card,
        facts=facts(card),
        lines=_lines(windows, learned[:CHANNELS]),
        drawn=min(SERIES, len(windows.series)),
        every=len(windows.series),
        marginals=_marginals(windows, learned[:MOST]),
        memory=_memory(windows, learned[:MOST], card),
        map=tied,
        map_names=[marginals.short(n, 14) for n in names[: pairs.MOST]],
        missing=sum(c["missing"] for c in card["channels"]),
    )


def _lines(windows: Windows, channels: list[int]) -> list[Curve]:
    """The first series, each channel a chart, on its own axis."""
    found = []
    for one in windows.series[:SERIES]:
        first, last = (moment(one.times[k], windows.axis) for k in (0, -1))
        for c in channels:
            x = one.values[:, c]
            low, high = curves.limits(x)
            many = f"{one.name}: " if len(windows.series) > 1 else ""
            name = f"{many}{windows.channels[c]}"
            paths = [("made", curves.line(_spread(x), low, high))]
            found.append(Curve(name, paths, *curves.ends(low, high), first, last, f"{name} over {len(x):,} steps"))
    return found


def _spread(x: np.ndarray, most: int = 480) -> np.ndarray:
    """A long line (T,) as the least and the largest of each of its stretches by turns, so that no spike is lost."""
    if len(x) <= most:
        return x
    parts = np.array_split(x, most // 2)
    ends = [(np.nan, np.nan) if np.isnan(p).all() else (np.nanmin(p), np.nanmax(p)) for p in parts]
    return np.array(ends).ravel()


def _marginals(windows: Windows, channels: list[int]) -> list[marginals.Marginal]:
    if not channels:
        return []
    rows = np.concatenate([one.values for one in windows.series])
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(np.int64)]
    names = [windows.channels[k] for k in channels]
    records = np.empty(len(rows), [(name, np.float64) for name in names])
    for name, k in zip(names, channels, strict=True):
        records[name] = rows[:, k]
    return marginals.marginals([fitted(windows.channels[k], windows.dtypes[k], rows[:, k]) for k in channels], records)


def _memory(windows: Windows, channels: list[int], card: dict[str, Any]) -> list[Curve]:
    found = []
    for k in channels:
        lags, about = autocorrelation(windows, k), card["channels"][k]
        season = about["season"]
        lags = lags[: 4 * season["lag"] if season else None]
        if len(lags) < 2:
            continue
        r = np.append(1.0, lags)
        low = min(-0.1, float(r.min()))
        paths = [("zero", curves.level(0.0, low, 1.0)), ("made", curves.line(r, low, 1.0))]
        paths += [("edge", curves.upright(season["lag"] / (len(r) - 1)))] if season else []
        note = f"again at {season['words']}" if season else ""
        words = f"Autocorrelation of {about['name']} up to {len(lags):,} steps {note}"
        found.append(Curve(about["name"], paths, f"{low:.2g}", "1", "0", steps(len(lags), windows.axis), words, note))
    return found


def _tied(windows: Windows, channels: list[int], names: list[str]) -> pairs.Map | None:
    """Correlations of channels at the same step, over all series; None for one channel."""
    if len(channels) < 2:
        return None
    chosen = channels[: pairs.MOST]
    rows = np.concatenate([one.values[:, chosen] for one in windows.series])
    r = cross_correlations(rows.T[None])
    np.fill_diagonal(r, np.nan)
    return pairs.heat_map("all steps", r, names[: pairs.MOST])
