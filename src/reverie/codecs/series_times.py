"""Columns of times: read as numbers that rise evenly where the calendar does, and written back as they stood.

Seconds since 1970 are even for minutes and days; months and working days are not, though a person who writes one value for each
means an even step. Such an axis counts them: a month is a twelfth of a mean year, a working day a fifth of a week, so that
what is inside stays within three days of the seconds since 1970, and what is written is the date itself.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs.rows import pandas
from reverie.codecs.series_items import Axis
from reverie.errors import ReverieError

if TYPE_CHECKING:
    import pandas as pd

DAY = 86_400.0  # seconds
MONTH = 365.2425 * DAY / 12
WORKDAY = 7 * DAY / 5
_EPOCH = np.datetime64("1970-01-01", "D")
SAYS_DATE = {"time", "times", "date", "dates", "timestamp", "datetime", "ds", "t", "ts", "unixtime"}  # names of columns
SINCE_1970 = {  # from, below, how many are a second, decimals of a microsecond
    "seconds since 1970": (1e8, 1e10, 1, 6),
    "milliseconds since 1970": (1e10, 1e13, 1000, 3),
}
MOST = 0.9  # of a column's cells, from which on those that are no dates are faults
_LAST = 31  # as the day of a month: the last, whichever it is
_SPELT = ("%Y-%m", "%Y/%m", "%m/%Y", "%Y %b", "%b %Y", "%Y %B", "%B %Y", "%b-%Y")  # months, which pandas does not guess
_QUARTERS = ("%YQ%q", "%Y-Q%q", "%Y Q%q", "%Y/Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y")  # %q is ours, no library's
_OFFSET = re.compile(r"(.*\d:\d\d.*?)(Z|[+-]\d\d:?\d\d)")  # a time of day, then where on earth


def words_of(name: str) -> set[str]:
    """The words in a column's name: "startTime" is start and time; the T of a date is none."""
    name = re.sub(r"(?<=\d)T(?=\d)", " ", name)
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))


def is_date(column: pd.Series) -> bool:
    """Whether a column holds dates: as its type, or as words of which the first, or nine in ten, are written like one."""
    pd = pandas()
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    if pd.api.types.is_numeric_dtype(column) or not len(words := column.dropna()):
        return False
    return bool(_formats(str(words.iloc[0]))) or bool(_likely(words) and told(words).mean() >= MOST)


def told(column: pd.Series) -> np.ndarray:
    """Which cells tell a time, (N,) bool: numbers, or words that are dates in the one format that most of them have."""
    pd = pandas()
    there = column.notna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(column):
        return there
    if pd.api.types.is_numeric_dtype(column):
        return there & np.isfinite(column.to_numpy(dtype=np.float64, na_value=np.nan))
    words = column.astype(str)
    found = [there & _dates(words, format).notna().to_numpy() for format in _likely(column.dropna())]
    return max(found, key=np.sum, default=np.zeros(len(column), bool))


def parsed(column: pd.Series, source: str) -> tuple[np.ndarray, Axis]:
    """Times (N,) float64 as `Axis` has them, before any calendar; ReverieError names the row of what is no time."""
    pd, name, dtype = pandas(), str(column.name), str(column.dtype)
    if (gone := np.flatnonzero(column.isna())).size:
        raise ReverieError(f"{source}, row {gone[0] + 2}, column '{name}': no time. Fill it in, or remove the row.")
    if pd.api.types.is_datetime64_any_dtype(column):
        return _seconds(column, source), Axis(name, "date", None, dtype)
    if not pd.api.types.is_numeric_dtype(column):
        words = column.astype(str)
        format = _format(words, source)
        dtype = "date" if pd.api.types.infer_dtype(column) == "date" else dtype
        utc = format.replace("%z", "+00:00" if ":" in words.iloc[0][-3:] else "+0000")
        return _seconds(_dates(words, format), source) - _offset(format), Axis(name, "date", utc, dtype)
    times = column.to_numpy(dtype=np.float64)
    if (odd := np.flatnonzero(~np.isfinite(times))).size:
        raise ReverieError(f"{source}, row {odd[0] + 2}, column '{name}': {times[odd[0]]} is no time. Mend the cell.")
    if pd.api.types.is_integer_dtype(column) and ((times > 18e6) & (times < 22e6)).all():
        dates = _dates(column.astype(str), "%Y%m%d")
        if dates.notna().all():
            return _seconds(dates, source), Axis(name, "date", "%Y%m%d", dtype)
        if dates.notna().mean() >= MOST:
            _format(column.astype(str), source, ("%Y%m%d",))
    if since := _since_1970(name, times):
        return times / SINCE_1970[since][2], Axis(name, "date", since, dtype)
    return times, Axis(name, "number", None, dtype)


def _since_1970(name: str, times: np.ndarray) -> str | None:
    """What numbers count that stand in a column called by a date and are as large as seconds or milliseconds since 1970 are."""
    if not SAYS_DATE & words_of(name) or not len(times):
        return None
    ends = SINCE_1970.items()
    return next((what for what, (low, high, *_) in ends if times.min() >= low and times.max() < high), None)


def offsets(column: pd.Series) -> list[str]:
    """How far ahead of UTC the clock was that times are written in: each offset that stands at their ends, in order."""
    if pandas().api.types.infer_dtype(column) not in ("string", "mixed") or not _OFFSET.fullmatch(str(column.iloc[0])):
        return []
    return sorted(column.astype(str).str.extract(_OFFSET.pattern + "$")[1].dropna().unique())


def evened(times: np.ndarray, axis: Axis) -> tuple[np.ndarray, Axis]:
    """The same times and axis, counted in months or working days where the dates are one of these."""
    calendar = _calendar(times) if axis.kind == "date" else ""
    if not calendar:
        return times, axis
    even = counted(times, calendar)
    assert even is not None  # `_calendar` names one that the dates keep
    return even, replace(axis, calendar=calendar)


def counted(times: np.ndarray, calendar: str) -> np.ndarray | None:
    """Seconds since 1970 as an axis of a calendar has them; None where some are no dates of it."""
    if not calendar:
        return times
    days = _EPOCH + (times // DAY).astype(np.int64)
    if calendar == "workdays":
        even = np.busday_count(_EPOCH, days) * WORKDAY
    else:
        even = days.astype("datetime64[M]").astype(np.int64) * MONTH
    return even if (dated(even, calendar) == times).all() else None


def iso(time: float, calendar: str) -> str:
    """One time of such an axis as ISO 8601 has its date."""
    return str(np.datetime64(round(float(dated(np.array([time]), calendar)[0]) * 1000), "ms"))


def of_iso(date: str, calendar: str) -> float:
    """The same back; ValueError for what is no date, or none of the calendar."""
    even = counted(np.array([np.datetime64(date, "ms").astype(np.int64) / 1e3]), calendar)
    if even is None:
        raise ValueError(f"{date} is not {calendar_words(calendar)}")
    return float(even[0])


def calendar_words(calendar: str) -> str:
    """What each date of a calendar is."""
    day = calendar.partition(":")[2]
    return "a working day" if not day else f"the {'last' if day == str(_LAST) else day + '.'} of a month"


def times_written(times: np.ndarray, axis: Axis) -> pd.Series:
    """Times (T,) as the file has them: in its column's own type, dates in its own format."""
    pd = pandas()
    if axis.kind == "index":
        return pd.Series(np.arange(len(times)), name=axis.name)
    if axis.kind == "number" or axis.format in SINCE_1970:
        if axis.kind == "date":
            _, _, unit, decimals = SINCE_1970[str(axis.format)]
            times = np.round(dated(times, axis.calendar) * unit, decimals)
        whole = axis.dtype.lower().startswith(("int", "uint"))
        return pd.Series(np.round(times) if whole else times, name=axis.name).astype(axis.dtype)
    micro = np.round((dated(times, axis.calendar) + _offset(axis.format)) * 1e6).astype("datetime64[us]")
    dates = pd.Series(micro, name=axis.name)
    if axis.dtype == "date":
        return dates.dt.date
    if axis.format is not None and "%q" in axis.format:
        written = [d.strftime(axis.format.replace("%q", str(d.quarter))) for d in dates]
        return pd.Series(written, name=axis.name).astype(axis.dtype)
    if axis.format is not None:
        return dates.dt.strftime(axis.format).astype(axis.dtype)
    return (dates.dt.tz_localize("UTC") if "," in axis.dtype else dates).astype(axis.dtype)


def times_read(times: np.ndarray, axis: Axis) -> list[str]:
    """Times (T,) for a person: as the file has them, but seconds since 1970 as dates in UTC."""
    if axis.format in SINCE_1970:
        return [iso(t, axis.calendar)[:19].replace("T", " ").removesuffix(":00") for t in times.tolist()]
    written: list[str] = times_written(times, axis).astype(str).tolist()
    return written


def span_words(seconds: float, kind: str) -> str:
    """A time between two steps, for a person."""
    if kind != "date":
        return f"{seconds:g}"
    units = (("month", MONTH), ("working day", WORKDAY), ("day", DAY), ("hour", 3600.0), ("minute", 60.0))
    for word, unit in units:
        count = seconds / unit
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{round(count):,} {word}{'s' * (round(count) != 1)}"
    return f"{seconds:g} s"


def _calendar(times: np.ndarray) -> str:
    """Which calendar dates keep: "months:D", the Dth of months (31: their last), "workdays", or "" for an even one."""
    if (times % DAY).any() or len(times) < 2:
        return ""
    days = np.unique(_EPOCH + (times // DAY).astype(np.int64))
    of_month = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(int) + 1
    if len(np.unique(days.astype("datetime64[M]"))) == len(days) > 1:
        if (of_month == of_month[0]).all() and of_month[0] <= 28:
            return f"months:{of_month[0]}"
        if ((days + 1).astype("datetime64[M]").astype("datetime64[D]") == days + 1).all():
            return f"months:{_LAST}"
    gaps = np.diff(days).astype(int)
    if (
        np.is_busday(days).all()
        and len(gaps)
        and (days[-1] - days[0]).astype(int) >= 7
        and 2 * (gaps == 1).sum() > len(gaps)
    ):
        return "workdays"
    return ""


def dated(times: np.ndarray, calendar: str) -> np.ndarray:
    """Seconds since 1970 of what `counted` made of them."""
    if not calendar:
        return times
    if calendar == "workdays":
        days = np.busday_offset(_EPOCH, np.round(times / WORKDAY).astype(np.int64))
    else:
        months, day = np.round(times / MONTH).astype("datetime64[M]"), int(calendar.partition(":")[2])
        last = (months + 1).astype("datetime64[D]") - 1
        days = last if day == _LAST else months.astype("datetime64[D]") + (day - 1)
    return (days - _EPOCH).astype(np.float64) * DAY


def _seconds(dates: pd.Series, source: str) -> np.ndarray:
    """Seconds since 1970 UTC; finer than a microsecond cannot be kept."""
    pd = pandas()
    utc = dates.dt.tz_convert("UTC").dt.tz_localize(None) if isinstance(dates.dtype, pd.DatetimeTZDtype) else dates
    micro = utc.dt.floor("us")
    if (fine := np.flatnonzero(micro != utc)).size:
        raise ReverieError(
            f"{source}, row {fine[0] + 2}, column '{dates.name}': {dates.iloc[fine[0]]} is finer than a microsecond. Round it."
        )
    return np.asarray(micro.to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6)


def _format(words: pd.Series, source: str, formats: Sequence[str] = ()) -> str:
    """The one format that all dates are written in; where two are possible, that in which more of them rise."""
    found: list[tuple[int, int, str]] = []
    for format in formats or _likely(words):
        dates = _dates(words, format)
        forward = int((np.diff(dates.to_numpy().astype(np.int64)) > 0).sum())
        found.append((int(dates.isna().sum()), -forward, format))
    if not found:
        raise ReverieError(f"{source}, row 2, column '{words.name}': '{words.iloc[0]}' is no date. Mend the cell.")
    bad, _, format = min(found, key=lambda one: one[:2])
    if bad:
        gone = _dates(words, format).isna().to_numpy()
        row, like = int(np.argmax(gone)), int(np.argmin(gone))
        good = f"{words.iloc[like]} in row {like + 2}"
        where = f"{source}, row {row + 2}, column '{words.name}': '{words.iloc[row]}'"
        if _formats(words.iloc[row]):  # a date, in another way
            raise ReverieError(
                f"{where} is no date written {format}, as {good} is. Write all dates in one way, in one time zone."
            )
        raise ReverieError(
            f"{where} is no date, where {len(words) - bad:,} of {len(words):,} rows have one, such as {good}. Mend the cell, or "
            "remove the row."
        )
    return format


def _likely(words: pd.Series) -> list[str]:
    """The formats in which the first, the middle or the last of some words could be dates."""
    few = words.iloc[[0, len(words) // 2, -1]] if len(words) else words
    found = dict.fromkeys(format for word in few for format in _formats(str(word)))
    if len(few) and len(offsets(words)) > 1:  # as with daylight saving: each time by the offset that it is written with
        found = dict.fromkeys(re.sub(r"(Z|[+-]\d\d:?\d\d)$", "%z", format) for format in found)
    return list(found)


@lru_cache(1024)
def _formats(cell: str) -> tuple[str, ...]:
    """How a cell could be read as a date, the likeliest first; none for what is no date."""
    from pandas.tseries.api import guess_datetime_format

    if not any(c.isdigit() for c in cell):
        return ()
    if found := [f for f in _QUARTERS if re.fullmatch(_pattern(f), cell)]:
        return tuple(found)
    zone = _OFFSET.fullmatch(cell)
    plain, offset = zone.groups() if zone else (cell, "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two possible orders of day and month, which are both tried
        first = "." in plain  # 31.12.2020: who writes dots begins with the day
        guessed = [guess_datetime_format(plain, dayfirst=day) for day in (first, not first)]
    tried = [f for f in guessed if f and "%y" in f.lower() and not re.match("%Y.?%d", f)]
    tried += [f for f in _SPELT if _is_written(plain, f)]
    return tuple(format + offset for format in dict.fromkeys(tried))


def _is_written(cell: str, format: str) -> bool:
    try:
        return bool(datetime.strptime(cell, format))
    except ValueError:
        return False


def _pattern(quarters: str) -> str:
    return quarters.replace("%Y", r"(?P<year>[12]\d{3})").replace("%q", "(?P<quarter>[1-4])")


def _dates(words: pd.Series, format: str) -> pd.Series:
    if "%q" in format:  # as the first month of each
        found = words.str.extract(f"^{_pattern(format)}$")
        words, format = (
            found["year"] + "-" + (found["quarter"].astype("float") * 3 - 2).astype("Int64").astype(str),
            "%Y-%m",
        )
    dates = pandas().to_datetime(words, format=format, errors="coerce", utc="%z" in format)
    return dates.dt.tz_localize(None) if "%z" in format else dates


def _offset(format: Any) -> float:
    """Seconds that a format's own zone, written at its end, is ahead of UTC."""
    found = re.search(r"([+-])(\d\d):?(\d\d)$", format or "")
    if not found:
        return 0.0
    sign, hours, minutes = found.groups()
    return float(f"{sign}1") * (3600 * int(hours) + 60 * int(minutes))
