"""How much memory a training step will take, asked before the first one."""

from __future__ import annotations

import copy

import torch

from reverie.core.denoiser import Learned
from reverie.core.noise import Noise
from reverie.core.weighting import Uniform
from reverie.data.memory import available
from reverie.example import Example, each


def training_memory(denoiser: Learned, example: Example) -> int:
    """Bytes that one training step will hold: what is saved for the backward pass, weights, gradients and averages.

    The step is run on PyTorch's meta device, which has shapes but no memory, so that asking costs nothing.
    """
    held: dict[int, torch.UntypedStorage] = {}  # by address of the storage, each kept alive so that it stays its own

    def pack(t: torch.Tensor) -> torch.Tensor:
        storage = t.untyped_storage()
        held[storage._cdata] = storage
        return t

    eps = denoiser.process.draw(Noise.of(0, len(example.x0)), example.x0)
    meta = copy.deepcopy(denoiser).to("meta")
    where = torch.device("meta")
    t = torch.full((len(example.x0),), 0.5, dtype=torch.float64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        x = example.to(where)
        meta.loss(x, t, each(lambda e: e.to(where), eps), Uniform())
    weights = sum(p.numel() * p.element_size() for p in denoiser.parameters())
    in_flight = int(
        1.25 * sum(s.nbytes() for s in held.values())
    )  # with the gradients of activations on their way back
    return in_flight + 5 * weights  # themselves, their gradient, two moments, the average


def available_memory(device: torch.device) -> int | None:
    """Free bytes on a device, or None where the system does not say."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available()
