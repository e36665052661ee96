"""PNG, JPEG, WebP, BMP and GIF by Pillow, at full depth: what Pillow must be told so that nothing is lost."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from reverie.codecs.pixels import CHANNELS, FIRST_FRAME, GREY, GREY_ALPHA, RGB, RGBA, Header, Picture, finished

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")

# Pillow's mode -> the mode it is read as, and what that changes.
READ_AS = {
    "1": ("L", "1-bit: read as 0 and 255"),
    "P": ("RGB", "palette: read as its colours"),
    "PA": ("RGBA", "palette: read as its colours"),
    "La": ("LA", "premultiplied alpha: divided out"),
    "RGBa": ("RGBA", "premultiplied alpha: divided out"),
    "RGBX": ("RGB", "unused fourth channel: dropped"),
    "CMYK": ("RGB", "CMYK: converted to RGB without a colour profile"),
    "YCbCr": ("RGB", "YCbCr: converted to RGB"),
    "LAB": ("RGB", "LAB: converted to RGB"),
    "HSV": ("RGB", "HSV: converted to RGB"),
}
_COLOUR_OF_MODE = {"L": GREY, "LA": GREY_ALPHA, "RGB": RGB, "RGBA": RGBA}
_DTYPE_OF_MODE = {
    "I;16": "uint16",
    "I;16L": "uint16",
    "I;16B": "uint16",
    "I;16N": "uint16",
    "I": "int32",
    "F": "float32",
}


def header(file: BinaryIO) -> Header:
    """Read what a picture is without decoding it."""
    with Image.open(file, formats=FORMATS) as image:
        colour, dtype, changes = layout(image, file)
        height, width = image.height, image.width
        # a PNG's EXIF may lie behind its pixels: looking for it there would decode the picture
        if "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5:
            height, width = width, height
        return Header(height, width, CHANNELS[colour], dtype, colour, changes)


def of_pillow(image: Image.Image) -> Picture:
    """Turn a Pillow image, as it is in memory, into pixels."""
    colour, _, changes = layout(image, None)
    mode = mode_of(image)
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return finished(pixels, image.getexif().get(ExifTags.Base.Orientation, 1), colour, changes)


def _png_header(image: Image.Image, file: BinaryIO | None) -> tuple[int, int]:
    """Return a PNG's bit depth and colour type from its IHDR chunk; (8, 0) stands for everything else."""
    if image.format != "PNG" or file is None:
        return 8, 0
    where = file.tell()
    file.seek(24)
    depth, colour_type = file.read(2)
    file.seek(where)
    return depth, colour_type


def mode_of(image: Image.Image) -> str:
    """Name the Pillow mode that an image is read as, its transparent colour made an alpha channel."""
    mode = READ_AS.get(image.mode, (image.mode, ""))[0]
    return mode + "A" if "transparency" in image.info and mode in ("L", "RGB") else mode


def layout(image: Image.Image, file: BinaryIO | None) -> tuple[str, str, tuple[str, ...]]:
    """Say what an opened image will be read as: colour, dtype, and what that changes."""
    depth, colour_type = _png_header(image, file)
    mode, dtype = mode_of(image), _DTYPE_OF_MODE.get(image.mode, "uint8")
    if depth == 16:
        mode = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}[colour_type]
        mode += "A" if "transparency" in image.info else ""
        dtype = "uint16"
    changes = [READ_AS[image.mode][1]] if image.mode in READ_AS else []
    if getattr(image, "n_frames", 1) > 1:  # formats that cannot move have no such attribute
        changes.append(FIRST_FRAME)
    return _COLOUR_OF_MODE.get(mode, GREY), dtype, tuple(changes)


def decode(file: BinaryIO, least: int | None = None) -> Picture:
    """Decode everything but TIFF; a JPEG at an even half, quarter or eighth if both its sides still have `least`."""
    with Image.open(file, formats=FORMATS) as image:
        if least is not None:
            width, height = image.size
            even = (k for k in (8, 4, 2) if width % k == height % k == 0 and min(width, height) >= k * least)
            if k := next(even, 0):
                image.draft(None, (width // k, height // k))  # means over blocks, straight from the cosine coefficients
        colour, _, changes = layout(image, file)
        depth, colour_type = _png_header(image, file)
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if depth == 16:
            pixels = _deep_png(file, image, colour_type)
        else:
            mode = mode_of(image)
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return finished(pixels, orientation, colour, changes)


def _raw(file: BinaryIO, rawmode: str) -> np.ndarray:
    """Decode a picture, but unpack its samples as `rawmode` says."""
    file.seek(0)
    with Image.open(file, formats=FORMATS) as image:
        image.tile = [
            tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
            for tile in image.tile
        ]
        return np.asarray(image)


def high_and_low(file: BinaryIO, mode: str, order: str) -> np.ndarray:
    """Read 16-bit colour at full depth with a decoder that keeps one byte of each sample.

    Pillow unpacks such samples to 8 bits by taking the first byte (raw mode ";16B") or the second (";16L"). Decoding
    once with each gives both halves; `order` is the samples' byte order as the unpacker sees them.
    """
    first, second = (_raw(file, f"{mode};16{end}").astype(np.uint16) for end in "BL")
    return first * 256 + second if order == "big" else second * 256 + first


def _deep_png(file: BinaryIO, image: Image.Image, colour_type: int) -> np.ndarray:
    """Read a 16-bit PNG of any colour type at full depth, with a transparent colour made an alpha channel."""
    if colour_type == 4:  # grey and alpha, 4 bytes a pixel: exactly the bytes of 8-bit RGBA
        return _raw(file, "RGBA").view(">u2")
    if colour_type == 0:
        pixels = np.asarray(image).astype(np.uint16)[..., None]
    else:
        pixels = high_and_low(file, image.mode, "big")
    if "transparency" in image.info:
        clear = (pixels == np.asarray(image.info["transparency"])).all(-1, keepdims=True)
        pixels = np.concatenate([pixels, np.where(clear, 0, 65535).astype(np.uint16)], axis=-1)
    return pixels
