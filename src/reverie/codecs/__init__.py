"""Kinds of data: files <-> items <-> tensors, one file a kind. numpy level; imports nothing of core."""

from reverie.codecs.base import Codec

__all__ = ["Codec"]
