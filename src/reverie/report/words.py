"""The figures that matter in words: what each means, how good it is, and how far to believe it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reverie.evaluation.audit import Audit
from reverie.evaluation.classifier import LabelAgreement
from reverie.evaluation.evaluate import Evaluation, Score

FEW = 200  # below this n, a score tells good from bad and little more
_FEW = 50  # items, below which no word is said for a score
_SOME_TOLD = 0.7  # accuracy of a classifier, above which samples are not close to real rows
_OF_A_KIND = {  # scores of the head where a kind has its own: what its items are called, and what the score means
    "column-shapes": (
        "rows", "How alike a column is distributed among samples and held-out rows, in the mean over columns; 1 is best.",
    ),
    "column-pair-trends": (
        "rows", "How alike two columns hang together in samples and held-out rows, in the mean over pairs; 1 is best.",
    ),
    "channel-shapes": (
        "windows", "How alike the values of a channel are distributed in samples and held-out windows; 1 is best.",
    ),
    "autocorrelation-error": (
        "windows", "How far a channel's memory of its own past is off, in the mean over lags; 0 is best.",
    ),
}  # fmt: skip
TONES = {"good": "good", "fair": "fair", "poor": "poor", "none": "cannot tell"}


@dataclass(frozen=True)
class Card:
    """One figure of the page's head. facts: what it takes to read it; tone: a key of TONES."""

    title: str
    value: str
    facts: tuple[str, ...]
    meaning: str
    reading: str
    belief: str
    tone: str
    aside: str = ""


def cards(evaluation: Evaluation) -> list[Card]:
    """The figures of the head: those of the kind where it has any, else distance; variety, obedience to labels, and copying."""
    measured = {score.name: score for score in evaluation.scores}
    found = [_of_a_kind(measured[name], *said) for name, said in _OF_A_KIND.items() if name in measured]
    if "column-shapes" in measured and "classifier" in measured:
        found.append(_told_apart(measured["classifier"]))
    found = found or [_score_card(evaluation, "frechet", "Frechet distance", _distance)]
    found.append(_score_card(evaluation, "recall", "Recall", _variety))
    if evaluation.labels is not None:
        found.append(_labels(evaluation.labels))
    return [*found, _copying(evaluation.audit)]


def number(value: float) -> str:
    """Three significant digits, without an exponent down to 0.001."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(value: float) -> str:
    """A share with one decimal."""
    return f"{value:.1%}"


def ratio_to_floor(score: Score) -> float | None:
    """How many times the real-vs-real score; None for a floor at or below 0, where a ratio says nothing."""
    return score.value / score.floor if score.floor > 0 else None


def facts(score: Score) -> tuple[str, ...]:
    """All that a score is never shown without."""
    return (
        f"95 % interval [{number(score.low)}, {number(score.high)}]",
        f"n = {score.n:,}",
        f"floor (real vs real) {number(score.floor)} ± {score.floor_sd:.2g}",
        f"features {score.features} {score.features_hash}",
    )


def _score_card(evaluation: Evaluation, name: str, title: str, card: Callable[[Score], Card]) -> Card:
    for score in evaluation.scores:
        if score.name == name:
            return card(score)
    why = [note for note in evaluation.notes if note.startswith("Left out") and title in note]
    return Card(title, "–", (), "", "This was not measured.", why[0] if why else "", "none")


def _distance(score: Score) -> Card:
    ratio = ratio_to_floor(score)
    alike = score.low <= score.floor + 2 * score.floor_sd
    if score.n < _FEW:
        tone, reading = "none", f"{score.n} items are too few to tell; a few hundred are needed."
    elif score.value >= score.gaussian:
        tone, reading = "poor", "The samples are no nearer to real ones than draws from a plain Gaussian are."
    elif alike or (ratio is not None and ratio <= 1.5):
        tone, reading = "good", "On these features the samples can hardly be told from real ones."
    elif ratio is not None and ratio <= 3:
        tone, reading = "good", "The samples are close to real ones, with a difference that can be measured."
    else:
        tone, reading = "fair", "The samples differ from real ones, though far less than a plain Gaussian does."
        if score.value > 0.5 * score.gaussian:
            tone, reading = "poor", "The samples are far from real ones."
    times = "" if ratio is None else f"{number(ratio)} times the floor"
    return Card(
        score.title,
        number(score.value),
        (*facts(score), f"a Gaussian fit scores {number(score.gaussian)}"),
        "How far the samples as a whole are from held-out items; 0 is best, and the floor is what real items score.",
        reading,
        _belief(score, score.high - score.low > score.value),
        tone,
        times,
    )


def _of_a_kind(score: Score, things: str, meaning: str) -> Card:
    sign, best = (1, 1.0) if score.better == "higher" else (-1, 0.0)
    end = score.high if sign > 0 else score.low  # of its interval, the better one
    limit = sign * score.floor - 2 * score.floor_sd
    lost = abs(best - score.value) / max(abs(best - score.floor), 1e-9)
    if score.n < _FEW:
        tone, reading = "none", f"{score.n} {things} are too few to tell; a few hundred are needed."
    elif sign * score.value < sign * score.gaussian and sign * end < limit:
        tone, reading = "poor", f"The samples are no more like real {things} than draws from a plain Gaussian are."
    elif sign * end >= limit or lost <= 1.25:
        tone, reading = (
            "good",
            f"In the mean as alike as real {things} are; a single one may still be off, and is shown below.",
        )
    elif lost <= 2:
        tone, reading = (
            "good",
            f"In the mean close to real {things}, with a difference that can be measured; see below where.",
        )
    else:
        tone, reading = "fair", f"The samples are {number(lost)} times as far from {best:g} as real {things} are."
        if abs(best - score.value) > 0.2:
            tone, reading = "poor", f"The samples are otherwise than real {things} are."
    return Card(
        score.title,
        number(score.value),
        (*facts(score), f"a Gaussian fit scores {number(score.gaussian)}"),
        meaning,
        reading,
        _belief(score, score.high - score.low > 0.1),
        tone,
        f"real {things}: {number(score.floor)}",
    )


def _told_apart(score: Score) -> Card:
    """What a classifier makes of samples and real rows: whole rows, of which shapes and trends see a column or two at a time."""
    if score.n < _FEW:
        tone, reading = "none", f"{score.n} items are too few to tell; a few hundred are needed."
    elif score.low <= score.floor + 2 * score.floor_sd:
        tone, reading = "good", "A classifier tells whole rows from real ones no better than real ones from each other."
    elif score.value <= _SOME_TOLD:
        tone, reading = "fair", "A classifier can tell some of the samples from real rows."
    else:
        tone, reading = (
            "poor",
            f"The samples are not close to real rows: a classifier is right in {score.value:.0%} of cases.",
        )
    return Card(
        score.title,
        number(score.value),
        facts(score),
        "How often a classifier, shown some of both, says rightly whether a row is real; 0.5 is chance, and best.",
        reading,
        _belief(score, score.high - score.low > 0.2),
        tone,
        f"real rows: {number(score.floor)}",
    )


def _variety(score: Score) -> Card:
    share = score.value / score.floor if score.floor > 0 else 0.0
    if score.n < _FEW:
        tone, reading = "none", f"{score.n} items are too few to tell; a few hundred are needed."
    elif share >= 0.9:
        tone, reading = "good", "The samples cover what there is in the data about as well as real items do."
    elif share >= 0.7:
        tone, reading = "fair", "Some of what there is in the data hardly appears among the samples."
    else:
        tone, reading = "poor", "Much of what there is in the data is missing among the samples."
    return Card(
        score.title,
        number(score.value),
        facts(score),
        "The share of held-out items that lie where samples do: does the model show all that there is?",
        reading,
        _belief(score, score.high - score.low > 0.2),
        tone,
        f"real items: {number(score.floor)}",
    )


def _labels(found: LabelAgreement) -> Card:
    gap = found.gap
    if found.samples.n < _FEW:
        tone, reading = "none", f"{found.samples.n} items are too few to tell; a few hundred are needed."
    elif gap <= 0.03:
        tone, reading = "good", "The samples show the class that was asked for as clearly as real items show theirs."
    elif gap <= 0.1:
        tone, reading = "fair", f"About {gap:.0%} of the samples are less clearly of their class than real items are."
    else:
        tone, reading = "poor", f"{gap:.0%} fewer of the samples than of real items look like their class."
    real = found.held_out
    belief = f"Believe it: the classifier is right on {percent(real.value)} of real items."
    if real.value < 0.8:
        belief = f"Believe little of it: the classifier itself is right on only {percent(real.value)} of real items."
    elif found.samples.n < FEW:
        belief = "Believe it roughly: n is small."
    return Card(
        "Label agreement",
        percent(found.samples.value),
        (
            f"95 % interval [{percent(found.samples.low)}, {percent(found.samples.high)}]",
            f"n = {found.samples.n:,}",
            f"floor (the classifier on real held-out items) {percent(real.value)} "
            f"[{percent(real.low)}, {percent(real.high)}], n = {real.n:,}",
            f"at the samples' class proportions {percent(found.held_out_alike)}",
            f"classifier: SVC on raw values, {found.trained_on:,} training items",
        ),
        "How often a classifier, trained on real items, sees in a sample the class that was asked for.",
        reading,
        belief,
        tone,
        f"real items: {percent(found.held_out_alike)}",
    )


def _copying(audit: Audit) -> Card:
    enough = min(audit.n, audit.held_out_n) >= 50
    known = audit.membership
    loss = () if known is None else (f"AUC by loss {known.auc:.3f} [{known.low:.3f}, {known.high:.3f}], chance 0.5",)
    beside = audit.nearer
    others = "held-out items" if audit.control == "held-out" else audit.control
    return Card(
        "Memorisation",
        "found" if audit.memorised else "no sign" if enough else "not judged",
        (
            f"nearest-training ratio {audit.median:.3f}, of {others} {audit.held_out_median:.3f}; difference "
            f"[{audit.low:+.3f}, {audit.high:+.3f}]",
            f"{percent(beside.share)} nearer to training items, by chance [{percent(beside.low)}, {percent(beside.high)}]",
            *loss,
            f"p = {audit.p:.2g} in all, n = {audit.n:,} and {audit.held_out_n:,}",
        ),
        "Do samples lie nearer to training items than unseen items do, and does the model's loss tell the two apart?",
        audit.verdict,
        "Believe it for copies and near copies; one that was altered further (a shift, a flip, other cells) passes unseen.",
        "poor" if audit.memorised else "good" if enough else "none",
        f"{len(audit.suspects):,} of {len(audit.ratios):,} below every ratio of {others}",
    )


def _belief(score: Score, wide: bool) -> str:
    if score.n < FEW:
        return f"Believe it roughly: n = {score.n} is small."
    if wide:
        return "Believe the order of size, not the digits: the interval is wide."
    return "Believe it within its interval; compare it only at the same n and on the same features."


def short(evaluation: Evaluation) -> list[str]:
    """Titles of the scores that fall short of the floor by more than their interval."""
    return [
        s.title
        for s in evaluation.scores
        if (s.low > s.floor + 2 * s.floor_sd if s.better == "lower" else s.high < s.floor - 2 * s.floor_sd)
    ]


def summary(found: Sequence[Card], behind: Sequence[str]) -> str:
    """What was found in a sentence or two, from the tones of the cards and the scores that fall short."""
    copying = found[-1]
    if copying.tone == "poor":
        return "The model has memorised training items: look at its samples below before using any."
    tones = [card.tone for card in found[:-1] if card.tone != "none"]
    if not tones:
        return "There was too little data to measure how good the samples are."
    if "poor" in tones:
        weak = ", ".join(card.title.lower() for card in found[:-1] if card.tone == "poor")
        return f"The samples are not good yet: see {weak}."
    if "fair" in tones:
        weak = ", ".join(card.title.lower() for card in found[:-1] if card.tone == "fair")
        return f"The samples are usable, with a weakness: see {weak}."
    measured = f" Measurably short of real ones still: {', '.join(behind).lower()} (see all scores)." if behind else ""
    clean = ", and nothing points to copying." if copying.tone == "good" else "."
    return "By the figures below the samples are close to real ones" + clean + measured
