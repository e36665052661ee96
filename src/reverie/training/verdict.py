"""Is it learning, and if not, why? A verdict in plain words as a pure function of a run's log.

Signs are figures taken from the log (`Signs`); rules are comparisons of signs with thresholds, and the first that holds
speaks (`judge`): what makes later signs mean nothing stands before them. Thresholds were set on one part of the traces that
tools/make_verdict_traces.py records, of healthy runs and of seeded faults, all of them small and of 8x8 pictures, and
tested on the others; tests/training/test_verdict.py prints how often a fault is named rightly and a healthy run accused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reverie.data.split import FEW_HELD_OUT
from reverie.errors import quoted
from reverie.training.signs import Signs
from reverie.training.trackers import damage, read_log

STATES = (
    "learning", "converged", "overfitting", "memorising", "diverging", "too short", "not learning", "cannot say: few held out",
    "unknown",
)  # fmt: skip
FAULTS = (
    "learning rate too high", "learning rate too low", "average lagging", "labels shuffled", "labels ignored",
    "drift in samples", "copies of training data", "dead network",
)  # fmt: skip

_ROSE = 1.5  # loss at the end over that at the start: diverging
_BLEW = 10.0  # worst step's loss over the first's: diverging, where little was learned
_SPIKE = 1.9  # the same: the steps were too long, where little was learned besides
_FAST = 5.0  # learning rate over the usual one for the network's size: what is odd besides is put down to it
_STUMBLE = 1.01  # error on training items at a look over the lowest before
_SURGE = 4.0  # longest gradient over those of the first steps
_BURST = 3.0  # spread of samples over that of the data
_LITTLE = 0.1  # skill below which little was learned
_SOME = 0.3  # gain from which on something was
_NOTHING = 0.03  # skill, and its change, below which nothing was
_REACH = 0.06  # sum of learning rates: AdamW moves a weight by no more; typical weights are of this size
_FEW, _BARELY = 50, 0.02  # steps, and reach, below which a run is too short
_SLOW = 0.1  # learning rate over the usual one for the network's size
_LAG = 1.1  # held-out error of averaged weights over that of raw ones
_GAP = 0.15  # excess of held-out over training error
_SURE = 2.0  # standard errors that such an excess is at least, to be more than which items were held out
_ROSE_HELD = 1.02  # held-out loss at the end over its lowest
_NEAR = 0.78  # samples' distance to training items over held-out items'
_COPIES = 0.4  # share of samples nearer to a training item than nearly all held-out items are
_SHIFT, _SHIFT_Z = 0.25, 3.5  # of a channel's mean, in standard deviations and in standard errors
_SETTLED = 0.125  # gain in held-out error over the last half, from which on means of samples may yet change
_MISMATCH = 1.1  # error on training items when looked at over that of the last steps
_WORTH = 0.03  # excess error by wrong labels, below which they say nothing
_WORTHLESS = 0.005  # the same, to who has learned little
_DEAF = 0.002  # change of error by labels, below which they are not heard
_FLAT = 0.03  # gain in held-out error over the last half, below which it has converged


@dataclass(frozen=True)
class Verdict:
    """How a run went. state: one of STATES. fault: one of FAULTS, or "". evidence: figures in words. next: one thing to do."""

    state: str
    fault: str
    evidence: tuple[str, ...]
    next: str

    @property
    def name(self) -> str:
        """The fault where there is one, else the state."""
        return self.fault or self.state

    @property
    def heading(self) -> str:
        """State and fault in a few words."""
        return f"{self.state} ({self.fault})" if self.fault else self.state

    def lines(self) -> list[str]:
        """For a person: what it is, why, and what to do."""
        return [f"verdict: {self.heading}", *(f"  {line}" for line in self.evidence), f"try: {self.next}"]


_NOTHING_YET = ("Nothing has been measured yet.",)
_UNREAD = Verdict("unknown", "", (), "Copy the log from where the run was trained; the model itself does not need it.")


def of_run(run: Path) -> Verdict:
    """The verdict on a run folder, finished or not, from its metrics.jsonl; lines of it that are damaged are named."""
    lost = damage(run / "metrics.jsonl")
    try:
        found = judge(read_log(run / "metrics.jsonl"))
    except (KeyError, TypeError, ValueError) as error:  # events, but not of this kind: the file was written in
        found, lost = _UNREAD, lost or f"{run / 'metrics.jsonl'} does not hold what a verdict takes: {error!r}."
    if lost:
        found = replace(found if found.evidence != _NOTHING_YET else _UNREAD, evidence=(lost, *found.evidence))
    return replace(found, next=found.next.replace("RUN", quoted(run)))


def judge(log: list[dict[str, Any]]) -> Verdict:
    """The verdict on a log, a list of events as metrics.jsonl holds them: the first rule that holds."""
    signs = Signs.of(log)
    if signs is None:
        return Verdict("too short", "", _NOTHING_YET, "Let it train to its first look.")
    for rule in (_diverging, _too_fast, _too_little, _lagging, _dead, _by_heart, _labels, _drifting):
        if found := rule(signs):
            return found
    return _well(signs)


def _diverging(s: Signs) -> Verdict | None:
    undone = (s.returns > 0 or s.loss_peak > _BLEW * s.loss_start) and s.skill < _LITTLE
    if s.finite and not undone and max(s.loss_end / s.loss_start, s.train_rise) <= _ROSE:
        return None
    what = (
        f"The loss went from {s.loss_start:.3g} to {s.loss_end:.3g}, by way of {s.loss_peak:.3g}; on fixed items and noises it "
        f"is {s.train_rise:.3g} times that of the untrained network."
        if s.finite
        else f"Loss or weights were no longer finite at step {s.steps:,}."
    )
    if s.returns:
        what += f" {_went_back(s)}"
    rate = f"The peak learning rate was {s.lr:.2g}; {s.usual_lr:.2g} is usual for a network of this size."
    fault = "learning rate too high" if s.lr > s.usual_lr else ""
    advice = f"Train again with --lr {min(s.lr / 10, s.usual_lr):.1e}"
    return Verdict(
        "diverging", fault, (what, rate), f"{advice}, and look at the data with `reverie info` if it recurs."
    )


def _too_fast(s: Signs) -> Verdict | None:
    spiked = s.loss_peak > _SPIKE * s.loss_start and s.skill < _LITTLE
    looked = len(s.held_out) > 1  # since the start
    harmed = (looked and s.skill < max(_NOTHING, s.start_skill)) or s.spread > _BURST
    harmed = harmed or s.stumble > _STUMBLE or s.surge > _SURGE
    if not spiked and not s.returns and not (harmed and s.lr > _FAST * s.usual_lr):
        return None
    evidence: tuple[str, ...] = (
        f"The loss rose to {s.loss_peak:.3g} from {s.loss_start:.3g} at the start and ended at {s.loss_end:.3g}.",
        f"{_learned(s)} The peak learning rate was {s.lr:.2g}; {s.usual_lr:.2g} is usual for a network of this size.",
    )
    if s.returns:
        evidence = (
            f"Training went back to an earlier state {s.returns} times, as nothing was finite any more.",
            *evidence,
        )
    state = "not learning" if s.skill < _LITTLE else "learning"
    return Verdict(
        state, "learning rate too high", evidence, f"Train again with --lr {min(s.lr / 10, s.usual_lr):.1e}."
    )


def _too_little(s: Signs) -> Verdict | None:
    slow = s.reach < _REACH and s.lr < _SLOW * s.usual_lr
    if not slow and s.steps >= _FEW and s.reach >= _BARELY:
        return None
    reach = (
        f"In {s.steps:,} steps of at most {s.lr:.2g} no weight can have moved by more than {s.reach:.2g}. {_learned(s)}"
    )
    if slow:
        usual = f"For a network of this size a peak learning rate of {s.usual_lr:.2g} is usual."
        return Verdict(
            "not learning", "learning rate too low", (reach, usual), f"Train again with --lr {s.usual_lr:.1e}."
        )
    if s.finished:
        return Verdict("too short", "", (reach,), f"Train longer: --steps {max(500, 10 * s.steps):,}.".replace(",", ""))
    return Verdict(
        "too short", "", (f"{s.steps:,} of {s.total:,} steps are done. {reach}",), "Go on: reverie train --resume RUN."
    )


def _dead(s: Signs) -> Verdict | None:
    if s.skill >= _NOTHING or s.sameness > 1 + _NOTHING or len(s.held_out) == 1:
        return None
    evidence = (
        _learned(s),
        f"It changed alike at all noise levels, so what comes out has nothing of what goes in: held-out loss was "
        f"{s.held_out[0]:.3g} before the first step and is {s.held_out[-1]:.3g} now.",
    )
    advice = "Look into the network: a layer that always gives 0, a frozen or detached part, an input that is not used."
    return Verdict("not learning", "dead network", evidence, advice)


def _lagging(s: Signs) -> Verdict | None:
    if not s.lag > _LAG:
        return None
    evidence = (f"On held-out items the averaged weights err {s.lag - 1:.0%} more than the raw ones.",)
    return Verdict(
        "learning", "average lagging", evidence, "Use a shorter average: --ema power, which grows with the run."
    )


def _by_heart(s: Signs) -> Verdict | None:
    if s.items >= FEW_HELD_OUT and (s.copies > _COPIES or s.near < _NEAR):
        evidence = (
            f"{s.copies:.0%} of samples are nearer to a training item than 95 % of held-out items are; the median distance "
            f"is {s.near:.2f} of theirs.",
            _apart(s),
        )
        advice = f"Add data; failing that, {'--augment or ' * s.pictures}fewer steps."
        return Verdict("memorising", "copies of training data", evidence, advice)
    if s.gap > _GAP and not _by_chance(s):
        risen = s.rise > _ROSE_HELD
        evidence = (_apart(s), f"Held-out loss is {s.rise - 1:.0%} above its lowest.")
        if s.kept:
            saved = f"The model has the weights of step {s.kept:,} of {s.total:,}, where held-out loss was lowest."
            better = f"{saved} For a better one, add data{', or --augment' * s.pictures}."
            return Verdict("overfitting", "", (*evidence, saved), better)
        more = f"Add data{', or --augment what there is' * s.pictures}."
        advice = "Stop where held-out loss was lowest: fewer --steps." if risen else more
        return Verdict("overfitting", "", evidence, advice)
    return None


def _drifting(s: Signs) -> Verdict | None:
    settled = (
        s.late < _SETTLED or s.mismatch > _MISMATCH
    )  # the mean is decided at the highest noise, which is learned last
    if not (s.shift > _SHIFT and s.shift_z > _SHIFT_Z and settled):
        return None
    evidence = (
        f"The mean of a channel of the samples is off by {s.shift:.2f} standard deviations of the data ({s.shift_z:.1f} "
        "standard errors).",
    )
    advice = "Let training see more of the highest noise, where the mean is decided: --times uniform."
    return Verdict(_progress(s), "drift in samples", evidence, advice)


def _labels(s: Signs) -> Verdict | None:
    if s.untold is None or s.wrong is None or not s.finished:
        return None
    unheard = s.untold == s.wrong == 0 and s.skill >= _NOTHING  # who hears them at all answers otherwise, if by little
    learned = s.skill >= _LITTLE or s.gain >= _SOME
    if not unheard and (not learned or s.wrong >= (_WORTH if s.skill >= _LITTLE else _WORTHLESS)):
        return None
    evidence = (
        f"Held-out error changes by {s.untold:+.1%} when no labels are told, and by {s.wrong:+.1%} when wrong ones are.",
    )
    if max(abs(s.untold), abs(s.wrong)) < _DEAF:
        advice = "Look into the network: its answer does not depend on the label. Use cond['label'] in it."
        return Verdict(_progress(s), "labels ignored", evidence, advice)
    advice = (
        "Check that labels belong to their items (`reverie info PATH`); if they say nothing of them, --label-from none."
    )
    return Verdict(_progress(s), "labels shuffled", evidence, advice)


def _well(s: Signs) -> Verdict:
    evidence = (_learned(s), f"Over the last half of the run held-out loss fell by {max(s.late, 0):.1%}.", _apart(s))
    if not s.finished:
        done = f"{s.steps:,} of {s.total:,} steps are done."
        return Verdict("learning", "", (done, *evidence), "Go on: reverie train --resume RUN.")
    if s.gap > _GAP:
        return Verdict(
            "cannot say: few held out", "", evidence,
            "To tell overfitting from chance, hold out more (--held-out 0.3) or add data. See also: reverie evaluate RUN.",
        )  # fmt: skip
    if _progress(s) == "learning":
        return Verdict("learning", "", evidence, "Train longer: it has more to gain.")
    return Verdict(
        "converged",
        "",
        evidence,
        "Evaluate it: reverie evaluate RUN. For better samples, a larger --size or more data.",
    )


def _progress(s: Signs) -> str:
    """Learning, or converged where the last half of the run gained little."""
    return "learning" if s.late > _FLAT or not s.finished else "converged"


def _by_chance(s: Signs) -> bool:
    """Whether held-out items may err more by which they are: so may others, had these been held out."""
    return s.gap <= _SURE * s.gap_se


def _went_back(s: Signs) -> str:
    return f"Returns to an earlier state, after steps that were not finite: {s.returns}."


def _learned(s: Signs) -> str:
    than = "less" if s.skill >= 0 else "more"
    return f"On held-out items it errs {abs(s.skill):.0%} {than} than {s.guess}."


def _apart(s: Signs) -> str:
    than = "higher" if s.gap >= 0 else "lower"
    by = f"{abs(s.gap):.0%}"
    if math.isfinite(s.gap_se):
        by = f"{by} (standard error {s.gap_se:.0%}, n = {s.items:,})"
    few = f" Only {s.items} held out: this tells little." if s.items < FEW_HELD_OUT else ""
    if not few and s.gap > _GAP and _by_chance(s):
        few = " That is no more than which items were held out can make."
    return f"The error on held-out items is {by} {than} than on training items, given how both began.{few}"
