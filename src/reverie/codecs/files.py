"""Image files <-> pixel arrays at full depth. Content decides what a file is, not its suffix.

What a reader has to change to make an array of a file (a palette, CMYK, a second frame) comes back in words, so that
whoever reads a thousand files can count and report it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

from reverie.codecs import raster, tiff
from reverie.codecs.pixels import BANDS, GREY_ALPHA, RGB, RGBA, Header, Picture, UnreadableImage
from reverie.errors import ReverieError

MAX_PIXELS = 89_478_485  # a quarter of a GiB of RGB, Pillow's own limit: more is taken for a decompression bomb
GAP = 3  # source pixels that are left to average over, a side, when a JPEG is decoded smaller than it is
_BOMB = f"more than {MAX_PIXELS:,} pixels (a decompression bomb?)"


def sniff(head: bytes) -> str | None:
    """Name the image format that a file's first 32 bytes announce, or None."""
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "bmp"  # two letters alone would make an image of many a text: the header's size must be one there is
    magic = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif"}
    return next((kind for start, kind in magic.items() if head.startswith(start)), None)


def header(file: BinaryIO, name: str) -> Header:
    """Read a picture's header without decoding it.

    Raises UnreadableImage for what is no image, a damaged one, and one of more than MAX_PIXELS pixels.
    """
    kind = _kind(file, name)
    with _faults(name), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours, below
        if kind == "tiff":
            found = tiff.header(file)
        else:
            found = raster.header(file)
    if found.height * found.width > MAX_PIXELS:
        raise UnreadableImage(name, _BOMB)
    return found


def decode(data: bytes, name: str, checked: Header | None = None, shrink_to: int | None = None) -> Picture:
    """Decode one picture at full depth, turned upright as its EXIF says, alpha kept, first frame of several.

    checked: its header, where that was read before. shrink_to: the longer side it will be resized to next: a JPEG of
    more than GAP times that is decoded smaller, eight times faster for a photograph; the header tells its full size.
    Raises UnreadableImage.
    """
    file = io.BytesIO(data)
    checked = checked or header(file, name)
    with _faults(name):
        picture = (
            tiff.decode(file)
            if _kind(file, name) == "tiff"
            else raster.decode(file, None if shrink_to is None else GAP * shrink_to)
        )
    if picture.pixels.dtype.kind == "f" and not np.isfinite(picture.pixels).all():
        raise UnreadableImage(name, f"{int((~np.isfinite(picture.pixels)).sum()):,} values are NaN or infinite")
    return picture._replace(header=checked) if shrink_to is not None else picture


def suffixes(pixels: Header) -> tuple[str, ...]:
    """Name the files that hold a picture at full depth, the usual one first."""
    tiff = (".tif", ".tiff")
    png = pixels.colour != BANDS and (pixels.dtype == "uint8" or (pixels.dtype == "uint16" and pixels.channels == 1))
    return (".png", *tiff) if png else tiff


def to_png(pixels: np.ndarray, text: dict[str, str]) -> bytes:
    """Write uint8 with 1 to 4 channels, or uint16 with one, as PNG; `text` goes into its iTXt chunks."""
    notes = PngImagePlugin.PngInfo()
    for key, value in text.items():
        notes.add_itxt(key, value)
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    image.save(file, "PNG", pnginfo=notes)
    return file.getvalue()


def to_tiff(pixels: np.ndarray, colour: str, text: str) -> bytes:
    """Write any array (H, W, C) as a losslessly packed TIFF; `text` is its ImageDescription (non-ASCII escaped)."""
    options: dict[str, Any] = {"photometric": "rgb" if colour in (RGB, RGBA) else "minisblack"}
    if pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    else:
        options["planarconfig"] = "contig"
    if colour in (GREY_ALPHA, RGBA):
        options["extrasamples"] = ["unassalpha"]
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, description=text, compression="zlib", **options)
    return file.getvalue()


def _kind(file: BinaryIO, name: str) -> str:
    file.seek(0)
    head = file.read(32)
    file.seek(0)
    if not head:
        raise UnreadableImage(name, "0 bytes")
    if kind := sniff(head):
        return kind
    raise UnreadableImage(name, "not an image")


@contextmanager
def _faults(name: str) -> Iterator[None]:
    try:
        yield
    except ReverieError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble on
        words = " ".join(str(error).split())
        if isinstance(error, Image.DecompressionBombError):
            reason = _BOMB
        elif "truncated" in words.lower() or isinstance(error, EOFError):
            reason = "truncated"
        elif "imagecodecs" in words:
            reason = f"{words}; `pip install imagecodecs` reads it"
        else:
            reason = f"damaged ({words[:100] or type(error).__name__})"
        raise UnreadableImage(name, reason) from error
