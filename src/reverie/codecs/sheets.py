"""Contact sheets: pictures laid out on a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont

_GAP, _PAPER = 2, 255
_CELL = 48  # small pictures are enlarged, by a whole factor, to about this many pixels


@lru_cache
def font(size: int) -> FreeTypeFont:
    """DejaVu Sans, which has the letters of all of Europe and comes with matplotlib; a box stands for a letter that it lacks.

    Laid out letter by letter: Raqm, where Pillow has it, fails at some that it lacks.
    """
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", size, layout_engine=ImageFont.Layout.BASIC)


def grid(
    pictures: Sequence[np.ndarray], columns: int | None = None, labels: Sequence[str] | None = None
) -> Image.Image:
    """Lay out uint8 pictures (H, W, 3 or 4) in rows, enlarged without smoothing where they are small.

    labels: one for each, written under it. Transparent parts show a checkerboard.
    """
    from PIL import Image, ImageDraw

    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    height, width = pictures[0].shape[:2]
    scale = max(1, _CELL // max(height, width))
    text = 12 if labels else 0
    cell_h, cell_w = height * scale + text + _GAP, width * scale + _GAP
    sheet = Image.new("RGB", (columns * cell_w + _GAP, rows * cell_h + _GAP), (_PAPER,) * 3)
    draw, letters = ImageDraw.Draw(sheet), font(9)
    for k, picture in enumerate(pictures):
        left, top = _GAP + (k % columns) * cell_w, _GAP + (k // columns) * cell_h
        big = np.repeat(np.repeat(on_paper(picture), scale, 0), scale, 1)
        sheet.paste(Image.fromarray(big), (left, top))
        if labels:
            draw.text(
                (left, top + height * scale), labels[k][: max(3, width * scale // 6)], fill=(90, 90, 90), font=letters
            )
    return sheet


def on_paper(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3), what is transparent shown over a light checkerboard."""
    if picture.shape[2] == 3:
        return picture
    rows, columns = np.indices(picture.shape[:2]) // 4
    board = np.where((rows + columns) % 2, 225, 250)[..., None]
    alpha = picture[..., 3:].astype(float) / 255
    return np.round(alpha * picture[..., :3] + (1 - alpha) * board).astype(np.uint8)
