"""Rows drawn as a table of text, the way a person looks at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reverie.codecs.sheets import font

if TYPE_CHECKING:
    import pandas as pd

ROWS, COLUMNS, _LETTERS = 24, 12, 20
_LINE, _GAP = 16, 14
_HEAD, _TEXT, _GREY, _RULE, _BAND = (20, 60, 110), (40, 40, 40), (120, 120, 120), (200, 200, 200), (246, 248, 250)
_FILLED, _FILLED_TEXT = (255, 232, 194), (122, 66, 0)  # cells that were filled in, by colour and edge


def drawn(frame: pd.DataFrame, marked: np.ndarray | None = None, called: Sequence[str] = ()) -> np.ndarray:
    """The first rows and columns as a picture, uint8 (H, W, 3); how many more there are is said below.

    marked: cells that were filled in, bool of the frame's shape, which are coloured, and what that means is said below. called:
    what each row is called, written before it.
    """
    from PIL import Image, ImageDraw

    shown, letters = frame.iloc[:ROWS, :COLUMNS], font(10)
    columns = [[str(name), *map(cell, shown[name])] for name in shown.columns]
    columns = ([["", *called[: len(shown)]]] if called else []) + columns
    columns = [[_cut(" ".join(text.split())) for text in column] for column in columns]  # on one line
    right = [False] * bool(called) + [shown[name].dtype.kind in "iuf" for name in shown.columns]
    widths = [math.ceil(max(map(letters.getlength, column))) + _GAP for column in columns]
    below = [f"and {len(frame) - ROWS:,} more rows"] * (len(frame) > ROWS)
    below += [f"and {frame.shape[1] - COLUMNS} more columns"] * (frame.shape[1] > COLUMNS)
    filled = np.zeros(shown.shape, bool) if marked is None else marked[:ROWS, :COLUMNS]
    height = _LINE * (len(shown) + 1 + bool(below) + bool(filled.any())) + _GAP
    page = Image.new("RGB", (max(sum(widths) + _GAP, 220), height), "white")
    pen = ImageDraw.Draw(page)
    for k in range(1, len(shown), 2):
        pen.rectangle([3, _top(k + 1) - 1, page.width - 4, _top(k + 2) - 2], fill=_BAND)
    left = _GAP // 2
    for c, (column, width) in enumerate(zip(columns, widths, strict=True)):
        for k, text in enumerate(column):
            new = k > 0 and c >= bool(called) and filled[k - 1, c - bool(called)]
            if new:
                pen.rectangle(
                    [left - 3, _top(k) - 1, left + width - _GAP + 3, _top(k + 1) - 3],
                    fill=_FILLED,
                    outline=_FILLED_TEXT,
                )
            at = left + (width - _GAP - letters.getlength(text)) * right[c]
            colour = _HEAD if k == 0 else _FILLED_TEXT if new else _GREY if called and c == 0 else _TEXT
            pen.text((at, _top(k)), text, fill=colour, font=letters)
        left += width
    pen.line([(3, _LINE + 2), (page.width - 4, _LINE + 2)], fill=_RULE)
    end = len(shown) + 1
    if below:
        pen.text((_GAP // 2, _top(end)), ", ".join(below), fill=_GREY, font=letters)
    if filled.any():
        end += bool(below)
        pen.rectangle([_GAP // 2, _top(end) + 1, _GAP // 2 + 16, _top(end) + 11], fill=_FILLED, outline=_FILLED_TEXT)
        pen.text((_GAP // 2 + 22, _top(end)), "filled in", fill=_FILLED_TEXT, font=letters)
    return np.asarray(page)


def cell(value: object) -> str:
    """A cell as text; a dot where it is empty."""
    if value is None or str(value) in ("<NA>", "NaT", "nan"):  # pandas' own NA equals nothing, and says not even that
        return "·"
    return f"{value:.6g}" if isinstance(value, float) else str(value).removesuffix(" 00:00:00")


def _top(line: int) -> int:
    """Where a line of text begins, from above."""
    return 4 + line * _LINE


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
