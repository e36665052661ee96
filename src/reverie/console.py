"""What a person sees in the terminal: progress with time left, tables, and errors."""

from __future__ import annotations

import contextlib
import json as json_text
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from reverie import registry
from reverie.errors import ReverieError, quoted
from reverie.files import read_json
from reverie.training.trackers import Event, Tracker

if TYPE_CHECKING:
    from reverie.api import Judgement
    from reverie.data.prepare import Rules
    from reverie.evaluation.compare import Comparison
    from reverie.evaluation.tune import Told
    from reverie.evaluation.tuned import Tuning
    from reverie.samples import Settings

out = Console(highlight=False, markup=False)  # names of files may look like markup
err = Console(stderr=True, highlight=False, markup=False)


def duration(seconds: float) -> str:
    """42 s, 3:05, 1:02:03."""
    s = round(max(seconds, 0))
    if s < 60:
        return f"{s} s"
    return f"{s // 60}:{s % 60:02d}" if s < 3600 else f"{s // 3600}:{s % 3600 // 60:02d}:{s % 60:02d}"


def gib(size: int | None) -> str:
    """Bytes as a person reads them."""
    if size is None:
        return "unknown"
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


class _Left(ProgressColumn):
    """Time left, from the rate so far."""

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None else f"{duration(left)} left", style="cyan")


def progress(*columns: ProgressColumn) -> Progress:
    """A bar with time left; in a file or pipe, nothing but what is printed beside it."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=28), TextColumn("{task.percentage:>3.0f}%"), *columns, _Left(),
        console=out, transient=True, disable=not out.is_terminal,
    )  # fmt: skip


class Live(Tracker):
    """Shows a run as it goes: a bar with loss, items per second and time left, and a line for each look at the held-out data."""

    def __init__(self) -> None:
        self._bar = progress(TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:,.0f} items/s"))
        self._task: TaskID | None = None
        self._loss = self._rate = 0.0
        self._last_line = 0.0

    def tell(self, event: Event) -> None:
        """Draw one event."""
        getattr(self, f"_{event.kind}", lambda e: None)(event)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()

    def _note(self, event: Event) -> None:
        out.print(Text(f"note: {event.values['text']}", style="dim"), soft_wrap=True)

    def _plan(self, event: Event) -> None:
        v = event.values
        if self._task is None:
            out.print(
                f"plan: {v['total']:,} steps of {v['batch']}, {v['parameters']:,} weights, "
                f"peak learning rate {v['lr']:.2g} (ready after {duration(v['elapsed'])})",
                soft_wrap=True,
            )
            parts = f", each batch in {v['accumulate']} parts" if v["accumulate"] > 1 else ""
            ends = time.strftime("%H:%M", time.localtime(time.time() + v["left"]))
            out.print(
                f"      memory {gib(v['memory'])} at most, end in {duration(v['left'])} ({ends}){parts}", soft_wrap=True
            )
            self._bar.start()
            self._task = self._bar.add_task("training", total=v["total"], completed=event.step, loss=0.0, rate=0.0)
        else:
            self._bar.update(self._task, total=v["total"])

    _resumed = _plan

    def _rollback(self, event: Event) -> None:
        v = event.values
        out.print(
            f"  step {event.step:,}: two steps running were not finite. Back to the state of step {v['to']:,}, learning rate "
            f"{v['lr']:.2g}; {v['left']} more such returns, then it stops",
            soft_wrap=True,
        )

    def _step(self, event: Event) -> None:
        v = event.values
        share = 0.05 if self._loss else 1.0
        self._loss += share * (v["loss"] - self._loss)
        self._rate += share * (v["images"] / max(v["seconds"], 1e-9) - self._rate)
        if self._task is not None:
            self._bar.update(self._task, completed=event.step, total=v["total"], loss=self._loss, rate=self._rate)
        if not out.is_terminal and time.monotonic() - self._last_line > 30:
            self._last_line = time.monotonic()
            out.print(f"  step {event.step:,} of {v['total']:,}  loss {self._loss:.4f}  {self._rate:,.0f} items/s")

    def _validation(self, event: Event) -> None:
        v = event.values
        out.print(f"  step {event.step:>6,}  held-out loss {v['held_out']:.4f}   train {v['train']:.4f}")

    def _kept(self, event: Event) -> None:
        v = event.values
        out.print(
            f"kept the weights of step {v['kept']:,} of {event.step:,}, where held-out loss was least: {v['held_out']:.4f}, "
            f"against {v['last']:.4f} at the end (paired standard error of the difference {v['standard_error']:.2g})",
            soft_wrap=True,
        )

    def _done(self, event: Event) -> None:
        v = event.values
        self._bar.stop()
        skipped = f", {v['skipped']} steps skipped as not finite" if v["skipped"] else ""
        out.print(f"trained {event.step:,} steps, {v['images']:,} items, in {duration(v['elapsed'])}{skipped}")


def table(title: str, columns: list[str], rows: list[list[Any]]) -> Table:
    """A plain table."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for k, column in enumerate(columns):
        made.add_column(column, style="cyan" if k == 0 else "", overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made


def show_outlook(found: dict[str, Any]) -> None:
    """What a run would be."""
    v = found
    size, parts = f"{v['size']}, " if v["size"] else "", f", in {v['accumulate']} parts" if v["accumulate"] > 1 else ""
    rows = [
        ["data", f"{v['data']}: {v['train']:,} to train, {v['held_out']:,} held out, {v['classes']} classes"],
        ["items", v["items"]],
        *(["note", n] for n in v["notes"]),
        ["network", f"{v['architecture']}, {size}{v['parameters']:,} weights"],
        *(
            [k, v[k]]
            for k in ("family", "schedule", "parameterisation", "times", "weighting", "coupling", "ema", "sampler")
        ),
        ["batch", f"{v['batch']}{parts}; peak learning rate {v['lr']:.2g}"],
        ["memory", f"{gib(v['memory'])} at most; {gib(v['free'])} are free"],
        ["device", f"{v['device']}, {v['precision']}, {v['threads']} threads"],
        ["steps", f"{v['steps']:,} of {v['step_seconds']:.3g} s ({v['epochs']:.3g} passes over the data)"],
        ["end", f"in {duration(v['seconds'])}, {v['ends'].replace('T', ' ')}"],
    ]
    out.print(table("plan (nothing was trained)", ["", ""], [r for r in rows if r[1] is not None]))


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show that something is being done, where a person watches."""
    with out.status(what):
        yield


def show_evaluation(found: Judgement) -> None:
    """Every score with what it takes to read it; then the figures that matter, in words."""
    from reverie.report.words import TONES, cards

    s = found.samples.settings
    out.print(
        f"{found.evaluation.n} samples against {found.evaluation.n} held-out items: {s.steps} steps of {s.sampler}, "
        f"guidance {s.guidance:g}, temperature {s.temperature:g}, seed {found.samples.seed}",
        soft_wrap=True,
    )
    for line in found.evaluation.lines():
        out.print(f"  {line}", soft_wrap=True)
    out.print()
    for card in cards(found.evaluation):
        style = {"good": "green", "fair": "yellow", "poor": "red"}.get(card.tone, "dim")
        aside = f", {card.aside}" if card.aside else ""
        out.print(
            Text(f"{TONES[card.tone]:>5}  ", style=style),
            f"{card.title} {card.value}{aside}. {card.reading}",
            soft_wrap=True,
        )


@contextlib.contextmanager
def telling(verb: str) -> Iterator[Told]:
    """Show how far a verb has come and how long it will take: called with what is done, what is to do, and what it is."""
    with progress() as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total, words: bar.update(task, completed=done, total=total, description=f"{verb}: {words}")


def show_tuning(run: Path, found: Tuning, json: bool) -> None:
    """What tuning found, and the way back."""
    if json:
        out.print_json(json_text.dumps(found.record()))
        return
    for line in found.lines():
        out.print(line, soft_wrap=True)
    if found.chosen is not None:
        out.print(
            f"written: {run} samples that way from now on\nback:    reverie tune {quoted(run)} --undo", soft_wrap=True
        )


def show_untuned(run: Path, now: Settings) -> None:
    """How a model samples after its tuning was undone."""
    out.print(f"undone: {run} samples again in {sampling_in_words(now)}", soft_wrap=True)


def show_comparison(found: Comparison, output: Path, json: bool) -> None:
    """One table of all scores, then the differences in words."""
    from reverie.report.words import number

    if json:
        out.print_json(json_text.dumps(found.to_json()))
        return
    columns = [{s.name: s for s in e.scores} for e in found.evaluations]
    rows = []
    for name, score in columns[0].items():
        cells = [f"{number(s.value)} [{number(s.low)}, {number(s.high)}]" for s in (c[name] for c in columns)]
        floors = dict.fromkeys(number(c[name].floor) for c in columns)
        rows.append([f"{score.title} ({score.better} is better)", *cells, " / ".join(floors)])
    out.print(table(f"n = {found.n:,}, seed {found.seed}, 95 % intervals", ["score", *found.names, "floor"], rows))
    for line in found.lines():
        out.print(line, soft_wrap=True)
    out.print(f"page: {output}", soft_wrap=True)


def show_info(
    path: str, label_from: str, json: bool, html: Path | None = None, kind: str | None = None, window: str | None = None
) -> None:
    """The card of a run or model, or of data, which may be written as a page too."""
    from reverie import storage

    if not path:
        raise ReverieError("Say what to look at: reverie info RUN, or reverie info PATH.")
    place = Path(path)
    if place.is_dir() and (storage.is_model(place) or storage.is_run(place)):
        if html is not None:
            raise ReverieError(
                f"--html is for data. The page of a run: reverie evaluate {quoted(path)} -o {quoted(html)}."
            )
        card = run_card(place)
        out.print_json(json_text.dumps(card)) if json else out.print(table(str(place), ["", ""], _flat(card)))
        return
    if html is not None:
        from reverie.files import must_end

        must_end(html, ".html")
    from reverie.data.card import card as data_card
    from reverie.data.card import refused, text
    from reverie.data.source import read

    with working("looking at every item"):
        data = read(path, label_from=label_from, max_broken=1.0, finite=False, kind=kind, window=window).usable()
        found = data_card(data)
    if html is not None:
        from reverie.files import write_text
        from reverie.report.data_page import build

        write_text(html, build(data, found))
    out.print_json(json_text.dumps(found)) if json else out.print(text(found))
    if html is not None and not json:
        out.print(f"page: {html}", soft_wrap=True)
    if faults := refused(found):
        raise ReverieError("\n".join(faults))


def show_verdict(run: Path) -> None:
    """How the training went, why that is said, and what to try."""
    from reverie.training import verdict

    for line in verdict.of_run(run).lines():
        out.print(line, soft_wrap=True)


def show_prepared(path: str, output: Path, rules: Rules, overwrite: bool) -> None:
    """Prepare data, and say what was done, counted by rule."""
    from reverie.data.prepare import prepare

    with working("reading, judging and copying"):
        done = prepare(path, output, rules, overwrite)
    rows = [[f"{n:,}", action, f"by the rule: {rule}" if rule else ""] for rule, action, n in done.counts()]
    out.print(table(str(output), ["files", "", ""], rows))
    then = f"\nnext: reverie train {quoted(output)} -o RUN" if done.trainable else ""
    out.print(f"rows: {output / 'prepare.csv'}\nsplit: {done.cut}{then}", soft_wrap=True)


def run_card(place: Path) -> dict[str, Any]:
    """What a run or model is: how far it came, what it was trained on, how it is doing."""
    from reverie import storage
    from reverie.evaluation.tuned import tuned_in_words
    from reverie.training import verdict
    from reverie.training.trackers import read_log

    model = storage.load(place)
    log = [e for e in read_log(place / "metrics.jsonl") if e["event"] == "validation"]
    about = storage.describe(model)
    record = model.record
    found: dict[str, Any] = {
        "data": f"{model.card.get('source')}: {model.card.get('train')} to train, {model.card.get('held_out')} held out",
        "items": f"{model.codec.kind}, {model.codec.found_as}; as the network sees it: {model.codec.shape_words}",
        "rule": model.codec.rule,
        "classes": ", ".join(model.classes) or "none",
        "told": "; ".join(f"{name}: {one.line()}" for name, one in model.conditions.items() if name != "label"),
        "network": f"{about['network']['name']}, {model.parameters:,} weights",
        "family": "" if "family" not in (chosen := record.get("settings", {})) else chosen["family"] or "edm",
        "schedule": registry.name_of(type(model.denoiser.process.schedule)),
        "process": about["process"]["name"],
        "parameterisation": about.get("parameterisation", {"name": "tokens"})["name"],
        "trained": f"{record.get('step')} steps of {record.get('batch')} in {duration(record.get('elapsed', 0))}, "
        f"plan {record.get('plan')}, seed {record.get('seed')}, on {record.get('device')}",
        "sampling": sampling_in_words(model.defaults),
        "tuned": tuned_in_words(record["tuned"]) if "tuned" in record else None,
        "complete": "yes"
        if storage.is_model(place)
        else f"no: stopped; go on with reverie train --resume {quoted(place)}",
    }
    if log:
        found["held-out loss"] = f"{log[-1]['held_out']:.4f} at step {log[-1]['step']} (train {log[-1]['train']:.4f})"
    if (place / "metrics.jsonl").is_file():
        judged = verdict.of_run(place)
        found |= {"verdict": judged.heading, "evidence": " ".join(judged.evidence), "next": judged.next}
    return found | _figures(place / "metrics.json")


def _figures(path: Path) -> dict[str, str]:
    """The scores of the last evaluation, by title; of a file that does not hold them, that it does not."""
    if not path.is_file():
        return {}
    try:
        return {
            s["title"]: f"{s['value']:.3g} [{s['low']:.3g}, {s['high']:.3g}], n = {s['n']}, floor {s['floor']:.3g}"
            for s in read_json(path)["scores"]
        }
    except (ReverieError, KeyError, TypeError, ValueError) as error:
        return {"scores": f"{path} cannot be read ({error}); make it again: reverie evaluate {quoted(path.parent)}"}


def sampling_in_words(s: Settings) -> str:
    """How a model samples, in few words."""
    return f"{s.steps} steps of {s.sampler}, guidance {s.guidance:g}, grid {s.grid}"


def _flat(card: dict[str, Any]) -> list[list[Any]]:
    return [[k, v] for k, v in card.items() if v not in ("", None)]


def show_list(what: str | None, json: bool) -> None:
    """The rooms, or what is in one."""
    if what is None:
        rooms = {name: room.meaning for name, room in registry.ROOMS.items()}
        out.print_json(json_text.dumps(rooms)) if json else out.print(
            table("reverie list WHAT", ["what", "meaning"], [list(r) for r in rooms.items()])
        )
        return
    name = what if what in registry.ROOMS else what + "s"
    if name not in registry.ROOMS:
        name = what
    rows = [
        {"name": k, "meaning": registry.meaning(c), "options": registry.signature(c), "source": registry.source(c)}
        for k, c in registry.registered(name).items()
    ]
    if json:
        out.print_json(json_text.dumps(rows))
        return
    for row in rows:
        out.print(Text(row["name"], style="bold cyan"), Text(row["meaning"]), soft_wrap=False)
        out.print(Text(f"    options: {row['options']}", style="dim"))
        out.print(Text(f"    source:  {row['source']}", style="dim"))
