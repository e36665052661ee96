"""The adaptive solver against equations with known solutions, sample by sample."""

import math

import pytest
import torch

from reverie.core.ode import _ERROR, _PLACES, _STAGES, dormand_prince, trapezoid
from reverie.errors import ReverieError

RATES = torch.tensor([[-1.0], [-3.0], [0.5], [-40.0]], dtype=torch.float64)


def decay(rates):
    """y' = rate y cos(l), whose solution is y0 exp(rate sin(l))."""
    return lambda l, y: (rates.to(y[0]) * torch.cos(l)[:, None].to(y[0]) * y[0],)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("end", [2.0, -1.0])
def test_the_error_follows_the_tolerance(tolerance, end):
    start = torch.ones(4, 1, dtype=torch.float64)
    (found,) = dormand_prince(decay(RATES), (start,), 0.0, end, tolerance, tolerance)
    true = torch.exp(RATES * math.sin(end))
    assert bool(((found - true).abs() <= 50 * tolerance * (1 + true)).all()), (found - true) / (1 + true)


def test_steps_grow_as_the_fifth_root_of_the_tolerance():
    """A method of order 5: a tolerance 1e5 times smaller takes 10 times the steps, not more."""

    def calls(tolerance):
        count = 0

        def slope(l, y):
            nonlocal count
            count += 1
            return decay(RATES[:2])(l, y)

        dormand_prince(slope, (torch.ones(2, 1, dtype=torch.float64),), 0.0, 6.0, tolerance, tolerance)
        assert count % 6 == 1
        return count

    assert 6 < calls(1e-11) / calls(1e-6) < 11


def test_one_step_is_of_order_five_and_its_error_estimate_of_the_table():
    """Rows of the table sum to the places; the embedded weights agree on polynomials of degree below 4 and no further."""
    for place, row in zip(_PLACES, _STAGES, strict=True):
        assert sum(row) == pytest.approx(place, abs=1e-14)
    places, fifth = (0.0, *_PLACES), (*_STAGES[-1], 0.0)
    for power in range(6):
        moment = sum(w * p**power for w, p in zip(fifth, places, strict=True))
        assert (abs(moment - 1 / (power + 1)) < 1e-14) == (power < 5)
        wrong = sum(w * p**power for w, p in zip(_ERROR, places, strict=True))
        assert (abs(wrong) < 1e-14) == (power < 4)


def test_a_sample_does_not_depend_on_its_neighbours():
    """The stiff one takes many more steps; its neighbours stand still meanwhile, bit for bit."""
    together = dormand_prince(decay(RATES), (torch.ones(4, 1, dtype=torch.float64),), 0.0, 2.0, 1e-6, 1e-6)[0]
    for k in range(4):
        alone = dormand_prince(decay(RATES[k : k + 1]), (torch.ones(1, 1, dtype=torch.float64),), 0.0, 2.0, 1e-6, 1e-6)
        assert torch.equal(alone[0], together[k : k + 1])


def test_what_cannot_be_solved_is_said():
    start = (torch.ones(1, 1, dtype=torch.float64),)
    with pytest.raises(ReverieError, match="took 20 steps"):
        dormand_prince(decay(1e6 * RATES[:1]), start, 0.0, 2.0, 1e-8, 1e-8, most_steps=20)
    with pytest.raises(ReverieError, match="above 0"):
        dormand_prince(decay(RATES[:1]), start, 0.0, 2.0, 0.0, 1e-8)


def test_equal_steps_of_the_trapezoid_are_of_order_2():
    start, rates = torch.ones(3, 1, dtype=torch.float64), RATES[:3]
    true = torch.exp(rates * math.sin(2.0))
    errors = [(trapezoid(decay(rates), (start,), 0.0, 2.0, n)[0] - true).abs().max() for n in (40, 80, 160)]
    assert math.log2(errors[0] / errors[2]) / 2 == pytest.approx(2, abs=0.15)
    with pytest.raises(ReverieError, match="0 steps"):
        trapezoid(decay(rates), (start,), 0.0, 2.0, 0)
