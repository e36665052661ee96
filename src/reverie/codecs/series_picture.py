"""A series drawn as lines over time, the way a person looks at it: with its scale, its times, and what each line is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs.series_items import Series
from reverie.codecs.series_times import iso, times_read
from reverie.codecs.sheets import font

if TYPE_CHECKING:
    from reverie.codecs.channels import Channel
    from reverie.codecs.series import SeriesCodec

_WIDTH, _HEIGHT, _FINER = 260, 150, 2  # of a picture; drawn twice as large and reduced, for smooth lines
_TOP, _BOTTOM, _ROW = 4, 16, 12  # margins: above and below, and of each row of names
_FOUR = 4  # names in a row
_REACH = 3.2  # standard deviations from the middle to the edge
_TICKS = (2, 0, -2)  # standard deviations at which the scale is told
_MOST = 8  # channels that are drawn
_TEXT, _GREY, _LINE = 9, (110, 110, 110), (225, 225, 225)
_COLOURS = (
    (31, 119, 180), (214, 95, 14), (44, 140, 60), (180, 40, 60), (120, 90, 170), (120, 85, 75), (200, 90, 170), (110, 110, 110),
)  # fmt: skip


def drawn(codec: SeriesCodec, item: Series) -> np.ndarray:
    """Each channel as a line, in the spread that training had, uint8 (H, W, 3); what was not observed is left out.

    The scale is in the channel's own units where there is one, in standard deviations (sd) where there are several.
    """
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (_WIDTH * _FINER, _HEIGHT * _FINER), "white")
    pen = ImageDraw.Draw(page)
    pen.font = font(_TEXT * _FINER)
    learned = [c for c in codec.channels if c["kind"] == "number"]
    left, right = codec.margins[0] * _FINER, page.width - codec.margins[1] * _FINER
    top, bottom = _names(pen, [c["name"] for c in learned], left, right), page.height - _BOTTOM * _FINER
    z = codec.encoded(item)[-len(learned) :][:_MOST]
    across = left + (right - left) * np.arange(z.shape[1]) / max(codec.length - 1, z.shape[1] - 1, 1)
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    for tick, words in zip(_TICKS, scale(codec.learned[-len(learned) :]), strict=True):
        y = middle - half * tick / _REACH
        pen.line([(left, y), (right, y)], fill=_LINE, width=_FINER)
        pen.text((left - 3 * _FINER, y), words, fill=_GREY, anchor="rm")
    for x, words, anchor in zip((left, across[-1]), times(codec, item), ("lt", "rt"), strict=True):
        pen.text((x, bottom + 3 * _FINER), words, fill=_GREY, anchor=anchor)
    for k in reversed(range(len(z))):
        _line(pen, across, middle - half * np.clip(z[k] / _REACH, -1, 1), _COLOURS[k])
    return np.asarray(page.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS))


def scale(channels: list[Channel]) -> list[str]:
    """What stands beside the lines at two standard deviations above the middle, in it and below."""
    if len(channels) > 1:
        return [f"{tick:+d} sd" if tick else "0" for tick in _TICKS]
    return [f"{value:.3g}" for value in channels[0].decode(np.array(_TICKS, dtype=np.float64))]


def times(codec: SeriesCodec, item: Series) -> list[str]:
    """The first and the last time; how many steps, of what stands at no date."""
    axis = codec.of_time
    if axis.kind == "index" or (axis.kind == "date" and item.times[0] == 0):
        return ["step 1", f"step {len(item):,}"]
    ends = item.times[[0, -1]]
    if axis.kind == "date" and axis.format is None:
        return [iso(t, axis.calendar)[:16].replace("T", " ").removesuffix(" 00:00") for t in ends.tolist()]
    return times_read(ends, axis)


def _names(pen: Any, names: list[str], left: int, right: int) -> int:
    """What each line is, in its colour, four in a row, each cut in its middle to its share of the width; the rows' lower end."""
    said = [*names[:_MOST], *([f"+{len(names) - _MOST}"] * (len(names) > _MOST))]
    share = (right - left) / min(len(said), _FOUR + (len(said) > _MOST))
    for k, name in enumerate(said):
        cut, short = len(name), name
        while pen.textlength(short) > share - 4 * _FINER and cut > 2:
            cut -= 1
            short = f"{name[: cut // 2]}…{name[len(name) - (cut + 1) // 2 :]}"
        row, column = divmod(k, _FOUR) if k < _MOST else (1, _FOUR)
        place = (left + column * share, (_TOP + row * _ROW) * _FINER)
        pen.text(place, short, fill=_COLOURS[k] if k < _MOST else _GREY, anchor="lt")
    return (_TOP + _ROW * (1 + (len(said) > _FOUR))) * _FINER


def _line(pen: Any, across: np.ndarray, up: np.ndarray, colour: tuple[int, int, int]) -> None:
    """A channel's stretches that were observed; one step alone is a point."""
    for part in np.split(np.arange(len(up)), np.flatnonzero(np.diff(np.isnan(up))) + 1):
        points = [(float(across[t]), float(up[t])) for t in part if not np.isnan(up[t])]
        if len(points) == 1:
            (x, y), r = points[0], 2 * _FINER
            pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)
        elif points:
            pen.line(points, fill=colour, width=2 * _FINER, joint="curve")
