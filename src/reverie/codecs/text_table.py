"""Rows drawn as a table of text, the way a person looks at them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reverie.codecs.sheets import font

if TYPE_CHECKING:
    import pandas as pd

_ROWS, _COLUMNS, _LETTERS = 24, 12, 16
_LINE, _GAP = 15, 10


def drawn(frame: pd.DataFrame) -> np.ndarray:
    """The first rows and columns as a picture, uint8 (H, W, 3); how many more there are is said below."""
    from PIL import Image, ImageDraw

    shown = frame.iloc[:_ROWS, :_COLUMNS]
    columns = [[str(name), *map(cell, shown[name])] for name in shown.columns]
    columns = [[" ".join(text.split()) for text in column] for column in columns]  # on one line
    columns = [[text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…" for text in column] for column in columns]
    letters = font(10)
    widths = [math.ceil(max(map(letters.getlength, column))) + _GAP for column in columns]
    more = [f"and {len(frame) - _ROWS:,} more rows"] * (len(frame) > _ROWS)
    more += [f"and {frame.shape[1] - _COLUMNS} more columns"] * (frame.shape[1] > _COLUMNS)
    height = _LINE * (len(shown) + 1 + bool(more)) + _GAP
    page = Image.new("RGB", (max(sum(widths) + _GAP, 220), height), "white")
    pen = ImageDraw.Draw(page)
    left = _GAP // 2
    for column, width in zip(columns, widths, strict=True):
        for k, text in enumerate(column):
            pen.text((left, 3 + k * _LINE), text, fill=(20, 60, 110) if k == 0 else (40, 40, 40), font=letters)
        left += width
    pen.line([(3, _LINE + 2), (page.width - 3, _LINE + 2)], fill=(200, 200, 200))
    if more:
        pen.text((_GAP // 2, 3 + (len(shown) + 1) * _LINE), ", ".join(more), fill=(120, 120, 120), font=letters)
    return np.asarray(page)


def cell(value: object) -> str:
    """A cell as text; a dot where it is empty."""
    if value is None or str(value) in ("<NA>", "NaT", "nan"):  # pandas' own NA equals nothing, and says not even that
        return "·"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
