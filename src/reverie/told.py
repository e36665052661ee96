"""What a person tells a model of the items that a verb works on, as words and as the network's conditions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reverie.core.denoiser import Denoiser
from reverie.errors import ReverieError, nearest
from reverie.example import Conditions
from reverie.model import Model
from reverie.samples import Settings


def asked_labels(model: Model, text: str | None, n: int) -> list[str] | None:
    """A label for each of n items from `3` or `3,5,8` (cycled); None where nothing is to be told."""
    if text is None:
        return None
    words = [text] if text in model.classes else [w.strip() for w in text.split(",")]
    return known_labels(model, [words[k % len(words)] for k in range(n)])


def known_labels(model: Model, labels: Sequence[str]) -> list[str]:
    """The labels themselves; raises ReverieError for one that the model does not know."""
    odd = sorted(set(labels) - set(model.classes))
    if odd and not model.classes:
        raise ReverieError(f"This model was trained without labels, so '{odd[0]}' means nothing to it.")
    if odd:
        raise ReverieError(
            f"There is no label '{odd[0]}' in this model. The nearest of its {len(model.classes)} labels: "
            f"{nearest(odd[0], model.classes)}."
        )
    return list(labels)


def conditions(model: Model, labels: Sequence[str] | None) -> Conditions:
    """What the network is told of items with these labels (known ones); nothing where there are none."""
    if labels is None:
        return {}
    return model.condition(_numbers(model, labels))


def bent(model: Model, labels: Sequence[str] | None, settings: Settings) -> Denoiser:
    """The denoiser that a sampler walks items with these labels (known ones) with, guided as the settings say."""
    return model.guided(conditions(model, labels), settings)


def _numbers(model: Model, labels: Sequence[str]) -> Tensor:
    return torch.tensor([model.classes.index(word) for word in labels])
