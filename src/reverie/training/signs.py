"""What a run's log says of it in figures: the signs that a verdict is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reverie.training.setup import default_lr

_FIRST = 5  # steps of a small learning rate yet


@dataclass(frozen=True)
class Signs:
    """What the rules look at, from a log; nan or None where the log does not say.

    steps, total: done and planned. finished: the end was reached. returns: to an earlier state, after steps that were
    not finite. lr: peak; usual_lr: for the network's size. reach: sum of learning rates over steps, the most that AdamW
    can move a weight. loss_start, loss_end: of the first step, and mean of the last eighth; loss_peak: the worst.
    start_skill, skill: share of the error of the best linear guess, entry by entry, that the averaged weights take away on
    held-out items, mean of noise levels on a log scale; 0 for a network that says nothing. held_out: at each look, where
    finite. lag: of averaged over raw weights. gap: excess of held-out over training error, beyond what the untrained
    network has of it (as the one kind of items may be harder). late: gain in held-out error over the last half of the run.
    train_rise: error on training items over the untrained network's; stumble: at a look over its lowest until then, which
    overfitting leaves at 1. surge: longest gradient over those of the first steps. sameness: largest over smallest factor,
    of the noise levels, by which held-out error changed; 1 where the answer has nothing of what goes in. mismatch: error on
    training items when looked at over that of the last steps. untold, wrong: excess error without labels, with wrong ones.
    shift, shift_z, near, copies, spread: of drawn items, see `validation.sample_facts`. guess: what skill is measured against.
    items: held-out items that were looked at, and that drawn ones are compared with; inf where an old log does not say.
    pictures: whether the data is, so that it can be augmented; so it was where an old log does not say.
    kept: the step whose weights the model ended with, where they are not the last; 0 where they are.
    """

    steps: int
    total: int
    finished: bool
    finite: bool
    returns: int
    lr: float
    usual_lr: float
    reach: float
    loss_start: float
    loss_end: float
    loss_peak: float
    start_skill: float
    skill: float
    held_out: tuple[float, ...]
    lag: float
    gap: float
    gap_se: float
    late: float
    train_rise: float
    stumble: float
    surge: float
    sameness: float
    mismatch: float
    untold: float | None
    wrong: float | None
    shift: float
    shift_z: float
    near: float
    copies: float
    spread: float
    guess: str
    items: float
    pictures: bool
    kept: int = 0

    @classmethod
    def of(cls, log: list[dict[str, Any]]) -> Signs | None:
        """Read a log, as `read_log` gives it; None before the first look and the first step."""
        plans, steps, looks, drawn = (_kind(log, k) for k in ("plan", "step", "validation", "samples"))
        if not plans or not steps or not looks:
            return None
        loss = np.array([e["loss"] for e in steps], dtype=float)
        rates = np.array([e["lr"] for e in steps], dtype=float)
        few, first, last = max(len(loss) // 8, 1), looks[0], looks[-1]
        total, reached = plans[-1]["total"], max(steps[-1]["step"], last["step"])
        held = tuple(float(e["held_out"]) for e in looks if math.isfinite(e["held_out"]))
        middle = min(looks, key=lambda e: abs(e["step"] - 0.5 * last["step"]))
        labels = last.get("labels") or {}
        compared = drawn[-1].get("compared", {}) if drawn else {}
        return cls(
            steps=reached,
            total=total,
            finished=bool(_kind(log, "done")) or reached >= total,
            finite=bool(np.isfinite(loss[-1]) and np.isfinite(last["held_out"])),
            returns=len(_kind(log, "rollback")),
            lr=plans[-1]["lr"],
            usual_lr=default_lr(plans[-1]["parameters"]),
            reach=float(rates.sum()),
            loss_start=float(loss[0]),
            loss_end=float(loss[-few:].mean()),
            loss_peak=float(np.max(loss[np.isfinite(loss)], initial=0)),
            start_skill=_skill(first),
            skill=_skill(last),
            held_out=held or (math.nan,),
            lag=last["held_out"] / last["held_out_raw"],
            gap=(gap := _gap(last) / max(_gap(first), 1.0) - 1),
            gap_se=(1 + gap) * _relative_error(last.get("by_item", ())),
            late=middle["held_out"] / last["held_out"] - 1,
            train_rise=last["train"] / first["train"],
            stumble=_stumble([float(e["train"]) for e in looks]),
            surge=_surge(steps),
            mismatch=last["train"] / float(loss[-few:].mean()),
            sameness=_sameness(min(looks, key=lambda e: abs(e["step"] - 0.15 * last["step"])), last),
            guess="a straight-line guess from each noisy value by itself"
            if _squared(last)
            else "guessing by how often each value occurs",
            items=last.get("items", math.inf),
            pictures=plans[-1].get("kind", "image") == "image",
            untold=labels["untold"] / labels["told"] - 1 if labels else None,
            wrong=labels["wrong"] / labels["told"] - 1 if labels else None,
            kept=max((int(e["kept"]) for e in _kind(log, "kept")), default=0),
            **{k: float(compared.get(k, math.nan)) for k in ("shift", "shift_z", "near", "copies", "spread")},
        )

    @property
    def gain(self) -> float:
        """Share of the held-out loss before the first step that is gone at the end."""
        return 1 - self.held_out[-1] / self.held_out[0]

    @property
    def rise(self) -> float:
        """Held-out loss at the end over its lowest."""
        return self.held_out[-1] / min(self.held_out)


def _kind(log: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [e for e in log if e["event"] == kind]


def _skill(look: dict[str, Any]) -> float:
    """1 - exp mean log (error / error of the best linear guess); of tokens 1 - mean error / baseline.

    With variance v of the data about its mean and noise n = sigma / alpha, that guess errs by v n^2 / (v + n^2).
    """
    error, v = np.array(look["bands"]["held_out"], dtype=float), float(look["baseline"])
    if not _squared(look):
        return float(1 - error.mean() / v)
    n2 = np.square(np.array(look["noise"], dtype=float))
    return float(1 - np.exp(np.mean(np.log(error * (v + n2) / (v * n2)))))


def _gap(look: dict[str, Any]) -> float:
    """Error on held-out over that on training items, mean of noise levels."""
    return float(np.mean(np.divide(look["bands"]["held_out"], look["bands"]["train"])))


def _relative_error(by_item: Sequence[float]) -> float:
    """The standard error of a mean over that mean; nan where an old log does not say, inf for a single item."""
    x = np.array(by_item, dtype=float)
    if len(x) < 2:
        return math.inf if len(x) else math.nan
    return float(x.std(ddof=1) / (len(x) ** 0.5 * x.mean()))


def _stumble(errors: list[float]) -> float:
    """The most by which an error stood above its lowest so far, over that lowest."""
    return max(now / min(errors[: k + 1]) for k, now in enumerate(errors))


def _surge(steps: list[dict[str, Any]]) -> float:
    """The longest gradient over the longest of the first steps, whose learning rate is small yet."""
    norms = np.array([e.get("grad_norm", math.nan) for e in steps], dtype=float)
    norms = np.where(np.isfinite(norms), norms, 0)
    return float(norms.max() / (norms[:_FIRST].max() + 1e-12))


def _sameness(before: dict[str, Any], after: dict[str, Any]) -> float:
    """The largest over the smallest, among noise levels, of the factor by which held-out error changed between two looks."""
    factors = np.divide(after["bands"]["held_out"], before["bands"]["held_out"])
    return float(factors.max() / factors.min())


def _squared(look: dict[str, Any]) -> bool:
    """Logs of before there were tokens do not say."""
    return str(look.get("measures", {}).get("error", "mean squared")).startswith("mean squared")
