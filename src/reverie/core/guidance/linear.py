"""Linear measurements y = A x0 + noise: A, its adjoint, and the inverse of its A A^T, for data with any number of axes.

A acts on every sample by itself. The inverse is in closed form: of a mask at once, along each axis of data that is measured
axis by axis, and by an eigendecomposition of the rows of a projection.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from reverie.core.shapes import expand
from reverie.errors import ReverieError

_RANK = (
    1e-8  # eigenvalues of A A^T below this share of the largest count as 0: what float32 data cannot tell from noise
)

Shape = tuple[int, ...]


class Measurement(ABC):
    """A linear map A from data (B, *) to what is seen of it."""

    @abstractmethod
    def shape(self, x: Shape) -> Shape:
        """The shape of y for data of a shape (B, *); raises ReverieError where A does not fit it."""

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """y = A x."""

    @abstractmethod
    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """A^T y, of the data's shape."""

    @abstractmethod
    def solve(self, y: Tensor, shape: Shape, gain: Tensor, ridge: float) -> Tensor:
        """(gain A A^T + ridge)^-1 y, for data of a shape; gain: () or (B,) above 0; with ridge = 0 the pseudo-inverse."""

    @abstractmethod
    def seen(self, y: Tensor) -> Tensor:
        """y, with 0 where it holds no measurement."""


@dataclass(frozen=True, eq=False)
class Mask(Measurement):
    """Some entries are measured and the others are not: y = x where the mask is true, and 0 elsewhere.

    mask: bool, broadcastable to the data (B, *). A A^T is the mask itself.
    Source: Kawar et al. 2022 (Denoising Diffusion Restoration Models), the inpainting of their experiments.
    """

    mask: Tensor

    def shape(self, x: Shape) -> Shape:
        """That of the data."""
        try:
            fits = torch.broadcast_shapes(tuple(self.mask.shape), x) == x
        except RuntimeError:
            fits = False
        if not fits:
            raise ReverieError(
                f"A mask of shape {tuple(self.mask.shape)} does not fit data of shape {tuple(x)}; give the shape of one sample "
                "or of the batch."
            )
        return x

    def apply(self, x: Tensor) -> Tensor:
        """The measured entries, and 0."""
        return self.seen(x)

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """The same: a mask is its own adjoint."""
        return self.seen(y)

    def solve(self, y: Tensor, shape: Shape, gain: Tensor, ridge: float) -> Tensor:
        """y / (gain + ridge) where it is measured."""
        return self.seen(y) / expand(gain + ridge, y)

    def seen(self, y: Tensor) -> Tensor:
        """0 where the mask is false, whatever stands there."""
        self.shape(tuple(y.shape))
        return torch.where(self.mask.to(device=y.device, dtype=torch.bool), y, 0.0)


class Separable(Measurement):
    """One matrix along every axis after the channels, (B, C, *): A is their Kronecker product."""

    @abstractmethod
    def matrix(self, length: int) -> Tensor:
        """The matrix of an axis, (measured, length) float64; raises ReverieError where it does not fit."""

    def shape(self, x: Shape) -> Shape:
        """(B, C, *), with what each axis' matrix makes of its length."""
        if len(x) < 3:
            raise ReverieError(
                f"{type(self).__name__} acts along the axes after the channels, and data of shape {tuple(x)} has none; it needs "
                "(B, C, length) or more axes."
            )
        return (*x[:2], *(len(_matrix(self, length)) for length in x[2:]))

    def apply(self, x: Tensor) -> Tensor:
        """Each axis times its matrix."""
        self.shape(tuple(x.shape))
        return _along(x, [_matrix(self, length) for length in x.shape[2:]])

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """Each axis times its matrix transposed."""
        return _along(y, [_matrix(self, length).T for length in shape[2:]])

    def solve(self, y: Tensor, shape: Shape, gain: Tensor, ridge: float) -> Tensor:
        """In the basis where every axis' M M^T is diagonal, and so A A^T is."""
        values, bases = zip(*(_spectrum(self, length) for length in shape[2:]), strict=True)
        product = torch.ones((), dtype=torch.float64)
        for value in values:
            product = product[..., None] * value
        weight = _inverse(product, gain, ridge)[:, None].to(y)
        return _along(weight * _along(y, [q.T for q in bases]), list(bases))

    def seen(self, y: Tensor) -> Tensor:
        """All of y."""
        return y


@dataclass(frozen=True)
class Blur(Separable):
    """Every entry is replaced by a Gaussian-weighted mean of those around it, along each axis after the channels.

    sigma: the kernel's standard deviation, in entries; it is cut off at 4 sigma and sums to 1, and data is mirrored at its
    edges, so that constant data stays as it is.
    Source: Kawar et al. 2022 (Denoising Diffusion Restoration Models), the separable deblurring of their experiments.
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a width that is none."""
        if not (self.sigma > 0 and math.isfinite(self.sigma)):
            raise ReverieError(f"blur:sigma={self.sigma:g} must be above 0 entries.")

    def matrix(self, length: int) -> Tensor:
        """(length, length), symmetric."""
        reach = math.ceil(4 * self.sigma)
        offset = torch.arange(-reach, reach + 1)
        kernel = torch.exp(-0.5 * (offset.double() / self.sigma) ** 2)
        place = (torch.arange(length)[:, None] + offset) % (2 * length)
        place = torch.where(place < length, place, 2 * length - 1 - place)
        found = torch.zeros(length, length, dtype=torch.float64)
        return found.scatter_add_(1, place, (kernel / kernel.sum()).expand(length, -1))


@dataclass(frozen=True)
class Downsample(Separable):
    """Every block of `factor` entries along each axis after the channels is measured by its mean.

    A A^T = factor^-axes, a number. Each axis' length must be a multiple of the factor.
    Source: Kawar et al. 2022 (Denoising Diffusion Restoration Models), the super-resolution of their experiments.
    """

    factor: int = 2

    def __post_init__(self) -> None:
        """Refuse a factor that leaves nothing to do or is no whole number."""
        if self.factor != int(self.factor) or self.factor < 1:
            raise ReverieError(f"downsample:factor={self.factor} must be a whole number from 1.")

    def matrix(self, length: int) -> Tensor:
        """(length / factor, length)."""
        if length % self.factor:
            raise ReverieError(
                f"Downsample by {self.factor} does not fit data with an axis of {length} entries: every axis after the channels "
                f"must be a multiple of {self.factor}. Crop or resize the data."
            )
        return torch.eye(length // self.factor, dtype=torch.float64).repeat_interleave(self.factor, 1) / self.factor


@dataclass(frozen=True, eq=False)
class Projection(Measurement):
    """Each number of y is one weighted sum over all entries of a sample: y = M x, M (rows, entries).

    matrix: M; `random` and `tomography` make two well-known ones. y: (B, rows).
    Source: Song et al. 2022 (Solving Inverse Problems in Medical Imaging with Score-Based Generative Models), section 3.
    """

    matrix: Tensor

    @classmethod
    def random(cls, rows: int, entries: int, seed: int = 0) -> Projection:
        """Independent normal weights of variance 1 / entries: compressed sensing."""
        g = torch.Generator().manual_seed(seed)
        return cls(torch.randn(rows, entries, generator=g, dtype=torch.float64) / math.sqrt(entries))

    @classmethod
    def tomography(cls, side: int, angles: int) -> Projection:
        """Parallel beams through a square of side x side entries, `side` detectors at each of `angles` angles in 180 degrees.

        An entry is shared between the two detectors that its centre falls between; what misses them all is not seen.
        """
        centre = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
        turn = torch.arange(angles, dtype=torch.float64)[:, None, None] * math.pi / angles
        hit = centre[:, None] * torch.sin(turn) + centre * torch.cos(turn) + (side - 1) / 2
        apart = hit.flatten(1)[:, None] - torch.arange(side, dtype=torch.float64)[:, None]
        return cls((1 - apart.abs()).clamp(min=0).flatten(0, 1))

    def shape(self, x: Shape) -> Shape:
        """(B, rows)."""
        if self.matrix.ndim != 2 or self.matrix.shape[1] != math.prod(x[1:]):
            raise ReverieError(
                f"A projection matrix of shape {tuple(self.matrix.shape)} does not fit data of shape {tuple(x)}: it needs one "
                f"column for each of a sample's {math.prod(x[1:])} entries."
            )
        return (x[0], len(self.matrix))

    def apply(self, x: Tensor) -> Tensor:
        """M x, x read entry by entry."""
        self.shape(tuple(x.shape))
        return x.flatten(1) @ self.matrix.to(x).T

    def adjoint(self, y: Tensor, shape: Shape) -> Tensor:
        """M^T y."""
        return (y @ self.matrix.to(y)).reshape(shape)

    def solve(self, y: Tensor, shape: Shape, gain: Tensor, ridge: float) -> Tensor:
        """In the basis where M M^T is diagonal."""
        values, basis = self._spectrum
        return (_inverse(values, gain, ridge).to(y) * (y @ basis.to(y))) @ basis.to(y).T

    def seen(self, y: Tensor) -> Tensor:
        """All of y."""
        return y

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        m = self.matrix.detach().double().cpu()
        return tuple(torch.linalg.eigh(m @ m.T))


@lru_cache(maxsize=64)
def _matrix(operator: Separable, length: int) -> Tensor:
    return operator.matrix(length)


@lru_cache(maxsize=64)
def _spectrum(operator: Separable, length: int) -> tuple[Tensor, Tensor]:
    m = _matrix(operator, length)
    return tuple(torch.linalg.eigh(m @ m.T))


def _along(x: Tensor, matrices: list[Tensor]) -> Tensor:
    """Multiply each axis after the channels, (B, C, *), by its own matrix."""
    for axis, m in enumerate(matrices, start=2):
        x = torch.tensordot(x, m.to(x), dims=([axis], [1])).movedim(-1, axis)
    return x


def _inverse(values: Tensor, gain: Tensor, ridge: float) -> Tensor:
    """1 / (gain values + ridge), (1 or B, *), and 0 where there is nothing to invert."""
    values = torch.where(values > _RANK * values.max(), values, 0.0)
    total = expand(gain.reshape(-1), values[None]) * values + ridge
    return torch.where(total > 0, 1 / total, 0.0)
