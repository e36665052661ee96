"""One Brownian path, written as a sum of independent standard normals: B(b) - B(a) = sum over nodes of c(a, b) z(node).

Time is cut into octaves [2^k, 2^(k+1)), and every octave is halved again and again (Levy's construction). A node is the
normal number that belongs to one octave, or to one interval of the halving; its weight in an increment depends on the
two clock values alone. Nothing is remembered: whoever can draw z(node) has the whole path, at any two times.

    B(2^(k+1)) - B(2^k) = 2^(k/2) z(k)
    B inside the octave  = straight line + 2^(k/2) sum over levels l of 2^(-l/2 - 1) hat(2^l v mod 1) z(k, l, floor(2^l v))

v in [0, 1) is the place in the octave, hat(w) = 1 - |2 w - 1|. An increment touches at most two nodes a level, and none
that its two ends share with equal weight.
Source: Levy 1948, in the form of Ciesielski 1961; Li et al. 2020 (Scalable Gradients for Stochastic Differential
Equations), section 4, for a path that is drawn again rather than stored.
"""

from __future__ import annotations

import math

from reverie.errors import ReverieError

Node = tuple[int, int]  # octave, counted from _FLOOR - 1; 0 for the octave itself, else 2^level + interval

DEPTH = 24  # halvings of an octave; a straight line inside the last one, 6e-8 of the octave
_FLOOR = -200  # below 2^_FLOOR the path has one interval, [0, 2^_FLOOR)


def weights(a: float, b: float) -> dict[Node, float]:
    """What each node weighs in B(b) - B(a); the squares sum to |b - a|.

    a, b: clock values, finite and at least 0, in either order. Weights of disjoint stretches are orthogonal and those of
    adjoining ones add up, both to float64's precision once a stretch is long against 2^-24 of its octave.
    """
    for clock in (a, b):
        if not (math.isfinite(clock) and clock >= 0):
            raise ReverieError(f"A Brownian path has no value at the clock {clock:g}: it runs from 0, and is finite.")
    found: dict[Node, float] = {}
    for clock, sign in ((a, -1.0), (b, 1.0)):
        for node, weight in _inside(*_place(clock)):
            found[node] = found.get(node, 0.0) + sign * weight
    (first, _, _), (last, _, _) = _place(a), _place(b)
    for octave in range(min(first, last), max(first, last)):
        found[octave, 0] = found.get((octave, 0), 0.0) + math.copysign(math.sqrt(_length(octave)), b - a)
    return {node: weight for node, weight in found.items() if weight != 0}


def _place(clock: float) -> tuple[int, float, float]:
    """The octave that a clock value lies in, its place there in [0, 1), and the octave's length."""
    if clock < 2.0**_FLOOR:
        return 0, clock / 2.0**_FLOOR, 2.0**_FLOOR
    mantissa, exponent = math.frexp(clock)
    octave = exponent - _FLOOR
    return octave, 2 * mantissa - 1, _length(octave)


def _length(octave: int) -> float:
    return 2.0 ** (_FLOOR + max(octave - 1, 0))


def _inside(octave: int, place: float, length: float) -> list[tuple[Node, float]]:
    """The nodes of B(clock) - B(start of the octave), with their weights."""
    scale = math.sqrt(length)
    found = [((octave, 0), place * scale)]
    for level in range(DEPTH):
        interval = math.floor(place * 2**level)
        hat = 1 - abs(2 * (place * 2**level - interval) - 1)
        found.append(((octave, 2**level + interval), scale * 2 ** (-level / 2 - 1) * hat))
    return found
