"""How many items one call of a verb may make: as many as are asked for, but where others wait for the same machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from reverie.errors import ReverieError

_most: ContextVar[int | None] = ContextVar("most", default=None)


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Within, `check_many` refuses more than `count` items."""
    token = _most.set(count)
    try:
        yield
    finally:
        _most.reset(token)


def check_many(inputs: int, each: int) -> None:
    """Refuse to make `each` items of every input where that is more than may be; raises ReverieError."""
    most = _most.get()
    if most is not None and inputs * each > most:
        raise ReverieError(
            f"{inputs:,} inputs, {each:,} made of each: {inputs * each:,} in all, and one job makes {most:,} at most here. Give "
            "fewer inputs, or ask for fewer of each."
        )
