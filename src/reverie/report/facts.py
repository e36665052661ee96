"""What stands behind the figures: settings, versions, the data, and the command lines that make them again."""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch

import reverie
from reverie import files, registry, storage
from reverie.model import Model
from reverie.samples import Samples
from reverie.training.settings import TrainSettings
from reverie.training.setup import MISMATCH

Table = list[tuple[str, str]]
UNKNOWN = "not recorded"
_DATA = {
    "source": "source", "kind": "kind", "train": "items to train", "held_out": "items held out",
    "split": "split (hash of the contents)",
}  # fmt: skip


def training(model: Model) -> Table:
    """How it was trained: the plan, what came of the defaults, then every setting that was given."""
    record, about = model.record, storage.describe(model)
    rows = [
        ("network", f"{about['network']['name']}, {model.parameters:,} weights"),
        ("process", about["process"]["name"]),
        ("schedule", _spelled(registry.config(model.denoiser.process.schedule))),
        ("parameterisation", _spelled(about.get("parameterisation", {"name": "none: it gives the probability of each value"}))),
        *((name.replace("_", " "), text(record.get(key))) for name, key in (
            ("steps", "step"), ("plan", "plan"), ("batch", "batch"), ("peak learning rate", "lr"),
            ("items seen", "images_seen"), ("steps skipped as not finite", "skipped_steps"), ("seconds", "elapsed"),
            ("device", "device"), ("threads", "threads"),
        )),
        ("seed", str(record.get("seed", UNKNOWN))),
    ]  # fmt: skip
    shown = {"steps", "batch", "lr", "seed", "device", "threads", "schedule", "parameterisation"}
    others = record.get("settings", {})
    return rows + [(k.replace("_", " "), text(v)) for k, v in others.items() if k not in shown and v is not None]


def sampling(samples: Samples, evaluation_seed: int) -> Table:
    """How the samples were drawn."""
    values = samples.settings.to_json()
    low, high = values.pop("interval")
    rows = [(k.replace("_", " "), text(v)) for k, v in values.items()]
    where = f"{low:g} to {'any' if high is None else f'{high:g}'}"
    return [*rows, ("guidance acts at n", where), ("seed", str(samples.seed)), ("samples", f"{len(samples):,}"),
            ("seed of the evaluation", str(evaluation_seed))]  # fmt: skip


def versions(model: Model) -> Table:
    """What computed this page, and the training where it was recorded."""
    return [
        ("reverie", reverie.__version__),
        ("torch", torch.__version__ + _trained_with(model)),
        ("numpy", np.__version__),
        ("python", platform.python_version()),
        ("platform", platform.platform()),
        ("machine", machine(model.device)),
    ]


def machine(device: torch.device) -> str:
    """The card, or the CPU and how many threads it was given."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_cpu()}, {threads} of {os.cpu_count()} threads" + (" (mps)" if device.type == "mps" else "")


def data(model: Model) -> Table:
    """The data card, and how often each class was seen."""
    rows = [(_DATA.get(k, k.replace("_", " ")), text(v)) for k, v in model.card.items()]
    rows.append(("items as the network sees them", model.codec.shape_words))
    if model.codec.rule:
        rows.append(("rule", model.codec.rule))
    shares = [f"{name}: {share:.1%}" for name, share in zip(model.classes, model.frequencies, strict=True)]
    more = f", and {len(shares) - 20:,} more" if len(shares) > 20 else ""
    rows.append((f"{len(shares):,} classes" if shares else "classes", ", ".join(shares[:20]) + more or "none"))
    return rows


def mismatch(model: Model, samples: Samples) -> tuple[float, bool]:
    """Nats per dimension that the start of sampling knows of the data, and whether that is too much."""
    process = model.process(samples.settings)
    first = samples.settings.build_grid().times(process.schedule, samples.settings.steps)[0]
    nats = process.prior_mismatch(first)
    return nats, nats > MISMATCH


def reproduce(model: Model, run: Path | None, command: str) -> list[str]:
    """Command lines that make model and page again; a comment where a line cannot be known."""
    record = model.record
    about = files.read_json(run / "run.json") if run and storage.is_run(run) else {}
    place = about.get("data")
    if "plan" not in record:
        return ["# how this model was trained is not recorded", command]
    target = str(run) if run else "RUN"
    words = [
        "reverie",
        "train",
        place or "DATA",
        "-o",
        target,
        "--steps",
        record["plan"],
        "--seed",
        str(record["seed"]),
    ]
    given = record.get("settings", {})
    for field in dataclasses.fields(TrainSettings):
        value = given.get(field.name, field.default)
        if value != field.default and field.name not in ("budget", "steps", "epochs", "seed"):
            words += [
                field.metadata["flag"] or "--" + field.name.replace("_", "-"),
                *([] if value is True else [str(value)]),
            ]
    source = f"# DATA: what the model's card calls {model.card.get('source', UNKNOWN)!r}"
    given_in_python = "# DATA: the array or Dataset that was given in Python, saved as .npz"
    return [*([] if place else [given_in_python if about else source]), shlex.join(words), command]


def text(value: Any) -> str:
    """A JSON value as a person writes it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, dict):
        return ", ".join(f"{k}: {text(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _spelled(config: dict[str, Any]) -> str:
    options = ", ".join(f"{k} = {text(v)}" for k, v in config.items() if k != "name")
    return config["name"] + (f" ({options})" if options else "")


def _trained_with(model: Model) -> str:
    torch_then = model.record.get("torch")
    return f" (trained with {torch_then})" if torch_then and torch_then != torch.__version__ else ""


def _cpu() -> str:
    """The CPU's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (named or [platform.processor() or platform.machine()])[0]
