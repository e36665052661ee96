"""From data and settings to everything a run needs, checked before the first step."""

from __future__ import annotations

import copy
import inspect
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reverie import registry, storage
from reverie.codecs import Codec
from reverie.conditions import Knowledge
from reverie.core.denoiser import Learned, NetworkDenoiser, ProductDenoiser, TokenDenoiser
from reverie.core.grids import Trailing
from reverie.core.processes import Categorical, Gaussian, Process, Product
from reverie.core.schedules import BetaChain
from reverie.data.dataset import Data
from reverie.data.loader import Loader
from reverie.data.memory import must_fit
from reverie.data.split import Split, few_held_out, split
from reverie.errors import ReverieError
from reverie.example import of_arrays
from reverie.model import Model
from reverie.networks.base import Block, takes_entries
from reverie.samples import Settings, sampler_class
from reverie.training.fitting import SIZES, fit, worth_its_time
from reverie.training.memory import peak_memory
from reverie.training.settings import TrainSettings, parse_resolution, share_or_count
from reverie.training.validation import ITEMS, Items

_AT_ONCE = 1 << 24  # entries, of items that are encoded together
_BEGUN_WITH = 4096  # training items that a network sees before it learns
MISMATCH = 0.01  # nats per dimension, above which the prior is no longer near enough to where training ended


@dataclass
class Job:
    """What a run works on: the model to be, its data, and how it was split."""

    model: Model
    loader: Loader
    held_out: Items
    training: Items
    asked: Data  # the held-out items that are looked at, whose conditions are asked for where they cannot be drawn
    split: Split
    batch: int
    lr: float
    notes: list[str]
    settings: TrainSettings  # with the size and the parts of a batch that were chosen
    memory: int | None  # bytes that the process, or on a GPU the card, will hold at most


def prepare(data: Data, settings: TrainSettings, network: nn.Module | None = None) -> Job:
    """Split the data, fit codec and moments on the training part, and build the network.

    Raises ReverieError where the data is too small for a batch, says nothing, or the step would not fit in memory.
    """
    device = pick_device(settings.device)
    if settings.threads is not None:
        set_threads(settings.threads)
    cut = split(data, share_or_count(settings.held_out, "held-out"), seed=0)
    train, held = data.subset(cut.train), data.subset(cut.held_out)
    start = storage.load(Path(settings.init_from), network) if settings.init_from else None
    settings = _as_started(settings, start) if start else _of_kind(settings, data.kind)
    codec = start.codec if start else _codec(train, data, settings)
    batch = settings.batch or default_batch(codec, len(train))
    if len(train) < batch:
        raise ReverieError(
            f"{data.source} leaves {len(train)} items to train after {len(held)} are held out, fewer than a batch of "
            f"{batch}. Add data, or give a smaller --batch or --held-out."
        )
    seen = sum(min(len(side), ITEMS) for side in (train, held))  # looks keep these encoded, 4 bytes an entry
    what = f"{data.source}: a batch of {batch:,} and {seen:,} items to look at, of {codec.shape_words},"
    must_fit(4 * (batch + seen) * _entries(codec), what)
    notes = [*data.notes, *few_held_out(data, cut), *_broken(data), *([codec.rule] if codec.rule else [])]
    augment = [a.strip() for a in (settings.augment or "").split(",") if a.strip()]
    conditions = start.conditions if start else Knowledge.fit(train.columns, _sides(codec))
    conditions.check(train.columns, "the model to start from")
    notes += _told_notes(conditions, len(data))
    told = _entries_told(settings, start, network)
    dropout = settings.condition_dropout
    loader = Loader(train.items, codec, settings.seed, train.columns, conditions, dropout, augment, told)
    for chosen in _sizes(settings):
        model = _continued(start, notes) if start else _fresh(codec, train, conditions, chosen, network)
        model.to(device)
        room = fit(model.denoiser, loader, batch, settings.accumulate, device)
        if room.fits and (settings.size != "auto" or worth_its_time(model.denoiser, loader, batch, chosen)):
            break
    room.check(batch, codec.shape_words, model.parameters)
    if room.accumulate > 1:
        notes += [] if settings.accumulate else [room.note(batch)]
        chosen = replace(chosen, accumulate=room.accumulate)
    if settings.compile:
        model.denoiser.network.compile()  # in place: names of weights, averages and checkpoints stay as they are
    memory = peak_memory(room.need, device)
    model.card = {
        "source": data.source,
        "kind": data.kind,
        "train": len(train),
        "held_out": len(held),
        "split": cut.hash,
    }
    model.defaults = _defaults(settings, model.denoiser.process)
    notes += _start_notes(model.defaults, model.denoiser.process)
    lr = settings.lr or default_lr(model.parameters)
    at_once = max(16, -(-batch // room.accumulate))  # so that looks take no more memory than steps
    on_held, on_train = (_looked_at(model, part, at_once) for part in (held, train))
    asked = _few(held)
    return Job(model, loader, on_held, on_train, asked, cut, batch, lr, notes, chosen, memory)


def _entries_told(settings: TrainSettings, start: Model | None, network: nn.Module | None) -> float:
    """The share of items that are told some of their entries; none where the network, given or started from, cannot be."""
    given = start.denoiser.network if start else network
    return settings.entries_told if given is None or takes_entries(given) else 0.0


def default_batch(codec: Codec, count: int) -> int:
    """128 items of up to 16x16, fewer of larger ones down to 16; 512 rows; 64 series; never more than a fifth of the data.

    A short budget does not change it: on digits in the time of 268 steps of 128 (Frechet distance 4.20, 4.15) 391 steps of 64 did
    worse (4.65, 5.41; seeds 0 and 1).
    """
    if codec.joint:
        return max(min(512, count // 5), 2)
    if len(codec.field.shape) == 2:  # of series a short budget is better spent on steps
        return max(min(64, count // 5), 2)
    pixels = int(np.prod(codec.field.shape[1:]))
    size = 128 if pixels <= 256 else 64 if pixels <= 1024 else 32 if pixels <= 4096 else 16
    return max(min(size, count // 5), 2)


def default_lr(parameters: int) -> float:
    """2e-3 for a million parameters, falling with the square root of more: found on digits and emoji with AdamW."""
    return 2e-3 * min(1.0, (1.5e6 / max(parameters, 1)) ** 0.5)


def pick_device(wish: str) -> torch.device:
    """auto is the best there is; one that is not there is an error."""
    if wish == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(wish)
    except RuntimeError as error:
        raise ReverieError(f"--device {wish}: there are auto, cpu, cuda (cuda:1 ...) and mps.") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False) or (device.index or 0) >= max(torch.cuda.device_count(), 1):
        raise ReverieError(f"--device {wish}: this machine has none; use auto or cpu.")
    return device


def set_threads(count: int) -> None:
    """Compute with this many CPU threads."""
    if count < 1:
        raise ReverieError(f"--threads {count}: give a whole number from 1.")
    if count > (most := 16 * (os.cpu_count() or 1)):
        raise ReverieError(
            f"--threads {count}: this machine has {os.cpu_count()} cores; more than {most} threads only wait."
        )
    torch.set_num_threads(count)


def moments(loader: Loader, field: str | None = None) -> tuple[Tensor, Tensor, float]:
    """Mean and variance of each entry over the training data, of one field, and the root mean variance, in float64."""
    count = len(loader)
    total = square = torch.zeros(1, dtype=torch.float64)
    most = max(1, min(1024, _AT_ONCE // _entries(loader.codec)))
    for first in range(0, count, most):
        state = loader.encoded(range(first, min(first + most, count)))
        x = (state if field is None else state[field]).double()
        total, square = total + x.sum(0), square + (x**2).sum(0)
    mean = total / count
    variance = (square / count - mean**2).clamp(min=0)
    return mean.float(), variance.float(), float(variance.mean().sqrt())


def _entries(codec: Codec) -> int:
    """How many numbers or tokens one encoded item has."""
    return sum(math.prod(field.shape) for field in codec.fields.values())


def _sizes(settings: TrainSettings) -> Iterator[TrainSettings]:
    """The settings with each network size to try, from the largest."""
    yield from (replace(settings, size=s) for s in (SIZES if settings.size == "auto" else [settings.size]))


def _sides(codec: Codec) -> tuple[int, int]:
    """Height and width of an item."""
    if codec.joint:
        return 0, 0
    height, width = codec.field.shape[-2:]
    return height, width


def _looked_at(model: Model, data: Data, at_once: int) -> Items:
    """A few items, encoded with what is known of them."""
    some = _few(data)
    return Items(of_arrays(model.encode(some.items)), model.conditions.encode(some.columns), at_once)


def _few(data: Data) -> Data:
    """A few items from all over, and so are the first of them: order may mean something, as that of rows and windows does."""
    return data.subset(np.random.default_rng(0).permutation(len(data))[:ITEMS])


def _told_notes(conditions: Knowledge, count: int) -> list[str]:
    """What is told beside the label, and where classes look like something else."""
    notes = [f"condition {name}: {one.line()}" for name, one in conditions.items() if name != "label"]
    for name, one in conditions.items():
        if (classes := int(one.declared.get("classes", 0))) > max(20, count // 3):
            what, remedy = ("the labels", "--label-from none leaves them out") if name == "label" else (
                f"those of '{name}'", f"number:{name} reads them as numbers"
            )  # fmt: skip
            notes.append(f"{classes} classes for {count} items: are {what} measurements or names? {remedy}")
    return notes


def _broken(data: Data) -> list[str]:
    """What was skipped, counted and named."""
    if not data.broken:
        return []
    named = "; ".join(f"{b.name}: {b.reason}" for b in data.broken[:5]) + ("; ..." if len(data.broken) > 5 else "")
    return [f"skipped {len(data.broken)} of {len(data) + len(data.broken)} files that cannot be read ({named})"]


def _codec(train: Data, data: Data, settings: TrainSettings) -> Codec:
    """The codec of this kind of data, fitted on the training part; told what the person and the files said.

    What several fields hold is decided by all the data, as no category may turn up that has no place.
    """
    cls: Any = registry.find("codecs", train.kind)
    tokens = True if settings.family_of.reads == "tokens" else None
    every = data.items if cls.together else None
    wish = {
        "resolution": parse_resolution(settings.resolution),
        "colour": train.colour,
        "levels": tokens,
        "known": every,
    }
    given = {k: v for k, v in wish.items() if v is not None}
    if unknown := given.keys() - inspect.signature(cls.fit).parameters.keys():
        raise ReverieError(
            f"--{' and --'.join(sorted(unknown - {'levels'}) or [f'family {settings.family}'])} means nothing for data of kind "
            f"{train.kind}; leave it out."
        )
    return cls.fit(train.items, **given)


def _of_kind(settings: TrainSettings, kind: str) -> TrainSettings:
    """Settings with the family that suits a kind of data where none was asked for; one that cannot read it is refused."""
    codec: Any = registry.find("codecs", kind)
    if settings.family is None and codec.family != registry.name_of(type(settings.family_of)):
        settings = replace(settings, family=codec.family)
    if settings.entries and codec.hides is None:
        raise ReverieError(
            f"--entries {settings.entries:g} is for data of which parts can be missing; items of kind {kind} are whole. Leave it "
            "out."
        )
    if settings.entries is None and settings.family_of.reads != "tokens":
        network: Any = registry.find("networks", str(settings.chosen("architecture")))
        able = "takes_entries" in inspect.signature(network.sized).parameters
        settings = replace(settings, entries=codec.entries if able and codec.entries else None)
    if codec.joint != (settings.family_of.reads == "fields"):
        raise ReverieError(
            f"--family {settings.family} is for {'data of one field' if codec.joint else 'data of several fields'}, and this is "
            f"{'several' if codec.joint else 'one'} ({kind}). Leave it out: {codec.family} is what suits it."
        )
    return settings


def _fresh(
    codec: Codec, train: Data, conditions: Knowledge, settings: TrainSettings, network: nn.Module | None
) -> Model:
    """An untrained model: moments of the data, and a network of the asked size."""
    process, sigma_data = _process(codec, loader := Loader(train.items, codec, 0), settings)
    torch.manual_seed(settings.seed)
    if network is None:
        cls: Any = registry.find("networks", str(settings.chosen("architecture")))
        told = {"takes_entries": True} if settings.entries_told else {}
        made = cls.sized(settings.size, blocks(codec, process), conditions.declared, **told)
        few = np.linspace(0, len(train) - 1, min(len(train), _BEGUN_WITH)).round().astype(int)
        target = str(settings.chosen("parameterisation"))
        edm = target.partition(":")[0] == "edm" and "sigma_data" not in target
        made.begin(lambda: loader.encoded(few.tolist()), sigma_data, edm)
        network = made
    return Model(codec, _denoiser(process, sigma_data, settings, network), conditions)


def blocks(codec: Codec, process: Process) -> dict[str, Block]:
    """The fields of a codec, as a network is told of them."""
    found = {}
    for name, field in codec.fields.items():
        own = process.fields[name] if isinstance(process, Product) else process
        found[name] = Block(
            field.shape, field.classes, own.states if isinstance(own, Categorical) else None, field.sizes
        )
    return found


def _process(codec: Codec, loader: Loader, settings: TrainSettings) -> tuple[Process, float]:
    """The family's process with the moments of the data, and the standard deviation of its numbers, 1 where there are none."""
    family, scales = settings.family_of, []

    def of(name: str, classes: int | None) -> Process:
        if classes is not None:
            survival = settings.chosen("schedule") if family.reads == "tokens" else family.survival
            kind = family.process if family.reads == "tokens" else "masked"
            return registry.find("processes", kind)(classes, registry.build("survivals", str(survival)))
        mean, variance, scale = moments(loader, name if codec.joint else None)
        scales.append(scale)
        return Gaussian(registry.build("schedules", str(settings.chosen("schedule"))), mean, variance)

    found = {name: of(name, field.classes) for name, field in codec.fields.items()}
    if not all(scale > 1e-6 for scale in scales):
        raise ReverieError("All items of the training data are the same: there is nothing to learn.")
    return (Product(found) if codec.joint else next(iter(found.values()))), (scales[0] if scales else 1.0)


def _denoiser(process: Process, sigma_data: float, settings: TrainSettings, network: nn.Module) -> Learned:
    """A network as the denoiser of a process."""
    if isinstance(process, Categorical):
        return TokenDenoiser(network, process)
    target = parameterisation(str(settings.chosen("parameterisation")), sigma_data)
    if isinstance(process, Product):
        return ProductDenoiser(network, process, target, sigma_data)
    assert isinstance(process, Gaussian)
    return NetworkDenoiser(network, process, target, sigma_data)


def _defaults(settings: TrainSettings, process: Process) -> Settings:
    """How the model samples unless told otherwise: as its family does, with the person's sampler where one was given.

    Raises ReverieError, before anything is trained, where sampler or grid cannot do it.
    """
    family = settings.family_of
    start = Settings(
        sampler=family.sampler, grid=family.grid, steps=family.steps or sampler_class(family.sampler).usual_steps
    )
    found = start.given(sampler=settings.sampler, guidance=settings.guidance)
    if found.grid == "trailing" and isinstance(process.schedule, BetaChain) and process.schedule.T != Trailing().T:
        found = found.given(grid=f"trailing:T={process.schedule.T}", steps=min(found.steps, process.schedule.T))
    found.build_sampler().check(process)
    found.build_grid().times(process.schedule, found.steps)
    return found


def _start_notes(defaults: Settings, process: Process) -> list[str]:
    """A warning where sampling starts before the data is gone."""
    start = defaults.build_grid().times(process.schedule, defaults.steps)[0]
    nats = process.prior_mismatch(start)
    if nats <= MISMATCH:
        return []
    return [
        f"the schedule does not end in noise: where sampling starts, up to {nats:.2g} nats per dimension of the data are "
        "left, and its fitted mean and variance stand in for them"
    ]


def parameterisation(text: str, sigma_data: float) -> Any:
    """Build a parameterisation; an option sigma_data that is not given is the data's own."""
    cls = registry.find("parameterisations", text.partition(":")[0])
    if "sigma_data" in registry.options(cls) and "sigma_data" not in text:
        text += (",sigma_data=" if ":" in text else ":sigma_data=") + repr(sigma_data)
    return registry.build("parameterisations", text)


def _as_started(settings: TrainSettings, start: Model) -> TrainSettings:
    """Settings with the choices of the model started from; one that a person gave and that would be ignored is refused."""
    before = start.record.get("settings", {})
    family = before.get("family") or "edm"
    fixed = {"family": settings.family if settings.family != family else None}
    for k in ("schedule", "parameterisation", "architecture"):  # a run of an older Reverie spells them all out
        fixed[k] = getattr(settings, k) if getattr(settings, k) != before.get(k) else None
    if given := {k: v for k, v in fixed.items() if v is not None}:
        raise ReverieError(
            f"{' and '.join(f'--{k} {v}' for k, v in given.items())} cannot change what {settings.init_from} is, a model of the "
            f"family {family}. Leave it out, or train a new model without --from."
        )
    kept = {
        k: getattr(settings, k) if getattr(settings, k) is not None else before.get(k) for k in ("times", "weighting")
    }
    return replace(settings, family=family, **kept)


def _continued(start: Model, notes: list[str]) -> Model:
    """A trained model as the start of another run: same codec, moments, conditions and network."""
    notes.append("network, size, resolution and moments are those of the model started from")
    fresh = copy.copy(start)
    fresh.denoiser.train()
    return fresh
