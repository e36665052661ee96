"""Pictures: any size, any number of channels, 8 and 16 bits and floats, to tensors in [-1, 1] or tokens, and back.

file --read--> item (H, W, C), its own dtype --conform--> the codec's size, channels and dtype
     --encode--> x = 2 (item - low) / (high - low) - 1, float32 (C, H, W)
             or  x = (levels - 1) (item - low) / (high - low), rounded, int64 (C, H, W)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from reverie.codecs import files, resize
from reverie.codecs.base import Codec, Field
from reverie.codecs.pixels import BANDS, CHANNELS, COLOURS, GREY, GREY_ALPHA, RGB, RGBA, Header
from reverie.errors import ReverieError

CAP = 64  # the longer side, in pixels, unless a person asks for another size: what two CPU cores can learn in minutes
MOST_LEVELS = 256  # classes of a token, at most: beyond it numbers serve better
STEP = 4  # a size that is chosen, not found, is a multiple of this, so that networks can halve it twice


@dataclass(frozen=True)
class ImageCodec(Codec):
    """Pictures (H, W, C) as tensors (C, H, W) in [-1, 1], at full depth; or as tokens, one for each level of each channel.

    height, width: the size in pixels that every picture is brought to.
    colour: what channels mean, one of grey, grey+alpha, rgb, rgba, bands.
    dtype: the type of an item, and of the file that is written.
    low, high: the values that become -1 and 1. Unsigned integers: 0 and 2^b - 1, with b the fewest bits that hold the
    largest value seen, at least 8: 0..255 for every 8-bit file, 0..65535 for full 16 bits, 0..4095 for a 12-bit scan.
    Signed integers and floats: the smallest and the largest value seen, set apart where they are one.
    rule: what that changes in the pictures it was fitted to, in words; empty where they stay as they are.
    levels: L for tokens, 2 to 256, token k standing for low + k (high - low) / (L - 1), rounded to the dtype; None for numbers.

    decode(encode(item)) is the item bit for bit for integers of up to 16 bits, and within 1e-6 (high - low) otherwise. With
    levels it is so for every item whose values are levels, and within half a step otherwise.

    Source: scaling of pixels to [-1, 1] as Ho et al. 2020, section 3.3.
    """

    name: ClassVar[str] = "image"
    kind: ClassVar[str] = "image"
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")

    height: int
    width: int
    colour: str = RGB
    channels: int = 3
    dtype: str = "uint8"
    low: float = 0.0
    high: float = 255.0
    rule: str = ""
    levels: int | None = None

    def __post_init__(self) -> None:
        """Refuse fields that describe no picture: they may come from a file."""
        if self.colour not in COLOURS or CHANNELS.get(self.colour, self.channels) != self.channels:
            raise ValueError(f"colour {self.colour!r} does not go with {self.channels} channels")
        if min(self.height, self.width, self.channels) < 1 or not self.low < self.high:
            raise ValueError("sizes must be at least 1, and low below high")
        if np.dtype(self.dtype).kind not in "uif":
            raise ValueError(f"dtype {self.dtype!r} is no real number")
        if self.levels is not None:
            if not 2 <= self.levels <= MOST_LEVELS:
                raise ValueError(f"levels = {self.levels}: tokens have 2 to {MOST_LEVELS}")
            if bool((np.diff(self._values(self.levels)) == 0).any()):
                raise ValueError(
                    f"{self.levels} levels from {self.low:g} to {self.high:g} are not all different in {self.dtype}"
                )

    @property
    def fields(self) -> dict[str, Field]:
        """The picture."""
        axes = ("channel", "height", "width")
        return {"pixels": Field((self.channels, self.height, self.width), axes, self.levels)}

    @property
    def things(self) -> str:
        """Images."""
        return "images"

    @property
    def found_as(self) -> str:
        """Height x width, colour and dtype."""
        return self._header.words

    @property
    def suffix(self) -> str:
        """The file that holds an item at full depth: .png, or .tif for what PNG (as Pillow writes it) cannot hold."""
        return files.suffixes(self._header)[0]

    @property
    def alpha(self) -> bool:
        """Whether the last channel is transparency."""
        return self.colour in (GREY_ALPHA, RGBA)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how pictures are changed."""
        return (self.rule,) if self.rule else ()

    @property
    def _header(self) -> Header:
        return Header(self.height, self.width, self.channels, self.dtype, self.colour)

    @classmethod
    def plan(cls, headers: Iterable[Header], resolution: tuple[int, int] | None = None) -> ImageCodec:
        """Choose size, channels and dtype from what pictures are, before any is decoded; the range is the dtype's own.

        Size: the one they all have, or the median height and width; then the longer side is capped at 64 and both
        rounded to multiples of 4, the ratio kept; `resolution` (height, width) overrides all of it.
        Channels: colour if any picture has colour, alpha if any has alpha. Depth: the deepest.
        Raises ReverieError for none at all, and for kinds that have no common ground.
        """
        shapes = Counter(h._replace(changes=()) for h in headers)
        if not shapes:
            raise ReverieError("There are no images to fit a codec to. Give at least one.")
        colour, channels, of_colour = _common_colour(shapes)
        dtype, of_depth = _common_dtype(shapes)
        height, width, of_size = _size(shapes, resolution)
        low, high = (0.0, float(np.iinfo(dtype).max)) if np.dtype(dtype).kind == "u" else (0.0, 1.0)
        rule = "; ".join(filter(None, (of_size, of_colour, of_depth)))
        return cls(height, width, colour, channels, dtype, low, high, rule)

    @classmethod
    def fit(
        cls,
        items: Iterable[np.ndarray],
        resolution: tuple[int, int] | None = None,
        colour: str | None = None,
        levels: bool = False,
    ) -> ImageCodec:
        """Choose every field from all the items (H, W, C), as `plan` and the class say.

        colour: what the channels of items mean, where that is known (from their files).
        levels: make tokens, with the fewest levels that hold every value of every item: 256 for 8-bit photographs, and
        where pictures are resized.
        Raises ReverieError as `plan` does, for values that are NaN or infinite, naming the item, and for tokens where
        256 levels do not hold the values.
        """
        items = list(items)
        codec = cls.plan((Header.of(item, colour) for item in items), resolution)
        if codec.dtype != "uint8":
            codec = codec._ranged(items)
        return codec._levelled(items) if levels else codec

    def _ranged(self, items: list[np.ndarray]) -> ImageCodec:
        """The codec with low and high chosen from the items' values."""
        low, high = np.inf, -np.inf
        for k, item in enumerate(items):
            least, most = float(item.min()), float(item.max())
            if not np.isfinite([least, most]).all():
                raise ReverieError(f"Image {k} holds NaN or infinite values. Remove it, or fill them in.")
            factor = _deepening(item.dtype, self.dtype)
            low, high = min(low, least * factor), max(high, most * factor)
        if np.dtype(self.dtype).kind == "u":
            low, high = 0.0, float(2 ** max(8, int(high).bit_length()) - 1)
        return replace(self, low=low, high=high if high > low else low + max(1.0, abs(low)))

    def _levelled(self, items: list[np.ndarray]) -> ImageCodec:
        """The codec with the fewest levels that hold every value of the items, as they are when conformed."""
        resized = any(item.shape[:2] != (self.height, self.width) for item in items)
        seen = np.zeros(0, self.dtype)
        for item in items if not (resized and self.dtype == "uint8") else ():
            seen = np.union1d(seen, self.conform(item))
            if len(seen) > MOST_LEVELS:
                break
        fewest = range(MOST_LEVELS if resized else 2, MOST_LEVELS + 1)
        levels = next((n for n in fewest if np.isin(seen, self._values(n)).all()), None)
        if levels is None:
            raise ReverieError(
                f"Pictures of {self.dtype} values from {self.low:g} to {self.high:g}{', resized,' * resized} do not lie on "
                f"{MOST_LEVELS} even levels, and the families of tokens (masked, uniform) make a class of each level and know "
                f"{MOST_LEVELS} at most. Use a family of numbers, which keeps the full depth: --family edm."
            )
        span = f"{self.low:g} to {self.high:g}"
        said = f"values as tokens, {levels} even levels from {span}: any other goes to the nearest"
        return replace(self, levels=levels, rule="; ".join(filter(None, (self.rule, said))))

    def _values(self, levels: int) -> np.ndarray:
        """The value of each token, (levels,) in the items' dtype."""
        return resize.rounded(
            self.low + np.arange(levels) * (self.high - self.low) / (levels - 1), np.dtype(self.dtype)
        )

    @classmethod
    def read(cls, path: Path) -> np.ndarray:
        """Read one file at full depth, (H, W, C); raises ReverieError naming the file and the fault."""
        try:
            return cls.read_bytes(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise ReverieError(f"{path} cannot be opened: {error.strerror}.") from error

    @classmethod
    def read_bytes(cls, data: bytes, name: str) -> np.ndarray:
        """Read one picture from memory, (H, W, C); `name` is what errors call it."""
        return files.decode(data, name).pixels

    def write(self, item: np.ndarray, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write one item at full depth; a picture's suffix that could not hold it is replaced. Returns the path written.

        text: kept in PNG's text chunks, or as JSON in TIFF's ImageDescription.
        """
        path = Path(path)
        described = Header.of(item, self.colour if item.shape[2] == self.channels else None)
        if path.suffix.lower() not in files.suffixes(described):
            bare = path.with_suffix("") if path.suffix.lower() in self.suffixes else path  # img.v2 is all name
            path = bare.with_name(bare.name + files.suffixes(described)[0])
        if path.suffix.lower() == ".png":
            data = files.to_png(item, text or {})
        else:
            data = files.to_tiff(item, described.colour, json.dumps(text or {}))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise ReverieError(f"{path} cannot be written: {error.strerror}. Choose another place.") from error
        return path

    def conform(self, item: np.ndarray) -> np.ndarray:
        """Bring a picture (H, W, C) to the codec's dtype, channels and size; one that has them is returned as it is."""
        if item.ndim != 3:
            raise ReverieError(f"An image must be an array (height, width, channels); this one is {item.shape}.")
        wanted = np.dtype(self.dtype)
        if item.dtype != wanted:
            factor = _deepening(item.dtype, self.dtype)
            item = resize.rounded(item * np.float64(factor), wanted)
        if item.shape[2] != self.channels:
            item = self._recoloured(item)
        return resize.cover(item, self.height, self.width, self.alpha)

    def encode(self, item: np.ndarray) -> np.ndarray:
        """Turn an item (H, W, C) into (C, H, W), float32 in [-1, 1] or int64 tokens; what differs is conformed first."""
        above, span = np.moveaxis(self.conform(item).astype(np.float64) - self.low, -1, 0), self.high - self.low
        if self.levels is None:
            return np.ascontiguousarray(above * (2 / span) - 1, dtype=np.float32)
        token = np.rint(above * ((self.levels - 1) / span))
        return np.ascontiguousarray(np.clip(token, 0, self.levels - 1), dtype=np.int64)

    def decode(self, x: np.ndarray) -> np.ndarray:
        """Turn (C, H, W) into an item (H, W, C), clipped to [low, high] and rounded to its dtype; refuses NaN."""
        values = np.moveaxis(np.asarray(x, np.float64), 0, -1)
        if not np.isfinite(values).all():
            raise ReverieError("A sample holds NaN or infinite values: the model or the sampler has diverged.")
        if self.levels is not None:
            return np.ascontiguousarray(
                self._values(self.levels)[np.clip(np.rint(values), 0, self.levels - 1).astype(int)]
            )
        values = (np.clip(values, -1, 1) + 1) * ((self.high - self.low) / 2) + self.low
        return np.ascontiguousarray(resize.rounded(np.clip(values, self.low, self.high), np.dtype(self.dtype)))

    def picture(self, item: np.ndarray) -> np.ndarray:
        """How a person looks at an item: uint8 (H, W, 3), or (H, W, 4) with alpha; of many bands, the first three."""
        if item.dtype != np.uint8:
            scaled = (item.astype(np.float64) - self.low) * (255 / (self.high - self.low))
            item = resize.rounded(scaled, np.dtype(np.uint8))
        colour, alpha = (item[..., :-1], item[..., -1:]) if self.alpha else (item, item[..., :0])
        colour = colour[..., :3] if colour.shape[2] >= 3 else np.repeat(colour[..., :1], 3, axis=2)
        return np.concatenate([colour, alpha], axis=2)

    def _recoloured(self, item: np.ndarray) -> np.ndarray:
        """Grey to RGB by repetition, opaque alpha where there was none; nothing is ever taken away."""
        has, opaque = item.shape[2], np.iinfo(item.dtype).max if item.dtype.kind == "u" else 1
        had_alpha = has in (2, 4)
        base, alpha = (item[..., :-1], item[..., -1:]) if had_alpha else (item, np.full_like(item[..., :1], opaque))
        wanted = self.channels - self.alpha
        if self.colour == BANDS or has > 4 or (had_alpha and not self.alpha) or base.shape[2] not in (1, wanted):
            raise ReverieError(f"An image of {has} channels cannot become {self.colour} of {self.channels} channels.")
        base = np.repeat(base, wanted, axis=2) if base.shape[2] == 1 else base
        return np.concatenate([base, alpha], axis=2) if self.alpha else base


def _size(shapes: Counter[Header], resolution: tuple[int, int] | None) -> tuple[int, int, str]:
    """Choose the size and say why, as "1,204 images of 37 sizes, resized to 48x64: ..."."""
    sizes: Counter[tuple[int, int]] = Counter()
    for shape, n in shapes.items():
        sizes[shape.height, shape.width] += n
    number = sum(sizes.values())
    first = next(iter(sizes))
    found = f"{number:,} image{'s' * (number > 1)} of " + (
        f"{len(sizes):,} sizes" if len(sizes) > 1 else f"{first[0]}x{first[1]}"
    )
    if resolution:
        kept = len(sizes) == 1 and first == resolution
        return *resolution, "" if kept else f"{found}, resized to {resolution[0]}x{resolution[1]}: as asked for"
    if len(sizes) == 1 and max(first) <= CAP:
        return *first, ""
    middle = np.median([size for size, n in sizes.items() for _ in range(n)], axis=0).tolist()
    scale = min(1.0, CAP / max(middle))
    height, width = (max(STEP, STEP * round(side * scale / STEP)) for side in middle)
    why = ["median size"] * (len(sizes) > 1) + [f"longer side capped at {CAP}"] * (scale < 1)
    why = [*why, f"sides in multiples of {STEP}"]
    return height, width, f"{found}, resized to {height}x{width}: {', '.join(why)}; --resolution HxW chooses"


def _common_colour(shapes: Counter[Header]) -> tuple[str, int, str]:
    """The colour that holds every picture's: nothing is lost, grey is repeated, and missing alpha is opaque."""
    found = {(s.colour, s.channels) for s in shapes}
    if len(found) == 1:
        return *found.pop(), ""
    count: Counter[str] = Counter()
    for shape, n in shapes.items():
        count[f"{shape.channels} bands" if shape.colour == BANDS else shape.colour] += n
    words = ", ".join(f"{n:,} {colour}" for colour, n in count.most_common())
    names = {colour for colour, _ in found}
    if BANDS in names:
        raise ReverieError(f"These images have no common channels ({words}). Keep one kind of them.")
    alpha, coloured = names & {GREY_ALPHA, RGBA}, names & {RGB, RGBA}
    colour = (RGBA if alpha else RGB) if coloured else GREY_ALPHA if alpha else GREY
    return colour, CHANNELS[colour], f"{words}: all made {colour} (grey repeated, missing alpha opaque)"


def _common_dtype(shapes: Counter[Header]) -> tuple[str, str]:
    """The deepest unsigned type; types that have no common scale are refused."""
    count: Counter[str] = Counter()
    for shape, n in shapes.items():
        count[shape.dtype] += n
    words = ", ".join(f"{n:,} {dtype}" for dtype, n in count.most_common())
    if len(count) == 1:
        return next(iter(count)), ""
    if any(np.dtype(d).kind != "u" for d in count):
        raise ReverieError(f"These images have no common scale of values ({words}). Keep one kind of them.")
    deepest = max(count, key=lambda d: np.dtype(d).itemsize)
    return deepest, f"{words}: all scaled to {deepest}"


def _deepening(dtype: np.dtype, wanted: str) -> float:
    """The factor from one unsigned type's full range to a deeper one's, 257 from 8 bits to 16; 1 for the same type."""
    to = np.dtype(wanted)
    if dtype == to:
        return 1.0
    if dtype.kind != "u" or to.kind != "u" or dtype.itemsize > to.itemsize:
        raise ReverieError(f"An image of {dtype} values cannot become {wanted}: they have no common scale.")
    return float(np.iinfo(to).max / np.iinfo(dtype).max)
