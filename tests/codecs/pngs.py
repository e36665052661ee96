"""A PNG writer for tests: every bit of the format that Pillow cannot write. Source: PNG, 3rd edition, 9."""

import struct
import zlib

import numpy as np

COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _paeth(a, b, c):
    p = a + b - c
    return np.where(
        (abs(p - a) <= abs(p - b)) & (abs(p - a) <= abs(p - c)), a, np.where(abs(p - b) <= abs(p - c), b, c)
    )


def _filtered(pixels, filters):
    """Rows of 16-bit samples, each packed by one of the five filters in turn."""
    rows = pixels.astype(">u2").reshape(len(pixels), -1).view(np.uint8).astype(int)
    step, out, above = 2 * pixels.shape[2], b"", np.zeros(rows.shape[1], int)
    for k, row in enumerate(rows):
        left = np.concatenate([np.zeros(step, int), row[:-step]])
        corner = np.concatenate([np.zeros(step, int), above[:-step]])
        guess = [0, left, above, (left + above) // 2, _paeth(left, above, corner)][filters[k % len(filters)]]
        out += bytes([filters[k % len(filters)]]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    return out


def png16(pixels, filters=(0, 1, 2, 3, 4), interlace=False, clear=None, size=None):
    """A 16-bit PNG of (H, W, C), C from 1 to 4; `clear` is a transparent colour, `size` a lie in the header."""
    height, width, channels = pixels.shape
    parts = [pixels[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlace else [pixels]
    raw = b"".join(_filtered(part, filters) for part in parts if part.size)
    head = struct.pack(">IIBBBBB", *(size or (width, height)), 16, COLOUR_TYPE[channels], 0, 0, int(interlace))
    trns = b"" if clear is None else chunk(b"tRNS", np.asarray(clear, ">u2").tobytes())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + trns + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
