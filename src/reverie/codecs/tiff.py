"""TIFF of any depth and number of bands, by tifffile; by Pillow's libtiff where tifffile would need imagecodecs."""

from __future__ import annotations

import sys
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image

from reverie.codecs import raster
from reverie.codecs.pixels import BANDS, FIRST_FRAME, GREY, GREY_ALPHA, RGB, RGBA, Header, Picture, finished

_PILLOW_MODE: dict[int, str] = {
    tifffile.PHOTOMETRIC.PALETTE: "P",
    tifffile.PHOTOMETRIC.SEPARATED: "CMYK",
    tifffile.PHOTOMETRIC.CIELAB: "LAB",
}


def _header(tif: tifffile.TiffFile) -> Header:
    page = tif.pages.first
    kind, samples = tifffile.PHOTOMETRIC, page.samplesperpixel
    if page.imagedepth > 1:
        raise ValueError("a volume; write its slices as files of their own")
    alpha = page.extrasamples[:1] in ((tifffile.EXTRASAMPLE.UNASSALPHA,), (tifffile.EXTRASAMPLE.ASSOCALPHA,))
    changes = [FIRST_FRAME] if len(tif.pages) > 1 else []
    height, width = page.imagelength, page.imagewidth
    if _orientation(page) >= 5:
        height, width = width, height
    if page.photometric not in (kind.MINISBLACK, kind.MINISWHITE, kind.RGB):  # Pillow's business: 8 bits, as RGB
        changes += [raster.READ_AS[_PILLOW_MODE[page.photometric]][1]] if page.photometric in _PILLOW_MODE else []
        return Header(height, width, 3, "uint8", RGB, tuple(changes))
    if tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples:
        changes.append("premultiplied alpha: kept as stored")
    colours = {1: GREY, 2: GREY_ALPHA if alpha else BANDS, 3: RGB, 4: RGBA if alpha else BANDS}
    if page.photometric != kind.RGB:
        colours |= {3: BANDS, 4: BANDS}
    dtype = "uint8" if page.bitspersample < 8 else str(np.dtype(page.dtype or "uint16").newbyteorder("="))
    return Header(height, width, samples, dtype, colours.get(samples, BANDS), tuple(changes))


def _orientation(page: tifffile.TiffPage) -> int:
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag else 1


def header(file: BinaryIO) -> Header:
    """Read what the first page is without decoding it."""
    with tifffile.TiffFile(file) as tif:
        return _header(tif)


def decode(file: BinaryIO) -> Picture:
    """Decode the first page at its own depth."""
    with tifffile.TiffFile(file) as tif:
        page, found = tif.pages.first, _header(tif)
        kind, packing = tifffile.PHOTOMETRIC, tifffile.COMPRESSION
        plain = (
            page.photometric in (kind.MINISBLACK, kind.MINISWHITE, kind.RGB)
            and page.bitspersample in (8, 16, 32, 64)
            and page.predictor in (1, 2)
            and page.compression
            in (packing.NONE, packing.ADOBE_DEFLATE, packing.DEFLATE, packing.PACKBITS, packing.LZMA)
        )
        inverted = page.photometric == kind.MINISWHITE and page.bitspersample > 8  # which Pillow would leave so
        if not plain and not inverted and (picture := _decode_by_pillow(file, found)):
            return picture
        pixels = page.asarray()  # where imagecodecs is needed and absent, tifffile says so
        if page.axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        if page.photometric == kind.MINISWHITE and pixels.dtype.kind == "u":
            pixels = np.iinfo(pixels.dtype).max - pixels
        return finished(pixels, _orientation(page), found.colour, found.changes)


def _decode_by_pillow(file: BinaryIO, found: Header) -> Picture | None:
    """Decode with libtiff what Pillow can hold at the depth that the header names; None for anything else."""
    file.seek(0)
    try:
        with Image.open(file, formats=("TIFF",)) as image:
            colour, dtype, _ = raster.layout(image, None)
            deep = found.dtype == "uint16" and image.mode in ("RGB", "RGBA")
            if not deep and (dtype != found.dtype or (found.colour == BANDS)):
                return None
            mode = raster.mode_of(image)  # before loading: what the file holds
            image.load()  # Pillow turns a TIFF upright by itself
            if deep:
                return finished(raster.high_and_low(file, image.mode, sys.byteorder), 1, colour, found.changes)
            return finished(np.asarray(image.convert(mode)), 1, colour, found.changes)
    except Image.UnidentifiedImageError:
        return None
