"""Linear measurements against their own definition: adjoint, inverse, shapes, and what each one measures."""

import math

import pytest
import torch

from reverie import registry
from reverie.core.guidance.linear import Blur, Downsample, Mask, Projection
from reverie.errors import ReverieError


def random_mask(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(5)) < 0.5


CASES = {
    "mask, one for all": (Mask(random_mask(2, 7)), (3, 2, 7)),
    "mask, one each": (Mask(random_mask(3, 2, 7)), (3, 2, 7)),
    "mask, a vector": (Mask(random_mask(5)), (3, 5)),
    "blur, series": (Blur(1.3), (3, 2, 9)),
    "blur, wider than the data": (Blur(4.0), (3, 1, 5)),
    "blur, picture": (Blur(0.7), (3, 2, 5, 4)),
    "downsample, series": (Downsample(3), (3, 2, 9)),
    "downsample, picture": (Downsample(2), (3, 2, 6, 4)),
    "downsample, volume": (Downsample(2), (3, 1, 4, 2, 6)),
    "projection, random": (Projection.random(4, 12), (3, 2, 6)),
    "projection, tomography": (Projection.tomography(4, 3), (3, 1, 4, 4)),
    "projection, dependent rows": (Projection(torch.ones(3, 6).double()), (3, 6)),
}
every_case = pytest.mark.parametrize("name", CASES)


def normal(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(measurement, shape):
    """A of sample 0 as a matrix, column by column."""
    d, b = math.prod(shape[1:]), shape[0]
    columns = [
        measurement.apply(e.reshape(1, *shape[1:]).expand(b, *shape[1:]))[0].flatten() for e in torch.eye(d).double()
    ]
    return torch.stack(columns, 1)


def test_every_registered_measurement_is_tried():
    assert {type(a) for a, _ in CASES.values()} == set(registry.registered("measurements").values())
    assert registry.build("measurements", "blur:sigma=2") == Blur(2.0)
    assert registry.build("measurements", "downsample:factor=4") == Downsample(4)


@every_case
def test_shape_and_adjoint(name):
    """<A x, y> = <x, A^T y>, for each sample."""
    a, shape = CASES[name]
    x = normal(shape)
    y = normal(a.shape(shape), 1)
    assert a.apply(x).shape == y.shape
    left, right = a.apply(x) * y, x * a.adjoint(y, shape)
    assert torch.allclose(left.flatten(1).sum(1), right.flatten(1).sum(1), rtol=1e-12, atol=1e-13)


@every_case
def test_solve_inverts_gain_a_at_plus_ridge(name):
    a, shape = CASES[name]
    gain = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    y = a.apply(normal(shape))  # in A's range
    m = dense(a, shape)
    w = a.solve(y, shape, gain, 0.3)
    expected = torch.linalg.solve(gain[0] * m @ m.T + 0.3 * torch.eye(len(m)).double(), y[0].flatten())
    assert torch.allclose(w[0].flatten(), expected, atol=1e-9)
    back = expand_gain(gain, y) * a.apply(a.adjoint(w, shape)) + 0.3 * w
    assert torch.allclose(back, y, atol=1e-9)


@every_case
def test_solve_without_a_ridge_is_the_pseudo_inverse(name):
    """A^T (A A^T)^+ A x is a data set that measures the same, and x itself where A loses nothing."""
    a, shape = CASES[name]
    y = a.apply(normal(shape))
    w = a.solve(y, shape, torch.ones(3).double(), 0.0)
    assert bool(torch.isfinite(w).all())
    assert torch.allclose(a.apply(a.adjoint(w, shape)), y, atol=2e-3 if isinstance(a, Blur) else 1e-9)


def expand_gain(gain, y):
    return gain.reshape(-1, *(1,) * (y.ndim - 1))


def test_what_each_one_measures():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(Downsample(2).apply(x), torch.nn.functional.avg_pool2d(x, 2))
    point = torch.zeros(1, 1, 41, dtype=torch.float64)
    point[..., 20] = 1
    place = torch.arange(41).double() - 20
    blurred = Blur(2.0).apply(point)[0, 0]
    assert float(blurred.sum()) == pytest.approx(1)
    assert float((blurred * place**2).sum()) == pytest.approx(4, rel=2e-3)  # cut off at 4 sigma
    assert torch.allclose(Blur(2.0).apply(torch.ones(1, 2, 5, 3).double()), torch.ones(1, 2, 5, 3).double())
    seen = Projection.tomography(4, 2).apply(x)
    assert torch.allclose(seen, torch.cat([x.sum((1, 2)), x.sum((1, 3))], 1))  # at 0 and at 90 degrees
    mask = torch.tensor([True, False])
    assert torch.equal(Mask(mask).apply(torch.tensor([[1.0, math.nan]])), torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize(
    ("a", "shape", "message"),
    [
        (Mask(torch.ones(3, 5)), (2, 3, 4), r"mask of shape \(3, 5\) does not fit data of shape \(2, 3, 4\)"),
        (Blur(), (2, 3), r"axes after the channels, and data of shape \(2, 3\) has none"),
        (Downsample(4), (2, 1, 8, 6), "Downsample by 4 does not fit data with an axis of 6"),
        (Projection.random(2, 9), (2, 1, 8), r"matrix of shape \(2, 9\) does not fit data of shape \(2, 1, 8\)"),
    ],
)
def test_an_a_that_does_not_fit_names_both(a, shape, message):
    with pytest.raises(ReverieError, match=message):
        a.shape(shape)
    with pytest.raises(ReverieError, match=message):
        a.apply(torch.zeros(shape))


def test_options_out_of_range_are_refused():
    with pytest.raises(ReverieError, match="above 0"):
        Blur(0.0)
    with pytest.raises(ReverieError, match="whole number"):
        Downsample(0)
