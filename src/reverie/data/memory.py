"""How much memory there is, and a refusal in figures before it runs out."""

from __future__ import annotations

import os
from pathlib import Path

from reverie.errors import ReverieError

SHARE = 0.6  # of what is free: the rest is for the network and its gradients


def available() -> int | None:
    """Bytes that can be had without swapping, a container's limit counted; None where the system does not say."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit.isdecimal():
            found.append(max(0, int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text())))
    except OSError:
        pass  # not Linux, or not in a container
    if not found and os.name == "posix":
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    return min(found, default=None)


def must_fit(need: int, what: str) -> None:
    """Raise ReverieError, with the figures and what to do, if data needs more than 60 % of what is free."""
    free = available()
    if free is not None and need > SHARE * free:
        raise ReverieError(
            f"{what} would take {need / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free, of which data "
            f"may have {SHARE:.0%}. Give a smaller --resolution, or fewer files."
        )
