"""A trained model against real data: draw samples in the data's proportions, and judge them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable

import numpy as np

from reverie.codecs import Codec
from reverie.core.samplers import Step
from reverie.data.dataset import Data
from reverie.errors import ReverieError
from reverie.evaluation.evaluate import Evaluation, evaluate, labels_like
from reverie.evaluation.filling import fillings
from reverie.evaluation.likelihood import ITEMS, likelihood
from reverie.evaluation.membership import ITEMS as MEMBERS
from reverie.evaluation.membership import Membership, losses, membership
from reverie.metrics.base import Features
from reverie.model import Model
from reverie.registry import config
from reverie.samples import Samples

PATCHED = (
    "Some entries of the items were not observed, or lie behind an end. Distances take them as the codec fills them (between "
    "their neighbours, or as the last value before an end); a likelihood would have to count them, and was left out."
)
IN_TIME = (
    "Items are stretches of time, and the held-out ones come after those to train on. Where they overlap, intervals and "
    "p-values, which take items to be independent, say too much. A change over time counts as error; it also makes samples "
    "nearer to training than to held-out items, and losses lower on the former: neither is taken for a sign of copying."
)


def measure(
    model: Model,
    train: Data,
    held_out: Data,
    *,
    n: int = 500,
    steps: int | None = None,
    sampler: str | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    features: Features | None = None,
    seed: int = 0,
    on_step: Callable[[Step], None] | None = None,
    likelihood_n: int = ITEMS,
) -> tuple[Evaluation, Samples]:
    """Draw n samples (at most as many as are held out) with the held-out labels' proportions, and evaluate them.

    likelihood_n: held-out items, and training items, whose bits per dimension are estimated; 0 to leave that out.
    What the held-out side notes (see `sides.both_sides`) comes first among the notes.
    Raises ReverieError where the data has other classes than the model.
    """
    n = min(n, len(held_out))
    wanted, told = None, None
    if model.classes:
        for data in (train, held_out):
            if data.labels is None or list(data.classes) != model.classes:
                raise ReverieError(
                    f"{data.source} has {len(data.classes)} classes ({', '.join(data.classes[:5]) or 'none'}), the model "
                    f"{len(model.classes)} ({', '.join(model.classes[:5])}). Evaluate on data with the same classes."
                )
        assert held_out.labels is not None
        wanted = labels_like(held_out.labels, n, seed)
    if set(model.conditions) - {"label"}:  # several, or no label: those of held-out items, as they occur together
        for data in (train, held_out):
            model.check_told(data)
        chosen = np.random.default_rng(seed).permutation(len(held_out))[:n]
        told = {name: values for name, values in held_out.told(chosen).items() if name in model.conditions}
        wanted = held_out.labels[chosen] if wanted is not None and held_out.labels is not None else None
    samples = model.sample(
        n,
        label=None if wanted is None or told else wanted.tolist(),
        conditions=told,
        steps=steps,
        sampler=sampler,
        guidance=guidance,
        temperature=temperature,
        seed=seed,
        on_step=on_step,
    )
    codec = model.codec
    made = as_files_hold(model, samples)
    whole = codec.whole_items(train.items) and codec.whole_items(held_out.items)
    judged = evaluate(
        codec.numbers(model.encode(train.items)),
        codec.numbers(model.encode(held_out.items)),
        codec.numbers(made),
        train.labels if model.classes else None,
        held_out.labels if model.classes else None,
        wanted,
        model.classes or None,
        features=features,
        n=n,
        seed=seed,
        membership=_membership(model, train, held_out, seed),
        likelihood=likelihood(model, train, held_out, likelihood_n, seed)
        if min(likelihood_n, len(held_out)) > 1 and not codec.joint and whole
        else None,
        own=None if codec.scored is None else (codec.scored, _Values(codec)),
        spans=train.spans,
    )
    said = [*([] if whole or codec.joint else [PATCHED]), *([] if train.spans is None else [IN_TIME])]
    filled = fillings(model, train, held_out, seed=seed)
    return dataclasses.replace(judged, notes=(*held_out.notes, *judged.notes, *said), filling=filled), samples


def as_files_hold(model: Model, samples: Samples) -> np.ndarray:
    """Samples encoded, (N, *): series cut to the length that each was told."""
    return model.encode(samples.items) if model.codec.brings else samples.x


class _Values(Features):
    """Encoded items as values in the data's own units, as the codec tells them."""

    name = "values"

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    @property
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of the codec's description."""
        return hashlib.sha256(json.dumps(config(self.codec), sort_keys=True, default=str).encode()).hexdigest()[:6]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: what `Codec.numbers` gave (N, *) -> items as the metrics of their kind take them."""
        return self.codec.records(x)


def _membership(model: Model, train: Data, held_out: Data, seed: int) -> Membership | None:
    """Do the model's losses tell the items it was trained on? At most 300 of each; None with fewer than 2 held out."""
    rng = np.random.default_rng(seed)
    sides = [data.subset(np.sort(rng.permutation(len(data))[:MEMBERS])) for data in (train, held_out)]
    if min(map(len, sides)) < 2:
        return None
    found = [losses(model.denoiser, model.encode(data.items), model.told(data), seed) for data in sides]
    return membership(*found)
