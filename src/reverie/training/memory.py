"""How much memory training will take, asked before the first step."""

from __future__ import annotations

import copy
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reverie.core.denoiser import Learned
from reverie.core.noise import Noise
from reverie.core.weighting import Uniform
from reverie.data.memory import available
from reverie.example import Example, count, each

_LASTING = 6  # weights, their gradient, two moments, the average, the best so far: all of one size
_WRITING = 9  # while a checkpoint is written: those, and a copy of weights and moments
_SLACK = 1.12  # what the allocator keeps and kernels need for themselves, beside the tensors
_CODE = 50 << 20  # of libraries that the first step loads


class _Living(TorchDispatchMode):
    """Counts the bytes of all tensors made under it that live at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, torch.Tensor):
                self._count(t.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def training_memory(denoiser: Learned, example: Example, accumulate: int = 1) -> int | None:
    """Bytes that training will come to hold at most, beyond what the data and the untrained weights take now.

    example: one part of a batch, of which there are `accumulate` a step. The step is walked forwards and backwards on
    PyTorch's meta device, which has shapes but no memory, every tensor counted while it lives. None for a network of a
    person's own that cannot be walked without numbers.
    """
    eps = denoiser.process.draw(Noise.of(0, count(example.x0)), example.x0)
    meta, where = copy.deepcopy(denoiser).to("meta").train(), torch.device("meta")
    x, eps = example.to(where), each(lambda e: e.to(where), eps)
    t = torch.full((count(example.x0),), 0.5, dtype=torch.float64)
    try:
        with _Living() as living:
            meta.loss(x, t, eps, Uniform()).mean().backward()
    except (RuntimeError, NotImplementedError):
        return None
    weights = sum(p.numel() * p.element_size() for p in denoiser.parameters())
    beside = (
        _LASTING - 1 if accumulate > 1 else _LASTING - 2
    )  # the walk counts one gradient, not those kept for the next
    return int(_SLACK * (max(beside * weights + living.peak, _WRITING * weights) - weights))


def available_memory(device: torch.device) -> int | None:
    """Free bytes on a device, or None where the system does not say."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available()


def resident() -> tuple[int, int] | None:
    """Bytes of memory that this process has now, and the most it ever had; None where the system does not say."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[1])
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return pages * resource.getpagesize(), most
    except (ImportError, OSError):
        return None


def peak_memory(need: int | None, device: torch.device) -> int | None:
    """Most memory that this process will have come to hold: on a GPU what training needs there, else with what is held now."""
    held = resident()
    if need is None or device.type == "cuda" or held is None:
        return need
    return max(held[0] + _CODE + need, held[1])
