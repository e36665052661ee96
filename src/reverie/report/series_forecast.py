"""Fan charts in a report: the last quarter of held-out windows, drawn many times by a model that is told what came before."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from reverie.codecs.series import SeriesCodec
from reverie.codecs.series_items import Axis, Series, Windows
from reverie.data.columns import Column, Labels, Numbers
from reverie.data.dataset import Data
from reverie.data.series_words import steps
from reverie.model import Model
from reverie.report import curves
from reverie.report.curves import Curve
from reverie.samples import Samples
from reverie.tasks.complete import complete
from reverie.tasks.parts.gaps import Fillings

WINDOWS, DRAWS, CHANNELS = 4, 20, 3  # shown
SHARE = 4  # of a window, what is drawn: its last quarter
INNER, OUTER = (0.25, 0.75), (0.05, 0.95)  # quantiles between which the bands lie
_LEAST = 8  # steps of a window that can be forecast


class Channel(NamedTuple):
    """How far off forecasts of a channel are. error: mean |median - truth|. still: of the last value that is known, repeated."""

    name: str
    error: str
    still: str


class Forecast(NamedTuple):
    """Fans, each of a window and a channel, of as many channels as `shown`; and what they are worth.

    inner, outer: how many of the n values that came lie in each band. channels: errors of each. ahead: how far, in words.
    """

    curves: list[Curve]
    inner: int
    outer: int
    n: int
    channels: list[Channel]
    ahead: str
    method: str
    shown: int


def forecast(model: Model, samples: Samples, held_items: Windows) -> Forecast | None:
    """Draw the ends of a few held-out windows, evenly spread, as samples were drawn; None where they are too short."""
    codec = cast(SeriesCodec, model.codec)
    chosen = np.unique(np.linspace(0, len(held_items) - 1, WINDOWS).round().astype(np.int64))
    windows = [one for one in held_items.take(chosen) if len(one) >= _LEAST]
    if not windows:
        return None
    ahead = min(map(len, windows)) // SHARE
    settings = samples.settings
    made = complete(
        model, _data(model, codec, windows), mask=f"last:{ahead}", samples=DRAWS, steps=settings.steps,
        sampler=settings.sampler, time_grid=settings.grid, seed=samples.seed,
    )  # fmt: skip
    return _shown(codec, windows, cast(Fillings, made), ahead)


def _data(model: Model, codec: SeriesCodec, windows: list[Series]) -> Data:
    """Windows as a person would give them, with what each series is known for."""
    told: dict[str, Column] = {}
    for column, name in (codec.static or {}).items():
        values = [one.static.get(column) for one in windows]
        if name in model.conditions and None not in values:
            number = model.conditions[name].kind == Numbers.kind
            told[name] = Numbers(np.array(values, dtype=np.float64)) if number else Labels.of(values, name)
    items = codec.joined([windows])
    return Data(items, [one.name or str(k) for k, one in enumerate(windows)], kind=codec.kind, conditions=told)


def _shown(codec: SeriesCodec, windows: list[Series], made: Fillings, ahead: int) -> Forecast:
    names = [c["name"] for c in codec.channels]
    learned = [names.index(c.name) for c in codec.learned if c.name in names]
    found, inside, scale = [], np.zeros(3, np.int64), []
    for k, one in enumerate(windows):
        drawn = np.stack([draw.series[k].values for draw in made.draws])
        hidden = np.arange(len(one)) >= len(one) - ahead
        quantiles = np.quantile(drawn, [OUTER[0], INNER[0], 0.5, INNER[1], OUTER[1]], axis=0, method="weibull")
        for c in learned:
            truth, bands = one.values[:, c], np.where(hidden, quantiles[..., c], np.nan)
            seen = hidden & ~np.isnan(truth)
            before = truth[~hidden & ~np.isnan(truth)]
            still = np.abs(before[-1] - truth[seen]) if len(before) else np.full(seen.sum(), np.nan)
            scale.append((c, np.abs(bands[2] - truth)[seen], still))
            inside += [
                ((bands[1] <= truth) & (truth <= bands[3])).sum(),
                ((bands[0] <= truth) & (truth <= bands[4])).sum(),
                seen.sum(),
            ]
            if c in learned[:CHANNELS]:
                found.append(_fan(names[c], one, truth, hidden, bands))
    errors = []
    for c in learned:
        error, still = (np.concatenate([part[k] for part in scale if part[0] == c]) for k in (1, 2))
        errors.append(Channel(names[c], curves.told(float(error.mean())), curves.told(float(np.nanmean(still)))))
    method = str(made.options["method"])
    return Forecast(
        found,
        int(inside[0]),
        int(inside[1]),
        int(inside[2]),
        errors,
        steps(ahead, Axis(**codec.axis)),
        method,
        min(CHANNELS, len(learned)),
    )


def _fan(name: str, one: Series, truth: np.ndarray, hidden: np.ndarray, bands: np.ndarray) -> Curve:
    last = int(np.argmax(hidden)) - 1
    if last >= 0:  # the fan begins where what is known ends
        bands = np.where(np.arange(len(truth)) == last, truth, bands)
    low, high = curves.limits(truth, bands)
    paths: list[tuple[str, str]] = [
        ("outer", curves.band(bands[0], bands[4], low, high)),
        ("inner", curves.band(bands[1], bands[3], low, high)),
        ("line", curves.line(bands[2], low, high)),
        ("truth", curves.line(truth, low, high)),
        ("edge", curves.upright(last / max(len(truth) - 1, 1))),
    ]
    return Curve(
        name,
        paths,
        *curves.ends(low, high),
        "",
        "",
        f"{name}, a held-out window of {len(one):,} steps: what came, and the forecast of its end",
    )
