"""Denoisers that know some entries of the items that they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from reverie.codecs.gaps import Gaps
from reverie.core.denoiser import Denoiser
from reverie.core.guidance import Known
from reverie.core.processes.product import Fields
from reverie.errors import ReverieError
from reverie.example import ENTRIES, Conditions, each, entries, of_arrays, some_of, some_state
from reverie.model import Model
from reverie.networks.base import takes_entries
from reverie.tasks.parts.edits import Draws

METHODS = ("trained", "known")


class Possible(Denoiser):
    """A denoiser with the probability of classes that cannot be taken away, the others' renormalised.

    possible: of some fields, (B, K, *) bool, at least one class of each entry.
    """

    def __init__(self, denoiser: Denoiser, possible: Fields) -> None:
        super().__init__()
        self.denoiser, self.process, self.possible = denoiser, denoiser.process, possible

    def forward(self, x_t: Fields, t: Tensor) -> Fields:
        """The prediction, {field: (B, *) or (B, K, *)}."""
        said = self.denoiser(x_t, t)
        bent = {k: said[k].masked_fill(~may, -torch.inf).log_softmax(1) for k, may in self.possible.items()}
        return {**said, **bent}


@dataclass(frozen=True)
class Window:
    """What is known of N encoded items of one field: x (N, *), and known (N, *) bool."""

    x: Any
    known: Any
    possible: dict[str, Any] = field(default_factory=dict)


def knowing(asked: Draws, gaps: Gaps | Window, method: str) -> Callable[[slice], Denoiser]:
    """The denoiser of some draws that knows what is known of their inputs; `trained` tells the network, too.

    A network that was told entries in training predicts the others given them; one that was not sees of a known number no
    more than its noised value, so that what it draws is biased: docs/guidance_bias.md.
    """
    model = asked.model
    x, known, possible = (of_arrays(part) for part in (gaps.x, gaps.known, gaps.possible))

    def bent(which: slice) -> Denoiser:
        of = asked.sources(which)
        value, here = some_state(x, of), some_state(known, of)
        told: Conditions = {ENTRIES: entries(value, here)} if method == "trained" else {}
        denoiser = model.guided(some_of(asked.wish.cond, which) | told, asked.settings)
        if possible:
            denoiser = Possible(denoiser, {k: may[of].to(model.device) for k, may in possible.items()})
        return Known(denoiser, *(each(lambda v: v.to(model.device), part) for part in (value, here)))

    return bent


def words_of(method: str) -> str:
    """A method and what it does, for a person."""
    told = "the model practised filling gaps in training, and is told what is known"
    return f"method {method}: {told if method == 'trained' else 'what is known is put back at every step'}"


def untold(model: Model) -> list[str]:
    """How to train a model that is told what is known, where this one is not."""
    if takes_entries(model.denoiser.network):
        return []
    return [
        "this model did not practise filling gaps in training: `reverie train PATH --entries 0.25` makes one that did "
        "(docs/tables.md says when that helps)"
    ]


def method_for(model: Model, method: str | None) -> str:
    """The method asked for, or the better one that the model knows."""
    able = takes_entries(model.denoiser.network)
    if method not in (None, *METHODS):
        raise ReverieError(
            f"--method {method}: for this model there are {' and '.join(METHODS if able else METHODS[1:])}."
        )
    if method == "trained" and not able:
        raise ReverieError(
            "--method trained needs a model that practised filling gaps in training (reverie train PATH --entries 0.25). This "
            "one knows --method known."
        )
    return method or ("trained" if able else "known")
