"""What training can be told: one typed list from which `reverie.train`, the command line and saved runs are made."""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from typing import Any

from reverie import registry
from reverie.data.wishes import parse
from reverie.errors import ReverieError, likely
from reverie.training.families import Family
from reverie.training.plan import Plan, seconds
from reverie.training.trackers import services
from reverie.typed import must_be, plain

_RENAMED = {"label_dropout": "condition_dropout"}  # as runs of an older Reverie wrote them


def _option(default: Any, meaning: str, flag: str | None = None) -> Any:
    return field(default=default, metadata={"help": meaning, "flag": flag})


@dataclass(frozen=True)
class TrainSettings:
    """Every choice of a training run, as a person types it; JSON-plain."""

    budget: str | None = _option(None, "Time for the whole of training, +-5 %: 90s, 10m, 1h30m. Default 10m.")
    steps: str | None = _option(None, "Train this many steps instead; or a plan as a report prints it (1200,400:1150).")
    epochs: float | None = _option(None, "Train this many passes over the data instead.")
    size: str = _option(
        "small", "Network size: tiny, small, base, large; or auto: small, or tiny where memory or time are short."
    )
    seed: int = _option(0, "Start of all randomness: the same seed and plan give the same weights.")
    kind: str | None = _option(
        None, "What the data is: image, table or series. Default: by its content, and it says why."
    )
    label_from: str = _option("folder", "Where labels come from: folder, csv:COLUMN or none.")
    condition: str | None = _option(
        None,
        "What else is told, comma-separated: label:COLUMN and number:COLUMN of a table among the files, image:FOLDER with a "
        "picture of the same name for each (label:style,number:age,image:sketch=FOLDER).",
    )
    window: str | None = _option(
        None, "Cut time series into windows of so many steps, or learn them whole: all. Default: by their length."
    )
    resolution: str | None = _option(None, "Train at HEIGHTxWIDTH, e.g. 64x128, instead of the data's own size.")
    held_out: str | None = _option(
        None, "Share (0.1) or number (500) of items kept out of training. Default: the data's."
    )
    max_broken: str = _option("1%", "Go on when up to this share of the files cannot be read.")
    batch: int | None = _option(None, "Items per step. Default: by size of the data's items.")
    accumulate: int | None = _option(
        None, "Compute each batch in this many parts, to save memory: the same result. Default: as memory asks."
    )
    lr: float | None = _option(None, "Peak learning rate. Default: by size of the network.")
    weight_decay: float = _option(0.01, "AdamW's weight decay.")
    clip: float = _option(1.0, "Gradients longer than this are shortened to it.")
    condition_dropout: float = _option(
        0.1, "Share of items that a label or other condition is not told for, so that guidance works."
    )
    entries: float | None = _option(
        None,
        "Share of items that are told some of their own entries (cells of a table, steps of a series), which `complete` then "
        "does better with. Default: the kind's.",
    )
    augment: str | None = _option(
        None, "Random changes of the data, comma-separated: flip, vflip, rotate90. Default none."
    )
    family: str | None = _option(
        None,
        "Kind of diffusion model, which sets what follows; see `reverie list families`. Default: edm, or that of --from.",
    )
    schedule: str | None = _option(
        None, "Noise schedule, see `reverie list schedules` (of tokens: survivals). Default: the family's."
    )
    parameterisation: str | None = _option(
        None, "What the network predicts, see `reverie list parameterisations`. Default: the family's."
    )
    times: str | None = _option(
        None, "Which noise levels training sees, see `reverie list times`. Default: the family's."
    )
    weighting: str | None = _option(
        None, "How much each noise level counts, see `reverie list weightings`. Default: the family's."
    )
    coupling: str = _option(
        "independent", "Which noise goes with which item: independent or optimal-transport (flow matching)."
    )
    ema: str = _option("power", "How weights are averaged, see `reverie list ema`.")
    weights: str = _option(
        "best",
        "Which averaged weights the model ends with: last; or best, those of an earlier look where held-out loss was less than "
        "at the end by more than its standard error (small data is soon learned by heart).",
    )
    architecture: str | None = _option(None, "Network, see `reverie list networks`. Default: the family's.")
    sampler: str | None = _option(
        None, "Sampler of the pictures drawn while training, and the model's default. Default: the family's."
    )
    guidance: float = _option(1.0, "Guidance of the pictures drawn while training, and the model's default.")
    init_from: str | None = _option(None, "Start from the weights of another trained RUN (fine-tuning).", "--from")
    device: str = _option("auto", "auto, cpu, cuda, cuda:1 or mps.")
    devices: str | None = _option(
        None,
        "How many processes share each batch: 4 (as many cards; without cards, CPU processes), or cpu:2. Default one.",
    )
    threads: int | None = _option(None, "CPU threads. Default: all cores.")
    precision: str = _option("auto", "auto, float32 or bfloat16 (mixed precision; auto uses it on GPUs that have it).")
    compile: bool = _option(
        False,
        "Compile the network (torch.compile): a minute or more at the start, then faster steps; worth it on a GPU.",
    )
    track: str | None = _option(
        None, "Follow the run elsewhere too, e.g. tensorboard,wandb:mode=offline; see `reverie list trackers`."
    )
    checkpoint_every: str = _option("2m", "Time between checkpoints.")
    keep: int = _option(3, "Last checkpoints that are kept.")

    @classmethod
    def of(cls, options: dict[str, Any]) -> TrainSettings:
        """Settings from keywords; an unknown one is an error that names the nearest. Numbers may be given as numbers."""
        known = {f.name: f for f in dataclasses.fields(cls)}
        options = {_RENAMED.get(name, name): value for name, value in options.items()}
        for name in options:
            if name not in known:
                raise ReverieError(f"train has no option '{name}'; {likely(name, list(known))}")
        text = {"budget", "steps", "held_out", "max_broken", "checkpoint_every"}
        values: dict[str, Any] = {k: str(v) if k in text and v is not None else v for k, v in options.items()}
        values = {k: plain(v) for k, v in values.items()}
        hints = typing.get_type_hints(cls)
        for name, value in values.items():
            must_be("train", name, value, hints[name])
        made = cls(**values)
        made.check()
        return made

    def check(self) -> None:
        """Refuse what cannot be, before any data is read."""
        given = [k for k in ("budget", "steps", "epochs") if getattr(self, k) is not None]
        if len(given) > 1:
            raise ReverieError(f"Give one of --budget, --steps and --epochs, not {' and '.join(given)}.")
        if self.budget is not None:
            seconds(self.budget)
        if self.steps is not None:
            Plan.parse(self.steps)
        if self.size not in ("tiny", "small", "base", "large", "auto"):
            raise ReverieError(f"--size {self.size}: there are tiny, small, base, large and auto.")
        positive = {
            "batch": self.batch,
            "accumulate": self.accumulate,
            "lr": self.lr,
            "clip": self.clip,
            "threads": self.threads,
            "epochs": self.epochs,
            "keep": self.keep,
        }
        for name, value in positive.items():
            if value is not None and not value > 0:
                raise ReverieError(f"--{name} {value} must be above 0.")
        for name, value in self.to_json().items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ReverieError(f"--{name.replace('_', '-')} {value}: give a finite number.")
        if self.weight_decay < 0:
            raise ReverieError(f"--weight-decay {self.weight_decay:g} must be at least 0.")
        if not 0 <= self.seed < 2**63:
            raise ReverieError(f"--seed {self.seed}: give a whole number from 0 to 9223372036854775807.")
        if not 0 <= self.guidance < float("inf"):
            raise ReverieError(f"--guidance {self.guidance}: give a number from 0 (1 = none).")
        broken = share_or_count(self.max_broken, "max-broken")
        if isinstance(broken, float) and broken > 1:
            raise ReverieError(f"--max-broken {self.max_broken}: a share is at most 100%.")
        if self.weights not in ("best", "last"):
            raise ReverieError(f"--weights {self.weights}: there are best and last.")
        if not 0 <= self.condition_dropout < 1:
            raise ReverieError(f"--condition-dropout {self.condition_dropout:g} must be at least 0 and below 1.")
        if self.entries is not None and not 0 <= self.entries < 1:
            raise ReverieError(f"--entries {self.entries:g} must be at least 0 and below 1.")
        parse(self.condition)
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ReverieError(f"--precision {self.precision}: there are auto, float32 and bfloat16.")
        seconds(self.checkpoint_every, "--checkpoint-every")
        if self.devices is not None:
            from reverie.training.distributed import Devices  # imports PyTorch, which `--help` does without

            Devices.parse(self.devices)
        services(self.track)
        self._check_choices()

    def _check_choices(self) -> None:
        """Refuse choices that do not exist, and those that do not go with the family's process."""
        family = self.family_of
        tokens = family.reads == "tokens"
        if tokens and self.parameterisation is not None:
            raise ReverieError(
                f"--parameterisation {self.parameterisation} goes with Gaussian families; --family {self.family} predicts the "
                "probabilities of tokens and has none. Leave it out, or choose another family."
            )
        for choice in ("weighting", "times"):
            if tokens and (given := getattr(self, choice)) is not None:
                raise ReverieError(
                    f"--{choice} {given} would make the bound that --family {self.family} is trained on no bound. Leave it out."
                )
        self._check_coupling(family.reads)
        rooms = {
            "times": "times",
            "weightings": "weighting",
            "samplers": "sampler",
            "parameterisations": "parameterisation",
        }
        rooms["survivals" if tokens else "schedules"] = "schedule"
        for room, choice in rooms.items():
            if (text := self.chosen(choice)) is not None:
                registry.build(room, text)
        registry.build("ema", self.ema)
        registry.build("couplings", self.coupling)
        network: Any = registry.find("networks", str(self.chosen("architecture")))
        if network.reads != family.reads:
            raise ReverieError(
                f"--architecture {self.architecture} does not go with --family {self.family or 'edm'}: this network reads "
                f"{network.reads}, and the family is one of {family.reads}. Leave it out."
            )

    def _check_coupling(self, reads: str) -> None:
        """Chosen noise gives the flow's ODE, and a prediction that is no score: walks that draw noise would go wrong."""
        if self.coupling.partition(":")[0] == "independent":
            return
        if reads != "numbers":
            raise ReverieError(
                f"--coupling {self.coupling} pairs Gaussian noise with items; --family {self.family} has tokens. Leave it out."
            )
        sampler = str(self.chosen("sampler"))
        if registry.build("samplers", sampler).order is None:
            raise ReverieError(
                f"--coupling {self.coupling} makes what the network says no score, which --sampler {sampler} needs, as it draws "
                "noise on its way. Choose one that walks the ODE (heun, dpmpp-2m, euler), or leave the coupling out."
            )

    @property
    def family_of(self) -> Family:
        """The family as an object."""
        return registry.build("families", self.family or "edm")

    def chosen(self, choice: str) -> str | None:
        """A choice that a family makes: the person's own where there is one, else the family's."""
        own = getattr(self, choice)
        return own if own is not None else getattr(self.family_of, choice)

    @property
    def entries_told(self) -> float:
        """The share of items that are told some of their entries."""
        return self.family_of.entries if self.entries is None else self.entries

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return dataclasses.asdict(self)


def share_or_count(text: str | None, name: str) -> float | int | None:
    """Read 0.1, 10% or 500: a share below 1, or a whole number."""
    if text is None:
        return None
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError as error:
        raise ReverieError(f"--{name} {text}: give a share (0.1 or 10%) or a whole number.") from error
    if value < 0 or (value >= 1 and value != int(value)):
        raise ReverieError(f"--{name} {text}: give a share (0.1 or 10%) or a whole number.")
    return int(value) if value >= 1 and not text.endswith("%") else value


def parse_resolution(text: str | None) -> tuple[int, int] | None:
    """Read 64x128 (height x width), or 64 for a square."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise ReverieError(f"--resolution {text}: write HEIGHTxWIDTH, e.g. 64x128.")
    return int(parts[0]), int(parts[-1])
