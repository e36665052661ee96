"""Request models from the verbs' own typed signatures, and training's from `TrainSettings`: a new verb appears by itself.

Of a verb's parameters, what is a file in Python is an input here, an upload or an artifact by its id, or a word such as
right:0.5; a path to write is not to be had, and texts hold no control characters. Numbers have the server's limits.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from reverie.errors import ReverieError
from reverie.server.settings import Settings
from reverie.server.wording import choices, worded
from reverie.tasks import Task, tasks
from reverie.tasks.parts.options import Names
from reverie.tasks.parts.signature import REQUIRED, Asked, asked_of
from reverie.training.plan import Plan
from reverie.training.settings import TrainSettings

TRAIN = "train"
DETERMINISTIC = "deterministic"
TOLD = "told."  # before the name of a condition, of an input that is a picture for it
_OWNERS = ("device", "devices", "threads", "track", "compile", "keep")  # of training: whose machine it is says
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Function = TypeVar("Function", bound=Callable[..., Any])
_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"

_FAR = 1e12  # numbers beyond it, which float32 has, and their squares too

Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="An upload's or an artifact's id.")]


class Part(BaseModel):
    """Part of a request: no key that is not known, no number as text, nothing infinite."""

    model_config = _STRICT


class Request(Part):
    """A job: what is to be done, with which model, on what."""

    model: str = Field(max_length=400, description="The model's name: its folder under RUNS.")

    @property
    def command(self) -> str:
        """Which task it is for."""
        task: str = getattr(self, "task")  # noqa: B009 (each verb's own, made below)
        return task

    def given(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Parameters that differ from their defaults or were named, and the inputs' ids by name, those of `told` with "told."."""
        parameters: Part = getattr(self, "parameters")  # noqa: B009 (each verb's own, made below)
        inputs: dict[str, Any] = getattr(self, "inputs").model_dump(exclude_none=True)  # noqa: B009
        told = {f"{TOLD}{name}": one for name, one in inputs.pop("told", {}).items()}
        return parameters.model_dump(exclude_unset=True, exclude_none=True), {**inputs, **told}


def taking(function: Function, **kinds: Any) -> Function:
    """A route whose parameters are of kinds that are made at run time."""
    function.__annotations__.update(kinds)
    return function


@functools.cache
def task_named(command: str) -> Task:
    """A verb by its command; raises ReverieError for one that there is not."""
    found = {task.command: task for task in tasks()}
    if command not in found:
        raise ReverieError(f"There is no task {command!r}; there are {', '.join([*found, TRAIN])}.")
    return found[command]


@functools.cache
def tasks_known() -> tuple[str, ...]:
    """Every verb's command, and training."""
    return (*(task.command for task in tasks()), TRAIN)


def meaning_of(name: str) -> str:
    """The first sentence of what a verb says of itself."""
    if name == TRAIN:
        return "Train a diffusion model from scratch, or go on with a run that was stopped."
    return worded((inspect.getdoc(task_named(name).function) or "").partition("\n")[0])


def is_input(p: Asked) -> bool:
    """Whether a parameter of a verb is a file that is read."""
    return p.kind is Any or p.names is Names.READ


@functools.cache
def requests(limits: Settings) -> dict[str, type[Request]]:
    """The request model of every verb, and of training, by name."""
    return {**{task.command: _of_task(task, limits) for task in tasks()}, TRAIN: _of_training(limits)}


@functools.cache
def any_request(limits: Settings) -> Any:
    """All of them as one type, told apart by `task`."""
    return Annotated[Union[tuple(requests(limits).values())], Field(discriminator="task")]  # noqa: UP007 (made at run time)


def read(limits: Settings, task: str, values: dict[str, Any]) -> Request:
    """A request read again, as a worker does before it computes; raises pydantic's ValidationError."""
    if task not in (known := requests(limits)):
        raise ReverieError(f"There is no task {task!r}; there are {', '.join(known)}.")
    return known[task].model_validate(values)


def batch_key(model: str, task: str, parameters: dict[str, Any]) -> str | None:
    """What jobs that can be computed as one batch have in common; None for a job that is computed alone."""
    if task == TRAIN or (several := task_named(task).several) is None:
        return None
    if parameters.get(DETERMINISTIC) or any(parameters.get(name) is not None for name in several.alone):
        return None
    alike = {k: v for k, v in sorted(parameters.items()) if k not in several.differ and v is not None}
    return hashlib.sha256(json.dumps([model, task, alike]).encode()).hexdigest()[:32]


def _of_task(task: Task, limits: Settings) -> type[Request]:
    asked = [p for p in asked_of(task.function) if p.names is not Names.WRITTEN]
    stem = task.command.title().replace("-", "")
    parameters: dict[str, Any] = {p.name: _field(p, limits) for p in asked if p.names is not Names.READ}
    if task.several is not None:
        parameters[DETERMINISTIC] = bool, Field(False, description="The same bytes every time, in a batch of its own.")
    needed = [p.name for p in asked if is_input(p) and p.default is REQUIRED]
    inputs: dict[str, Any] = {
        p.name: (Id | None, Field(None, description=worded(p.meaning), json_schema_extra={"needed": p.name in needed}))
        for p in asked
        if is_input(p)
    }
    if any(p.names is Names.TOLD for p in asked):
        told = Annotated[dict[Annotated[str, Field(pattern=_NAME)], Id], Field(max_length=16)]
        inputs["told"] = told, Field(default_factory=dict, description="Pictures that the model is told, by condition.")
    twice = [p.name for p in asked if p.kind is Any]
    return _request(stem, task.command, parameters, inputs, needed, twice)


def _of_training(limits: Settings) -> type[Request]:
    parameters: dict[str, Any] = {"data": (_word(limits), Field(None, description="A packaged data set's name."))}
    hints = typing.get_type_hints(TrainSettings)
    for f in dataclasses.fields(TrainSettings):
        if f.name not in _OWNERS:
            hint = _limited(f.name, hints[f.name], limits)
            parameters[f.name] = hint, _told(f.name, f.default, f.metadata["help"])
    resume = "Go on with this run, which was stopped."
    parameters["resume"] = bool, Field(False, description=resume)
    inputs: dict[str, Any] = {"data": (Id | None, Field(None, description="A file or a zip of the data."))}
    return _request("Train", TRAIN, parameters, inputs, [], ["data"])


def _request(
    stem: str, command: str, parameters: dict[str, Any], inputs: dict[str, Any], needed: list[str], twice: list[str]
) -> type[Request]:
    """A request model; needed: inputs of which there is no default; twice: those that a parameter may stand for."""

    def whole(self: Any) -> Any:
        for name in twice:
            if getattr(self.inputs, name) is not None and getattr(self.parameters, name) is not None:
                raise ValueError(f"{name} is given twice, among the inputs and the parameters; give it once")
        for name in needed:
            if getattr(self.inputs, name) is None and getattr(self.parameters, name, None) is None:
                raise ValueError(f"{name} is missing: give inputs.{name}, an upload's id")
        return self

    kind: Any = Literal[command]
    checks: dict[str, Any] = {"whole": model_validator(mode="after")(whole)}
    parts = [
        create_model(f"{stem}{name}", __base__=Part, **fields)
        for name, fields in (("Parameters", parameters), ("Inputs", inputs))
    ]
    made: type[Request] = create_model(
        f"{stem}Request",
        __base__=Request,
        __validators__=checks,
        task=(kind, ...),
        parameters=(parts[0], Field(default_factory=parts[0])),
        inputs=(parts[1], Field(default_factory=parts[1])),
    )
    return made


def _field(p: Asked, limits: Settings) -> tuple[Any, Any]:
    """A parameter as a field; of a file, the word that may stand for it."""
    if p.kind is Any:
        return _word(limits), Field(None, description=f"{worded(p.meaning)} Here a word; files are inputs.")
    default = ... if p.default is REQUIRED else p.default
    return _limited(p.name, p.kind, limits), _told(p.name, default, p.meaning)


def _told(name: str, default: Any, meaning: str) -> Any:
    """A field with its meaning, in the words of the service, and the words that it knows, as examples."""
    return Field(default, description=worded(meaning), examples=choices(name, meaning))


def _word(limits: Settings) -> Any:
    """Text that is no path to anywhere else."""
    plain = Field(min_length=1, max_length=limits.most_text, pattern=r"^[^\x00-\x1f\x7f/\\~.%][^\x00-\x1f\x7f/\\]*$")
    return Annotated[str, plain] | None


def _limited(name: str, hint: Any, limits: Settings) -> Any:
    """A type with the server's limits: of whole numbers by what they count, of texts by their length."""
    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
    (kind,) = kinds
    most = {"steps": limits.most_steps, "batch": limits.most_batch, "accumulate": limits.most_batch}
    if name == "epochs":
        kind = Annotated[float, Field(gt=0, le=limits.most_training)]  # an epoch is a step or more
    elif kind is float:
        kind = Annotated[float, AfterValidator(_near)]
    elif name == "seed":
        kind = Annotated[int, Field(ge=-1, lt=2**63)]
    elif kind is int:
        kind = Annotated[int, Field(ge=1, le=most.get(name, limits.most_items))]
    elif kind is str:
        plain = Field(max_length=limits.most_text, pattern=r"^[^\x00-\x1f\x7f]*$")
        kind = (
            Annotated[str, plain, AfterValidator(_planned(limits.most_training))]
            if name == "steps"
            else Annotated[str, plain]
        )
    return kind | None if type(None) in typing.get_args(hint) else kind


def _near(number: float) -> float:
    """A number that float32 has."""
    if abs(number) > _FAR:
        raise ValueError(f"{number:g} is beyond what is computed with; give a number from {-_FAR:g} to {_FAR:g}")
    return number


def _planned(most: int) -> Callable[[str], str]:
    """Refuses a training's steps, or a plan of them, of more than `most`."""

    def check(text: str) -> str:
        try:
            total = max(total for _, total in Plan.parse(text).events)
        except ReverieError as error:
            raise ValueError(str(error)) from error
        if total > most:
            raise ValueError(f"this server trains for {most:,} steps at most; ask for fewer")
        return text

    return check
