"""Pictures that are nearly the same: another encoding, size, brightness or contrast of one picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NEAR = 0.995  # correlation of two thumbnails, from which on pictures are near duplicates
RULE = (
    f"thumbnails of 16x16 cells, less their mean, correlate by {NEAR:g} or more: brightness and contrast do not count, "
    "colour does"
)
_BLOCK = 512


class Near(NamedTuple):
    """For each of N rows, the place of its partner (int64, -1 where it has none) and their correlation (float32)."""

    partner: np.ndarray
    correlation: np.ndarray


def followers(thumbnails: np.ndarray, order: np.ndarray) -> Near:
    """Find, walking in `order`, each picture that nearly equals one already met and kept: its partner is that one.

    thumbnails: (N, D), rows of length 1 or 0 (see looks). order: places in 0 .. N - 1, each once; places left out
    are not looked at. No two that have no partner are near each other, and every other is near its partner, the most
    like it of those kept. N times D numbers and a block of 512 rows are all the memory it needs.
    """
    kept = np.empty((len(order), thumbnails.shape[1]), thumbnails.dtype)
    places = np.empty(len(order), np.int64)
    found = _nobody(len(thumbnails))
    count = 0
    for first in range(0, len(order), _BLOCK):
        block = order[first : first + _BLOCK]
        rows = thumbnails[block]
        before = count
        seen = rows @ kept[:before].T
        among = rows @ rows.T
        mine: list[int] = []  # rows of this block that are kept
        for k, place in enumerate(block):
            scores = np.concatenate([seen[k], among[k, mine]])
            best = int(scores.argmax()) if len(scores) else -1
            if best >= 0 and scores[best] >= NEAR:
                found.partner[place] = places[best]
                found.correlation[place] = scores[best]
            else:
                kept[count], places[count] = rows[k], place
                mine.append(k)
                count += 1
    return found


def across(thumbnails: np.ndarray, side: np.ndarray, other: np.ndarray) -> Near:
    """Find for each picture of one side the one most like it on the other side, where they are near duplicates.

    side, other: places. The answer has a row for each of `side`; partners are places in `thumbnails`.
    """
    found = _nobody(len(side))
    if not len(other):
        return found
    for first in range(0, len(side), _BLOCK):
        scores = thumbnails[side[first : first + _BLOCK]] @ thumbnails[other].T
        best = scores.argmax(axis=1)
        most = scores[np.arange(len(best)), best]
        rows = first + np.flatnonzero(most >= NEAR)
        found.partner[rows] = other[best[rows - first]]
        found.correlation[rows] = most[rows - first]
    return found


def _nobody(count: int) -> Near:
    return Near(np.full(count, -1, np.int64), np.zeros(count, np.float32))
