"""Stretches of time in words."""

from __future__ import annotations

import numpy as np

from reverie.codecs.series_items import Axis
from reverie.codecs.series_times import WORKDAY, dated

_UNITS = (
    ("a year", "years", 31_556_952.0), ("a month", "months", 2_629_746.0), ("a week", "weeks", 604_800.0),
    ("a day", "days", 86_400.0), ("an hour", "hours", 3_600.0), ("a minute", "minutes", 60.0), ("a second", "seconds", 1.0),
)  # fmt: skip
_NEAR = 0.02  # how far from a whole number of units what is called one may be


def lasting(seconds: float) -> str:
    """A time in the largest unit that it is a whole number of, else in the largest that it is longer than: "2 days"."""
    known = [unit for unit in _UNITS if seconds >= (1 - _NEAR) * unit[2]]
    whole = [
        unit for unit in known if abs(seconds / unit[2] - round(seconds / unit[2])) <= _NEAR * seconds / unit[2] / 2
    ]
    if not known:
        return f"{seconds:.3g} seconds"
    one, many, size = whole[0] if whole and seconds / whole[0][2] < 100 else known[0]
    number = seconds / size
    if abs(number - 1) <= _NEAR:
        return one
    return f"{number:.0f} {many}" if abs(number - round(number)) <= _NEAR else f"{number:.1f} {many}"


def steps(count: int, axis: Axis) -> str:
    """So many steps, with how long that is where time is told in dates: "24 steps = a day"."""
    word = f"{count:,} step{'s' * (count != 1)}"
    return f"{word} = {between(count * axis.step, axis)}" if axis.kind == "date" and axis.regular else word


def between(time: float, axis: Axis) -> str:
    """How long it is between two times of an axis: in months or working days, where these are what it counts."""
    if axis.kind != "date":
        return f"{time:g}"
    if axis.calendar != "workdays":
        return lasting(time)
    days = round(time / WORKDAY)
    return "a working day" if days == 1 else f"{days:,} working days"


def moment(time: float, axis: Axis) -> str:
    """A time as a person reads it, as the calendar has it that its axis counts."""
    if axis.kind != "date":
        return f"{time:,.6g}"
    text = str(np.datetime64(round(float(dated(np.array([time]), axis.calendar)[0])), "s"))
    return text[:10] if text.endswith("T00:00:00") else text[:16].replace("T", " ")
