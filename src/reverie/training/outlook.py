"""What training would do, in figures, before it does anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import torch

from reverie import registry
from reverie.training.learner import mixed_precision
from reverie.training.loop import Trainer
from reverie.training.memory import available_memory

_CHOICES = ("schedule", "parameterisation", "times", "weighting", "architecture", "sampler")


def outlook(trainer: Trainer) -> dict[str, Any]:
    """All that a person may want to know of a planned run, JSON-plain.

    memory, free: bytes, at most and now; None where nobody can say. seconds: from now to the end; ends: that moment, in
    local time. accumulate: parts that each batch is computed in. Choices that a family makes stand as they came out.
    """
    job, settings, plan = trainer.job, trainer.job.settings, trainer.plan_facts()
    model, device = job.model, job.model.device
    left = float(str(plan["left"]))
    about = {
        "data": model.card["source"],
        "train": model.card["train"],
        "held_out": model.card["held_out"],
        "classes": len(model.classes),
        "items": f"{model.codec.kind}, {model.codec.found_as}; as the network sees it: {model.codec.shape_words}",
        "notes": job.notes,
        "family": settings.family or "edm",
        **{name: settings.chosen(name) for name in _CHOICES},
        "coupling": settings.coupling,
        "ema": settings.ema,
        "guidance": settings.guidance,
    }
    network = type(model.denoiser.network)
    named = network in registry.registered("networks").values()
    about["architecture"] = registry.name_of(network) if named else network.__name__
    precision = mixed_precision(device, settings.precision)
    return about | {
        "size": settings.size if named else None,
        "parameters": model.parameters,
        "batch": job.batch,
        "accumulate": trainer.learner.accumulate,
        "lr": job.lr,
        "steps": plan["total"],
        "epochs": int(str(plan["total"])) * job.batch / len(job.loader),
        "memory": job.memory,
        "free": available_memory(device),
        "device": str(device),
        "precision": "float32" if precision is None else str(precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "step_seconds": trainer.step_time,
        "seconds": left,
        "ends": (datetime.now() + timedelta(seconds=left)).isoformat(timespec="seconds"),
    }
