"""Filling in: some entries of x0 are known."""

from __future__ import annotations

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.core.guidance.base import Guidance
from reverie.core.processes import Process, Product
from reverie.errors import ReverieError
from reverie.example import State, each


class Known(Guidance):
    """x0_hat where nothing is known, and the known value where it is; samples have those entries exactly.

    value, known: the entries and a bool mask that says which of them count, broadcastable to x0 (B, *); for a Product dicts
    of them, where a field left out is not known at all. For tokens the known ones also stand in x_t before the network
    sees it, or a mask would be all it saw of them: exact for masked tokens; a uniform process takes them for noisy ones.
    For a Gaussian the known part of x_t walks down with the rest, from the prior to the value, where RePaint draws it
    afresh from q(x_t | x0) at every step: the same law at every t. Neither tells the rest of x0_hat more of the known
    entries than their noised values do: the fill is biased, as docs/guidance_bias.md shows. RePaint is this guidance with
    a grid that jumps back up.
    Source: Lugmayr et al. 2022 (RePaint), algorithm 1; Song et al. 2021 (Score-Based Generative Modeling through SDEs),
    section 5, for replacement.
    """

    def __init__(self, denoiser: Denoiser, value: State, known: State) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.process = denoiser.process
        self.value, self.known = _complete(self.process, value), _complete(self.process, known)
        each(_check, self.value, self.known)
        self.known = each(lambda mask: mask.bool(), self.known)

    def forward(self, x_t: State, t: Tensor) -> State:
        """The prediction, (B, *), certain of what is known."""
        value, known = each(_fit, self.value, x_t), each(_fit, self.known, x_t)
        return self.process.pin(self.denoiser(self.process.reveal(x_t, value, known), t), value, known)


def _complete(process: Process, given: State) -> State:
    """Of a Product, all fields: those left out are 0, which in a mask says "not known"."""
    fields = list(process.fields) if isinstance(process, Product) else []
    named = list(given) if isinstance(given, dict) else []
    if bool(fields) != isinstance(given, dict) or set(named) - set(fields):
        raise ReverieError(
            f"Known entries are given as {'fields: ' + ', '.join(named) if named else 'one tensor'}; data of this "
            f"{type(process).__name__} process is {'fields: ' + ', '.join(fields) if fields else 'one tensor'}."
        )
    return {k: given.get(k, torch.zeros((), dtype=torch.bool)) for k in fields} if fields else given


def _check(value: Tensor, known: Tensor) -> None:
    try:
        value, known = torch.broadcast_tensors(value, known.bool().to(value.device))
    except RuntimeError as error:
        raise ReverieError(
            f"Known values of shape {tuple(value.shape)} and their mask of shape {tuple(known.shape)} do not fit."
        ) from error
    if bad := int((~torch.isfinite(value) & known).sum()):
        raise ReverieError(
            f"{bad} of {int(known.sum())} known entries are NaN or infinite; leave them out of the mask."
        )


def _fit(given: Tensor, x: Tensor) -> Tensor:
    try:
        return given.to(device=x.device, dtype=torch.bool if given.dtype == torch.bool else x.dtype).expand(x.shape)
    except RuntimeError as error:
        raise ReverieError(
            f"Known entries of shape {tuple(given.shape)} do not fit data of shape {tuple(x.shape)}; give the shape of one "
            "sample or of the batch."
        ) from error
