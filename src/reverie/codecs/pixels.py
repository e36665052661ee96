"""What a picture is to Reverie: an array (H, W, C), and in words what its channels mean and what reading it changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reverie.errors import ReverieError

GREY, GREY_ALPHA, RGB, RGBA, BANDS = COLOURS = ("grey", "grey+alpha", "rgb", "rgba", "bands")
CHANNELS = {GREY: 1, GREY_ALPHA: 2, RGB: 3, RGBA: 4}
FIRST_FRAME = "several frames or pages: the first one read"


class UnreadableImage(ReverieError):
    """A file that is no image, or a damaged one; `reason` is the fault in a few words."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} cannot be read as an image: {reason}. Replace or remove it.")
        self.reason = reason


class Header(NamedTuple):
    """What a picture is: its size once upright, its channels and what they mean, and what reading it changes."""

    height: int
    width: int
    channels: int
    dtype: str
    colour: str
    changes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pixels: np.ndarray, colour: str | None = None, changes: tuple[str, ...] = ()) -> Header:
        """Describe an array (H, W, C); what its channels mean is taken from their number unless it is told."""
        height, width, channels = pixels.shape
        return cls(
            height, width, channels, str(pixels.dtype), colour or colour_of(channels, str(pixels.dtype)), changes
        )

    @property
    def words(self) -> str:
        """Size, colour and dtype, as "480x640 rgb uint8"."""
        colour = self.colour if self.colour != BANDS else f"{self.channels} bands"
        return f"{self.height}x{self.width} {colour} {self.dtype}"


class Picture(NamedTuple):
    """A decoded picture, (H, W, C), and its header."""

    pixels: np.ndarray
    header: Header


def colour_of(channels: int, dtype: str) -> str:
    """Say what channels mean where no file does; a second or fourth one is alpha for unsigned integers only."""
    if channels in (2, 4) and np.dtype(dtype).kind != "u":
        return BANDS
    return {n: colour for colour, n in CHANNELS.items()}.get(channels, BANDS)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo a camera's orientation, (H, W, C) -> (H, W, C) or (W, H, C). Source: EXIF 2.32, tag 274."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def finished(pixels: np.ndarray, orientation: int, colour: str, changes: tuple[str, ...]) -> Picture:
    """Bring decoded pixels to (H, W, C), upright, in the machine's byte order."""
    pixels = upright(pixels[..., None] if pixels.ndim == 2 else pixels, orientation)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
    return Picture(pixels, Header.of(pixels, colour, changes))
