"""Kinds of data: files <-> items <-> tensors, one file a kind. numpy level; imports nothing of core.

image.py stands on files.py (raster.py, tiff.py), pixels.py and resize.py.
"""

from reverie.codecs.base import Codec

__all__ = ["Codec"]
